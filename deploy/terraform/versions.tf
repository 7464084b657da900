terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "7.46.0"
    }
  }

  # The bucket is named at `terraform init -backend-config`, because Terraform cannot create it.
  backend "gcs" {
    prefix = "gamer"
  }
}

provider "google" {
  project = var.project
  region  = var.region
}
