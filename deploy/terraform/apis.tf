locals {
  apis = {
    "artifactregistry.googleapis.com"     = "images"
    "bigquery.googleapis.com"             = "the billing export"
    "cloudbilling.googleapis.com"         = "Google's list prices (Cloud Billing Catalog)"
    "cloudlocationfinder.googleapis.com"  = "the order of regions around a player"
    "cloudresourcemanager.googleapis.com" = "roles on the project, which Terraform gives"
    "compute.googleapis.com"              = "machines, and the network with the fixed address"
    "iam.googleapis.com"                  = "service accounts"
    "iamcredentials.googleapis.com"       = "signBlob, which signs the downloads of saves"
    "monitoring.googleapis.com"           = "metrics, if a collector sends them"
    "run.googleapis.com"                  = "gateway and workers"
    "secretmanager.googleapis.com"        = "secrets"
    "storage.googleapis.com"              = "library and saves"
  }
}

resource "google_project_service" "api" {
  for_each = local.apis

  service            = each.key
  disable_on_destroy = false
}
