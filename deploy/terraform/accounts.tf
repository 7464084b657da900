# Each role with the calls that need it; docs/deploy.md has the same table in prose.

resource "google_service_account" "gateway" {
  account_id   = "gamer-gateway"
  display_name = "Gamer Provisioner: gateways, open to the internet"
  depends_on   = [google_project_service.api]
}

resource "google_service_account" "worker" {
  account_id   = "gamer-worker"
  display_name = "Gamer Provisioner: workers, which rent machines"
  depends_on   = [google_project_service.api]
}

# Its key is on every machine that a player rents, so it can read games and nothing else.
resource "google_service_account" "library" {
  account_id   = "gamer-library"
  display_name = "Gamer Provisioner: machines, which mount the game library"
  depends_on   = [google_project_service.api]
}

locals {
  gateway = "serviceAccount:${google_service_account.gateway.email}"
  worker  = "serviceAccount:${google_service_account.worker.email}"
  library = "serviceAccount:${google_service_account.library.email}"

  objects = "projects/_/buckets/${var.bucket}/objects"

  ranks_regions = {
    "roles/cloudlocationfinder.viewer"        = "search of locations around a region"
    "roles/serviceusage.serviceUsageConsumer" = "Location Finder counts quota on this project (x-goog-user-project)"
  }

  rents_machines = {
    "roles/compute.instanceAdmin.v1" = "instances, disks, and images of disks: create, start, stop, label, delete"
    "roles/compute.networkAdmin"     = "the network, subnetwork and static address of each machine"
  }

  reads_bills = var.billing_account == null ? {} : {
    "roles/bigquery.jobUser" = "queries of the billing export, which run in this project"
  }
}

resource "google_project_iam_member" "gateway" {
  for_each = merge(local.ranks_regions, local.writes_metrics)

  project = var.project
  role    = each.key
  member  = local.gateway
}

resource "google_project_iam_member" "worker" {
  for_each = merge(local.ranks_regions, local.rents_machines, local.reads_bills, local.writes_metrics)

  project = var.project
  role    = each.key
  member  = local.worker
}

# Network administrators cannot change firewalls, and the predefined role that can (Security Admin) can do much more.
resource "google_project_iam_custom_role" "firewalls" {
  role_id     = "gamerFirewalls"
  title       = "Gamer Provisioner: firewalls of machines"
  description = "Create and delete the firewall of each machine's network"
  permissions = [
    "compute.firewalls.create",
    "compute.firewalls.delete",
    "compute.firewalls.get",
    "compute.firewalls.list",
    "compute.firewalls.update",
    "compute.networks.updatePolicy",
  ]
  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "worker_firewalls" {
  project = var.project
  role    = google_project_iam_custom_role.firewalls.id
  member  = local.worker
}

# The gateway has no key: Google signs the downloads of saves as the gateway's own account.
resource "google_service_account_iam_member" "gateway_signs" {
  service_account_id = google_service_account.gateway.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.gateway
}

resource "google_storage_bucket_iam_member" "gateway_reads" {
  bucket = google_storage_bucket.games.name
  role   = "roles/storage.objectViewer"
  member = local.gateway
}

resource "google_storage_bucket_iam_member" "gateway_changes_saves" {
  bucket = google_storage_bucket.games.name
  role   = "roles/storage.objectUser"
  member = local.gateway

  condition {
    title       = "saves"
    description = "Players restore, rename and delete their saves through the gateway"
    expression  = "resource.name.startsWith(\"${local.objects}/saves/\")"
  }
}

resource "google_storage_bucket_iam_member" "worker_reads" {
  bucket = google_storage_bucket.games.name
  role   = "roles/storage.objectViewer"
  member = local.worker
}

resource "google_storage_bucket_iam_member" "worker_changes_saves" {
  bucket = google_storage_bucket.games.name
  role   = "roles/storage.objectUser"
  member = local.worker

  condition {
    title       = "saves"
    description = "Workers upload saves and purge deleted ones"
    expression  = "resource.name.startsWith(\"${local.objects}/saves/\")"
  }
}

# Listing is a permission on the bucket, reading one on the object: machines see the names of all objects, and can read
# games only.
resource "google_storage_bucket_iam_member" "library_reads_games" {
  bucket = google_storage_bucket.games.name
  role   = "roles/storage.objectViewer"
  member = local.library

  condition {
    title       = "games"
    description = "Everything but saves"
    expression  = "!resource.name.startsWith(\"${local.objects}/saves/\")"
  }
}

resource "google_bigquery_dataset_iam_member" "worker_reads_export" {
  count = var.billing_account == null ? 0 : 1

  dataset_id = google_bigquery_dataset.billing[0].dataset_id
  role       = "roles/bigquery.dataViewer"
  member     = local.worker
}

resource "google_secret_manager_secret_iam_member" "gateway" {
  for_each = toset(values(local.gateway_secrets))

  secret_id = google_secret_manager_secret.secret[each.key].id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.gateway
}

resource "google_secret_manager_secret_iam_member" "worker" {
  for_each = toset(concat(values(local.worker_secrets), values(local.worker_files)))

  secret_id = google_secret_manager_secret.secret[each.key].id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.worker
}
