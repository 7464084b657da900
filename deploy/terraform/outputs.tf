output "gateway_url" {
  description = "Address of the API."
  value       = one(google_cloud_run_v2_service.gateway[*].uri)
}

output "egress_address" {
  description = "The address for the access lists of Atlas and, if it has one, of Temporal."
  value       = google_compute_address.egress.address
}

output "registry" {
  description = "Where images are pushed to."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "library_account" {
  description = "The account of which machines have a key."
  value       = google_service_account.library.email
}
