resource "google_artifact_registry_repository" "images" {
  repository_id = "gamer"
  location      = var.region
  format        = "DOCKER"
  description   = "Images of gateway and worker"

  # A tag never moves to another image, so that a rollback gets what was deployed.
  docker_config {
    immutable_tags = true
  }

  depends_on = [google_project_service.api]
}

resource "google_storage_bucket" "games" {
  name     = var.bucket
  location = var.region

  # Conditions of roles on a prefix need it.
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  # Deleted saves can be brought back, even if an account that may delete them is taken over.
  soft_delete_policy {
    retention_duration_seconds = 30 * 24 * 3600
  }

  # A bucket with players' saves is not deleted together with the rest.
  force_destroy = false

  lifecycle {
    prevent_destroy = true
  }

  depends_on = [google_project_service.api]
}

# The export itself is switched on in the console: Google has no API for that.
resource "google_bigquery_dataset" "billing" {
  count = var.billing_account == null ? 0 : 1

  dataset_id = "billing"
  location   = var.billing_location

  depends_on = [google_project_service.api]
}
