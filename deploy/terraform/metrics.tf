# A collector beside each gateway and worker, if there is an image for it; docs/metrics.md says why one is needed.

locals {
  collectors = var.collector_image == null ? [] : [var.collector_image]

  collector_settings = {
    COLLECTOR_CONFIG = file("${path.module}/collector.yaml")
    DEPLOYMENT       = var.deployment
    REGION           = var.region
  }

  writes_metrics = var.collector_image == null ? {} : {
    "roles/monitoring.metricWriter" = "the collector writes to Google's Managed Service for Prometheus"
  }
}
