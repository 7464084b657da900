"""Settings of clouds, the bucket, placement and the simulated clouds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

from providers.base import ProviderName


class ProviderSettings(BaseSettings):
    tensordock_api_key: SecretStr | None = Field(
        None,
        description="TensorDock authorization id. Together with the token, it reads the account balance (API v0).",
        examples=["8a1c9c2e-0000-4000-8000-000000000000"],
    )
    tensordock_api_token: SecretStr | None = Field(
        None, description="TensorDock API token. Absent: TensorDock is simulated.", examples=["abcdef123456"]
    )
    tensordock_api_url: AnyHttpUrl = Field(
        AnyHttpUrl("https://dashboard.tensordock.com/api"),
        description="URL of TensorDock's API, with or without `/v2` at the end.",
        examples=["https://dashboard.tensordock.com/api"],
    )
    tensordock_requests_per_second: float = Field(
        1.0, gt=0, le=1000, description="Highest rate of requests to TensorDock, per kind of operation.", examples=["1"]
    )
    tensordock_settle_seconds: float = Field(
        45.0,
        ge=0,
        le=600,
        description="How long TensorDock's list of machines may lag behind an order whose response was lost.",
        examples=["45"],
    )
    tensordock_image: str = Field(
        "ubuntu2404_ml_pytorch",
        pattern=r"^ubuntu[a-z0-9_]{4,60}$",
        description="Disk image of new TensorDock machines. The set-up leaves out a driver that the image has.",
        examples=["ubuntu2404"],
    )
    golden_image_locations: Annotated[tuple[Literal["us", "eu", "asia"], ...], NoDecode] = Field(
        (),
        description="Where prepared disk images are made at Google and machines are created from them: `us`, `eu`, "
        "`asia`, separated by commas. Absent: every machine at Google is set up in full.",
        examples=["us,eu"],
    )
    golden_image_days: float = Field(
        7.0,
        gt=0,
        le=365,
        description="How often, in days, prepared disk images are made again. Images older than four times as much are "
        "not used.",
        examples=["7"],
    )
    wolf_control_port: int = Field(
        47999,
        ge=1,
        le=65535,
        description="UDP port on which Wolf receives its clients' packets. A machine that receives none is idle.",
        examples=["47999"],
    )
    cloudypad_command: str | None = Field(
        None,
        description="The CloudyPad executable. Absent: `cloudypad` on PATH, or the simulated one.",
        examples=["/usr/local/bin/cloudypad"],
    )
    cloudypad_config_path: Path | None = Field(
        None, description="CloudyPad's home folder. Absent: `cloudypad` in DATA_DIR.", examples=["/var/lib/cloudypad"]
    )
    cloudypad_runs_at_once: int = Field(
        5,
        ge=1,
        le=100,
        description="Machines that one worker sets up at the same time with CloudyPad; further ones wait. Two more "
        "runs are for starting, stopping and deleting machines. Each run needs up to 1 GB of memory.",
        examples=["5"],
    )
    cloudypad_autostop_minutes: int = Field(
        120,
        ge=10,
        le=1440,
        description="A Google Cloud machine turns itself off after this long without a stream, even if the "
        "service is down. Must be longer than any `idleStopMinutes`.",
        examples=["120"],
    )
    gcp_project_id: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$",
        description="Google Cloud project in which CloudyPad creates machines. Absent: simulated, or none.",
        examples=["gamer-prod"],
    )
    gcp_spot: bool = Field(
        False,
        description="Rent Google Cloud machines as Spot VMs, which are cheaper but can be taken away at any time.",
        examples=["true"],
    )
    google_location_finder_url: AnyHttpUrl | None = Field(
        None,
        description="URL of Google's Location Finder. Absent: Google's own.",
        examples=["https://cloudlocationfinder.googleapis.com"],
    )
    google_catalog_url: AnyHttpUrl | None = Field(
        None,
        description="URL of Google's Cloud Billing Catalog (gRPC). Absent: Google's own.",
        examples=["https://cloudbilling.googleapis.com"],
    )
    google_compute_url: AnyHttpUrl | None = Field(
        None,
        description="URL of Google's Compute Engine API. Absent: Google's own.",
        examples=["https://compute.googleapis.com"],
    )
    gcs_bucket_name: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$",
        description="Bucket of the game library and the saves. Absent: a simulated one.",
        examples=["gamer-library"],
    )
    gcs_endpoint_url: AnyHttpUrl = Field(
        AnyHttpUrl("https://storage.googleapis.com"),
        description="URL of Google Cloud Storage's API.",
        examples=["https://storage.googleapis.com"],
    )
    gcs_signing_account: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9._-]*@[a-z0-9.-]+$",
        description="Service account that signs the download URLs of saves. Absent: that of the credentials file, "
        "or of the machine that the service runs on.",
        examples=["saves-reader@gamer-prod.iam.gserviceaccount.com"],
    )
    gcs_signing_url: AnyHttpUrl = Field(
        AnyHttpUrl("https://iamcredentials.googleapis.com"),
        description="URL of Google's Service Account Credentials API, which signs where the service has no key.",
        examples=["https://iamcredentials.googleapis.com"],
    )
    saves_undelete_days: int = Field(
        30,
        ge=1,
        le=365,
        description="Days for which a deleted save can be undeleted. Afterwards it is removed from the bucket.",
        examples=["30"],
    )
    rtt_probe_urls: Annotated[tuple[tuple[ProviderName, str, AnyHttpUrl], ...], NoDecode] = Field(
        (),
        description="Endpoints to which players' browsers measure the round trip, one for each site, as "
        "`PROVIDER:SITE=URL` separated by commas. Their origins are added to the console page's policy. Absent: "
        "nothing is measured.",
        examples=["CLOUDYPAD:us-central1=https://us-central1.ping.example.com/"],
    )
    google_application_credentials: Path | None = Field(
        None,
        description="Google credentials file of the service. Absent: the credentials of the machine that it runs on.",
        examples=["/secrets/google.json"],
    )
    gcs_library_key_file: Path | None = Field(
        None,
        description="Service account key that may only read the library; machines use it to mount the library.",
        examples=["/secrets/library.json"],
    )
    ssh_key_path: Path | None = Field(
        None,
        description="The service's private SSH key. Absent: `ssh/id_ed25519` in DATA_DIR, created at the first start.",
        examples=["/secrets/id_ed25519"],
    )
    geocode_online: bool = Field(
        False,
        description="Look up place names that the built-in gazetteer lacks at Nominatim.",
        examples=["true"],
    )
    placement_weight_rtt_ms: float = Field(
        1.0,
        ge=0,
        le=1000,
        description="Points that each millisecond of estimated round trip adds to a placement's score.",
        examples=["1"],
    )
    placement_weight_usd_per_hour: float = Field(
        30.0,
        ge=0,
        le=100_000,
        description="Points that each dollar per hour adds to a placement's score. By default a dollar weighs "
        "as much as 30 ms.",
        examples=["30"],
    )
    placement_weight_waiting_minute: float = Field(
        1.0,
        ge=0,
        le=1000,
        description="Points that each minute until a game is usually playable (the median of `playableIn`) adds to a "
        "placement's score. By default ten minutes weigh as much as 10 ms, or about 670 km; 0 ignores waiting.",
        examples=["1"],
    )
    image_registry_url: AnyHttpUrl | None = Field(
        None,
        description="URL of a registry mirror that provides the digests of emulator images, with the image's own "
        "registry in `ns`. Absent: each image's own registry, or the simulated one.",
        examples=["https://mirror.example.com"],
    )
    image_check_hours: float = Field(
        24.0,
        gt=0,
        le=8760,
        description="How often, in hours, workers resolve the tags of emulator images.",
        examples=["24"],
    )
    refuse_unplayable: bool = Field(
        False,
        description="Refuse launches of games that no configured emulator starts. Otherwise they are accepted, with a "
        "`warning`.",
        examples=["true"],
    )
    simulator_clock_factor: float = Field(
        10.0,
        gt=0,
        le=100_000,
        description="How much faster than real time the simulated clouds run.",
        examples=["1"],
    )
    simulator_seed: int = Field(1, description="Random seed of the simulated clouds.", examples=["42"])

    @field_validator("golden_image_locations", mode="before")
    @classmethod
    def _locations(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("rtt_probe_urls", mode="before")
    @classmethod
    def _probes(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        probes = [_probe(entry.strip()) for entry in value.split(",") if entry.strip()]
        sites = [probe[:2] for probe in probes]
        if len(set(sites)) < len(sites):
            raise ValueError("names a site twice")
        if len(probes) > _MOST_PROBES:
            raise ValueError(f"has more than {_MOST_PROBES} endpoints")
        return tuple(probes)


# The origin becomes part of a policy, so it has no sign that could end a directive, and no user or password.
_PROBE_URL = re.compile(r"https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?(/|$)", re.ASCII)
_MOST_PROBES = 100  # as many round trips as one request may carry


def _probe(entry: str) -> tuple[str, str, str]:
    site, _, url = entry.partition("=")
    provider, _, site_id = site.partition(":")
    if provider not in set(ProviderName) or not site_id or not _PROBE_URL.match(url):
        raise ValueError("must be PROVIDER:SITE=URL, separated by commas")
    return provider, site_id, url
