# Runs one of the service's commands beside it, with the worker's rights and from the fixed address:
#   gcloud run jobs execute gamer-command --region REGION --wait --args=-m,fleet.sweep,--dry-run
resource "google_cloud_run_v2_job" "command" {
  count = length(var.workers) == 0 ? 0 : 1

  name                = "gamer-command"
  location            = var.region
  deletion_protection = false

  template {
    template {
      service_account = google_service_account.worker.email
      max_retries     = 0
      timeout         = "3600s"

      vpc_access {
        egress = "ALL_TRAFFIC"

        network_interfaces {
          network    = google_compute_network.gamer.name
          subnetwork = google_compute_subnetwork.gamer.name
        }
      }

      containers {
        image   = var.workers[coalesce(var.command_build, keys(var.workers)[0])].image
        command = ["/venv/bin/python"]
        args    = ["server.py", "--check", "--role", "worker"]

        resources {
          limits = { cpu = "2", memory = "4Gi" }
        }

        dynamic "env" {
          for_each = local.worker_settings

          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = local.worker_secrets

          content {
            name = env.key

            value_source {
              secret_key_ref {
                secret  = google_secret_manager_secret.secret[env.value].secret_id
                version = local.version_of[env.value]
              }
            }
          }
        }

        dynamic "volume_mounts" {
          for_each = local.worker_files

          content {
            name       = volume_mounts.value
            mount_path = local.file_paths[volume_mounts.key].folder
          }
        }
      }

      dynamic "volumes" {
        for_each = local.worker_files

        content {
          name = volumes.value

          secret {
            secret       = google_secret_manager_secret.secret[volumes.value].secret_id
            default_mode = 292 # 0444

            items {
              version = local.version_of[volumes.value]
              path    = local.file_paths[volumes.key].file
            }
          }
        }
      }
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.worker]
}
