# All that gateways and workers send leaves from one fixed address, which is the only one on Atlas's access list.

resource "google_compute_network" "gamer" {
  name                    = "gamer"
  auto_create_subnetworks = false
  depends_on              = [google_project_service.api]
}

resource "google_compute_subnetwork" "gamer" {
  name          = "gamer"
  network       = google_compute_network.gamer.id
  region        = var.region
  ip_cidr_range = "10.10.0.0/24"

  # Google's own APIs are reached without the address translation.
  private_ip_google_access = true
}

resource "google_compute_address" "egress" {
  name       = "gamer-egress"
  region     = var.region
  depends_on = [google_project_service.api]
}

resource "google_compute_router" "gamer" {
  name    = "gamer"
  network = google_compute_network.gamer.id
  region  = var.region
}

resource "google_compute_router_nat" "gamer" {
  name                               = "gamer"
  router                             = google_compute_router.gamer.name
  region                             = var.region
  nat_ip_allocate_option             = "MANUAL_ONLY"
  nat_ips                            = [google_compute_address.egress.self_link]
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"

  # An address has 64,512 ports, so this is enough for 63 instances. A worker holds a connection per machine.
  min_ports_per_vm = 1024

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}
