locals {
  worker_metrics_port = "9100"

  worker_settings = merge(
    local.common_settings,
    { METRICS_PORT = local.worker_metrics_port },
    { for name, place in local.file_paths : name => "${place.folder}/${place.file}" },
    var.billing_account == null ? {} : {
      GCP_BILLING_ACCOUNT = var.billing_account
      GCP_BILLING_EXPORT_TABLE = join(".", [
        var.project,
        google_bigquery_dataset.billing[0].dataset_id,
        "gcp_billing_export_resource_v1_${replace(var.billing_account, "-", "_")}",
      ])
    },
  )
}

# One pool for each build. During an upgrade there are two: the old one finishes what it has begun.
resource "google_cloud_run_v2_worker_pool" "worker" {
  for_each = var.running ? var.workers : {}

  name                = "gamer-worker-${each.key}"
  location            = var.region
  deletion_protection = var.deletion_protection

  scaling {
    manual_instance_count = each.value.instances
  }

  template {
    service_account = google_service_account.worker.email

    vpc_access {
      egress = "ALL_TRAFFIC"

      network_interfaces {
        network    = google_compute_network.gamer.name
        subnetwork = google_compute_subnetwork.gamer.name
      }
    }

    containers {
      name  = "worker"
      image = each.value.image
      args  = ["--role", "worker"]

      resources {
        limits = { cpu = var.worker_resources.cpu, memory = var.worker_resources.memory }
      }

      dynamic "env" {
        for_each = merge(local.worker_settings, { WORKER_BUILD_ID = each.key })

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

    dynamic "containers" {
      for_each = local.collectors

      content {
        name  = "collector"
        image = containers.value
        args  = ["--config=env:COLLECTOR_CONFIG"]

        resources {
          limits = { cpu = "1", memory = "512Mi" }
        }

        dynamic "env" {
          for_each = merge(local.collector_settings, { METRICS_ADDRESS = "localhost:${local.worker_metrics_port}" })

          content {
            name  = env.key
            value = env.value
          }
        }

        env {
          name = "METRICS_TOKEN"

          value_source {
            secret_key_ref {
              secret  = google_secret_manager_secret.secret["metrics-token"].secret_id
              version = local.version_of["metrics-token"]
            }
          }
        }
      }
    }

    dynamic "volumes" {
      for_each = local.worker_files

      content {
        name = volumes.value

        secret {
          secret = google_secret_manager_secret.secret[volumes.value].secret_id
          # Cloud Run gives secrets to root, and the worker is another user. OpenSSH accepts a key that is not its own.
          default_mode = 292 # 0444

          items {
            version = local.version_of[volumes.value]
            path    = local.file_paths[volumes.key].file
          }
        }
      }
    }
  }

  depends_on = [
    google_compute_router_nat.gamer,
    google_project_iam_member.worker,
    google_project_iam_member.worker_firewalls,
    google_secret_manager_secret_iam_member.worker,
    google_storage_bucket_iam_member.worker_changes_saves,
  ]
}
