variable "project" {
  description = "Id of the Google Cloud project that everything is created in, machines for players too."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project id has 6 to 30 lowercase letters, digits and dashes."
  }
}

variable "region" {
  description = "Region of the gateway, the workers, the images and the bucket. Choose the one of the Atlas cluster."
  type        = string
}

variable "deployment" {
  description = "Name of this installation (DEPLOYMENT). It becomes part of machine names."
  type        = string
  default     = "main"

  validation {
    condition     = length(var.deployment) <= 12 && can(regex("^[a-z]+(-([a-z]+|[0-9]+))*$", var.deployment))
    error_message = "At most 12 lowercase letters, dashes and digits, with letters and digits apart by a dash."
  }
}

variable "bucket" {
  description = "Name of the bucket of the game library and the saves. Names are global: choose one that nobody has."
  type        = string
}

variable "temporal_address" {
  description = "Host and port of Temporal's frontend, for Temporal Cloud for example gamer.a1b2c.tmprl.cloud:7233."
  type        = string
}

variable "temporal_namespace" {
  description = "Temporal namespace, for Temporal Cloud with the account's suffix, for example gamer.a1b2c."
  type        = string
}

variable "temporal_api_key" {
  description = "Whether Temporal is used with an API key, the secret temporal-api-key, as Temporal Cloud is."
  type        = bool
  default     = true
}

variable "cors_origins" {
  description = "Origins of the web apps that may call from a browser."
  type        = list(string)

  validation {
    condition     = !contains(var.cors_origins, "*") && !contains(var.cors_origins, "null")
    error_message = "The service refuses * and null in production. List the origins."
  }
}

variable "jwt_jwks_url" {
  description = "Key set of the identity provider. Null: tokens are verified with the secret jwt-secret."
  type        = string
  default     = null
}

variable "jwt_issuer" {
  description = "The iss that tokens must carry. Null: any."
  type        = string
  default     = null
}

variable "jwt_audience" {
  description = "The aud that tokens must carry. Null: any."
  type        = string
  default     = null
}

variable "gateway_image" {
  description = "Image of the gateway with its digest. Null, for the first apply: no gateway yet."
  type        = string
  default     = null

  validation {
    condition     = var.gateway_image == null || can(regex("@sha256:[0-9a-f]{64}$", var.gateway_image))
    error_message = "Name the image by its digest: REGION-docker.pkg.dev/PROJECT/gamer/gamer-gateway@sha256:..."
  }
}

variable "workers" {
  description = "One worker pool per build, by build id: its image with its digest, and its number of instances."
  type = map(object({
    image     = string
    instances = optional(number, 2)
  }))
  default = {}

  validation {
    condition     = alltrue([for build in keys(var.workers) : can(regex("^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$", build))])
    error_message = "A build id has 1 to 30 lowercase letters, digits and dashes, because it is part of a name."
  }

  validation {
    condition     = alltrue([for worker in values(var.workers) : can(regex("@sha256:[0-9a-f]{64}$", worker.image))])
    error_message = "Name the images by their digests: REGION-docker.pkg.dev/PROJECT/gamer/gamer-worker@sha256:..."
  }
}

variable "command_build" {
  description = "The build whose image the job gamer-command runs. Null: the first one of workers."
  type        = string
  default     = null
}

variable "running" {
  description = "False stops gateway and workers, for example while the database is restored."
  type        = bool
  default     = true
}

variable "gateway_instances" {
  description = "Fewest and most instances of the gateway."
  type        = object({ min = number, max = number })
  default     = { min = 1, max = 10 }
}

variable "worker_resources" {
  description = "CPU and memory of a worker. docs/operating.md has the figures behind them."
  type        = object({ cpu = string, memory = string })
  default     = { cpu = "2", memory = "8Gi" }
}

variable "collector_image" {
  description = "Image of Google's OpenTelemetry Collector, to send metrics to Managed Service for Prometheus. Null: none."
  type        = string
  default     = null
}

variable "extra_settings" {
  description = "Further settings of gateways and workers, by variable name; README.md lists them."
  type        = map(string)
  default     = {}
}

variable "extra_secrets" {
  description = "Further settings that are secret: the name of the secret by variable name. Terraform creates the secret."
  type        = map(string)
  default     = {}
}

variable "secret_versions" {
  description = "Versions of secrets by name, where it must not be the latest."
  type        = map(string)
  default     = {}
}

variable "billing_account" {
  description = "Billing account of the export, for example 012345-567890-ABCDEF. Null: what Google charges is not read."
  type        = string
  default     = null
}

variable "billing_location" {
  description = "Location of the export's dataset. Google backfills a month only in the multi-regions US and EU."
  type        = string
  default     = "US"
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the gateway and the worker pools."
  type        = bool
  default     = false
}
