locals {
  token_settings = {
    JWT_JWKS_URL = var.jwt_jwks_url
    JWT_ISSUER   = var.jwt_issuer
    JWT_AUDIENCE = var.jwt_audience
  }

  common_settings = merge(
    {
      DEPLOYMENT         = var.deployment
      TEMPORAL_ADDRESS   = var.temporal_address
      TEMPORAL_NAMESPACE = var.temporal_namespace
      GCP_PROJECT_ID     = var.project
      GCS_BUCKET_NAME    = google_storage_bucket.games.name
    },
    { for name, value in local.token_settings : name => value if value != null },
    var.extra_settings,
  )

  gateway_settings = merge({
    CORS_ORIGINS = join(",", var.cors_origins)
    # Google's front end. An external load balancer before Cloud Run is one more: 2.
    TRUSTED_PROXY_HOPS = "1"
    # Google keeps connections to a backend for 600 s; this side must not be the first to close them.
    KEEP_ALIVE_SECONDS   = "620"
    MAX_IDLE_CONNECTIONS = "1000"
  }, local.common_settings)
}

resource "google_cloud_run_v2_service" "gateway" {
  count = var.running && var.gateway_image != null ? 1 : 0

  name                = "gamer-gateway"
  location            = var.region
  ingress             = "INGRESS_TRAFFIC_ALL"
  deletion_protection = var.deletion_protection

  # The service itself authenticates every caller. Cloud Run's own check would want a Google identity token in the
  # header `Authorization`, where callers send our tokens.
  invoker_iam_disabled = true

  template {
    service_account                  = google_service_account.gateway.email
    max_instance_request_concurrency = 1000
    # The longest that Cloud Run lets a WebSocket live; clients reconnect and replay what they missed.
    timeout = "3600s"

    scaling {
      min_instance_count = var.gateway_instances.min
      max_instance_count = var.gateway_instances.max
    }

    vpc_access {
      egress = "ALL_TRAFFIC"

      network_interfaces {
        network    = google_compute_network.gamer.name
        subnetwork = google_compute_subnetwork.gamer.name
      }
    }

    containers {
      name  = "gateway"
      image = var.gateway_image
      args  = ["--role", "gateway"]

      ports {
        container_port = 8080
      }

      resources {
        limits = { cpu = "1", memory = "1Gi" }
        # Each instance follows the database's change stream between requests, too.
        cpu_idle          = false
        startup_cpu_boost = true
      }

      startup_probe {
        period_seconds    = 2
        timeout_seconds   = 2
        failure_threshold = 60

        http_get {
          path = "/ready"
        }
      }

      liveness_probe {
        period_seconds  = 10
        timeout_seconds = 5

        http_get {
          path = "/health"
        }
      }

      dynamic "env" {
        for_each = local.gateway_settings

        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = local.gateway_secrets

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
          for_each = merge(local.collector_settings, { METRICS_ADDRESS = "localhost:8080" })

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
  }

  depends_on = [
    google_compute_router_nat.gamer,
    google_secret_manager_secret_iam_member.gateway,
    google_storage_bucket_iam_member.gateway_reads,
  ]
}
