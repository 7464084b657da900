# Terraform creates the secrets and who may read them, never their values: a value would be in Terraform's state.
# docs/deploy.md has the command that makes each one.

locals {
  gateway_secrets = merge(
    {
      MONGODB_ATLAS_URI    = "mongodb-atlas-uri"
      TENSORDOCK_API_KEY   = "tensordock-api-key"
      TENSORDOCK_API_TOKEN = "tensordock-api-token"
      API_KEY_SECRET       = "api-key-secret"
      METRICS_TOKEN        = "metrics-token"
    },
    var.jwt_jwks_url == null ? { JWT_SECRET = "jwt-secret" } : {},
    var.temporal_api_key ? { TEMPORAL_API_KEY = "temporal-api-key" } : {},
    var.extra_secrets,
  )

  worker_secrets = local.gateway_secrets

  # Files of workers, by the variable that holds their path.
  worker_files = {
    SSH_KEY_PATH         = "ssh-key"
    GCS_LIBRARY_KEY_FILE = "library-key"
  }

  file_paths = {
    SSH_KEY_PATH         = { folder = "/secrets/ssh", file = "id_ed25519" }
    GCS_LIBRARY_KEY_FILE = { folder = "/secrets/library", file = "library.json" }
  }

  version_of = {
    for name in concat(values(local.worker_secrets), values(local.worker_files)) :
    name => lookup(var.secret_versions, name, "latest")
  }
}

resource "google_secret_manager_secret" "secret" {
  for_each = toset(concat(values(local.worker_secrets), values(local.worker_files)))

  secret_id = each.key

  replication {
    auto {}
  }

  depends_on = [google_project_service.api]
}
