"""Every variable the service reads, parsed once. Only the composition root (server.py, composition/, safety.py)
imports this; everything else is handed its values."""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import unquote

from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

IpNetwork = IPv4Network | IPv6Network
_MIN_SECRET_LENGTH: Final = 32
ROLES: Final = ("player", "operator", "service")
DATABASE_NAME: Final = "^[A-Za-z0-9_-]{1,38}$"
_MONGODB_SCHEMES: Final = ("mongodb://", "mongodb+srv://")
_SYSTEM_DATABASES: Final = frozenset({"", "admin", "config", "local"})  # in an address they say where users are kept
_OF_FORM: Final = frozenset({"string_pattern_mismatch", "string_too_long"})
# What the patterns below allow, in words.
_FORMS: Final = {
    "log_level": "must be DEBUG, INFO, WARNING or ERROR",
    "deployment": "must be at most 12 lowercase letters, dashes and digits, with letters and digits apart by a dash, "
    "beginning with a letter",
    "worker_build_id": "must be 1 to 63 letters, digits, dots, underscores and dashes, beginning with a letter or "
    "digit",
    "mongodb_database": "must be 1 to 38 letters, digits, underscores and dashes",
    "temporal_address": "must be a host and a port with a colon between them, without https://",
    "gcp_project_id": "must be 6 to 30 lowercase letters, digits and dashes, beginning with a letter, not ending with "
    "a dash",
    "gcp_billing_export_table": "must be project, dataset and table with dots between them",
    "gcs_bucket_name": "must be 3 to 63 lowercase letters, digits, dots, underscores and dashes, beginning and ending "
    "with a letter or digit, without gs://",
}


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class SettingsError(Exception):
    """One line that names the variable, what is wrong with its value, and an example of a right one."""


class Settings(BaseSettings):
    """Frozen. Secrets print as stars. The description of each field is its line in the README's table."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, case_sensitive=False
    )

    environment: Environment = Field(
        Environment.DEVELOPMENT, description="`development` or `production`.", examples=["production"]
    )
    deployment: str = Field(
        "main",
        max_length=12,
        pattern="^[a-z]+(-([a-z]+|[0-9]+))*$",
        description="Name of this installation. It stands in the names of its machines and in its database; machines "
        "with another name are never touched. Production must set it.",
        examples=["main"],
    )
    host: str = Field("127.0.0.1", description="Address to listen on.", examples=["0.0.0.0"])
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.", examples=["8080"])
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR.", examples=["DEBUG"]
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        ("http://localhost:3000", "http://localhost:5173"),
        description="Web origins that may call from a browser, separated by commas.",
        examples=["https://play.example.com"],
    )
    trusted_proxies: Annotated[tuple[IpNetwork, ...], NoDecode] = Field(
        (ip_network("127.0.0.1/32"), ip_network("::1/128")),
        description="Addresses or networks of your proxies, separated by commas. What they say in `X-Forwarded-For`, "
        "`-Proto` and `-Host` is believed: rates count by the real client.",
        examples=["10.0.0.0/8,fd00::/8"],
    )
    trusted_proxy_hops: int = Field(
        0,
        ge=0,
        le=10,
        description="Number of proxies that every request comes through, where their addresses are not known; 0: they "
        "are those of TRUSTED_PROXIES.",
        examples=["1"],
    )
    keep_alive_seconds: int = Field(
        75,
        ge=1,
        le=3600,
        description="How long a connection is kept open between two requests. Longer than your proxy keeps it, or "
        "requests are lost on connections that are just being closed.",
        examples=["620"],
    )
    max_idle_connections: int = Field(
        500,
        ge=1,
        le=100_000,
        description="Connections that one process keeps open between two requests; the oldest is closed first.",
        examples=["500"],
    )
    max_body_bytes: int = Field(
        131_072, ge=1024, le=16_777_216, description="Largest body of a request.", examples=["131072"]
    )
    max_head_bytes: int = Field(
        16_384,
        ge=4096,
        le=65_536,
        description="Largest head of a request: its address and headers.",
        examples=["16384"],
    )
    max_headers: int = Field(
        100, ge=10, le=128, description="Largest number of headers of a request.", examples=["100"]
    )
    rate_limit_per_minute: int = Field(
        600,
        ge=1,
        le=1_000_000,
        description="Requests a caller may send in a minute, over all processes together.",
        examples=["600"],
    )
    max_sockets_per_caller: int = Field(
        20, ge=1, le=10_000, description="WebSockets a caller may hold open at one process.", examples=["20"]
    )
    max_operations_per_socket: int = Field(
        50, ge=1, le=10_000, description="Operations that may run on one WebSocket at a time.", examples=["50"]
    )
    max_messages_per_minute: int = Field(
        600,
        ge=1,
        le=1_000_000,
        description="Messages a client may send on one WebSocket in a minute.",
        examples=["600"],
    )
    max_subscription_minutes: float = Field(
        360.0, gt=0, le=10_080, description="How long a subscription may last.", examples=["360"]
    )
    max_batch_size: int = Field(
        1, ge=1, le=100, description="Requests in one JSON array; 1 takes no arrays.", examples=["10"]
    )
    header_timeout_seconds: float = Field(
        10.0, gt=0, le=300, description="How long the head of a request may take to arrive.", examples=["10"]
    )
    body_timeout_seconds: float = Field(
        10.0, gt=0, le=300, description="How long the body of a request may take to arrive.", examples=["10"]
    )
    connection_init_timeout_seconds: float = Field(
        10.0, gt=0, le=300, description="How long a WebSocket may take to say who it is.", examples=["10"]
    )
    slow_reader_seconds: float = Field(
        20.0, gt=0, le=300, description="A stream whose client reads nothing for so long is cut off.", examples=["20"]
    )
    credentials_recheck_seconds: float = Field(
        30.0,
        gt=0,
        le=60,
        description="How often the credentials of an open stream are looked at again.",
        examples=["30"],
    )
    trusted_documents_only: bool = Field(
        False, description="Are only the documents of graphql/operations/ run?", examples=["true"]
    )
    max_query_tokens: int = Field(
        1000, ge=100, le=100_000, description="Largest number of tokens of a GraphQL document.", examples=["1000"]
    )
    max_query_depth: int = Field(
        12, ge=1, le=100, description="Deepest nesting of fields in a GraphQL document.", examples=["12"]
    )
    max_query_introspection_depth: int = Field(
        15, ge=1, le=100, description="Deepest nesting within `__schema` and `__type`.", examples=["15"]
    )
    max_query_aliases: int = Field(
        30, ge=0, le=10_000, description="Largest number of aliases in a GraphQL document.", examples=["30"]
    )
    max_query_directives: int = Field(
        30, ge=0, le=10_000, description="Largest number of directives in a GraphQL document.", examples=["30"]
    )
    max_query_fragments: int = Field(
        50, ge=0, le=10_000, description="Largest number of fragments in a GraphQL document.", examples=["50"]
    )
    max_query_root_fields: int = Field(
        20, ge=1, le=10_000, description="Largest number of fields at the root of an operation.", examples=["20"]
    )
    max_query_repeated_fields: int = Field(
        50,
        ge=0,
        le=10_000,
        description="Largest number of fields that stand beside another of the same name in a GraphQL document.",
        examples=["50"],
    )
    max_query_cost: int = Field(
        10_000,
        ge=1,
        le=1_000_000_000,
        description="Largest cost of an operation: roughly the values it may answer with.",
        examples=["10000"],
    )
    max_page_size: int = Field(100, ge=1, le=100, description="Largest `first` or `limit` of a list.", examples=["100"])
    jwt_secret: SecretStr | None = Field(
        None,
        description="Secret of HS256 tokens, at least 32 characters.",
        examples=["$(openssl rand -base64 48)"],
    )
    jwt_jwks_url: AnyHttpUrl | None = Field(
        None,
        description="Where the identity provider lists its keys for RS256 and ES256 tokens; instead of JWT_SECRET.",
        examples=["https://id.example.com/.well-known/jwks.json"],
    )
    jwt_issuer: str | None = Field(
        None, min_length=1, description="The `iss` that tokens must carry.", examples=["https://id.example.com/"]
    )
    jwt_audience: str | None = Field(
        None, min_length=1, description="The `aud` that tokens must carry.", examples=["gamer-provisioner"]
    )
    jwt_role_claim: str | None = Field(
        None,
        min_length=1,
        description="The claim that has the role or the list of roles, with dots for claims inside others; absent: "
        "`role`, which is one word.",
        examples=["realm_access.roles"],
    )
    jwt_roles: Annotated[tuple[tuple[str, str], ...], NoDecode] = Field(
        (),
        description="What the identity provider calls the roles `operator`, `service` and `player`, as `theirs=ours` "
        "with commas between them; absent: the same.",
        examples=["gamer-admins=operator,gamer-backend=service"],
    )
    api_key_secret: SecretStr | None = Field(
        None,
        description="Secret that keys the hashes of API keys, the same for all processes; absent: "
        "`api-key-secret` in DATA_DIR, made once.",
        examples=["$(openssl rand -base64 48)"],
    )
    api_key_secret_previous: SecretStr | None = Field(
        None,
        description="The former API_KEY_SECRET, until the keys that were made with it have been used again.",
        examples=["the value that API_KEY_SECRET had"],
    )
    metrics_token: SecretStr | None = Field(
        None,
        description="Bearer token with which Prometheus reads /metrics in production, beside operators and services; "
        "at least 32 characters.",
        examples=["$(openssl rand -hex 32)"],
    )
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port on which a process that is a worker alone shows /metrics and /health; absent: none.",
        examples=["9100"],
    )
    data_dir: Path = Field(Path(".data"), description="Folder for all local state.", examples=["/var/lib/gamer"])

    mongodb_atlas_uri: SecretStr | None = Field(
        None,
        description="MongoDB connection string; a database named in it counts. Absent: an embedded database is "
        "started.",
        examples=["mongodb+srv://user:password@cluster.example.net/gamer"],
    )
    mongodb_database: str = Field(
        "gamer",
        pattern=DATABASE_NAME,
        description="Database name, where MONGODB_ATLAS_URI has none.",
        examples=["gamer"],
    )
    temporal_address: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9.-]+:\d{1,5}$",
        description="Temporal's host:port; absent: an embedded development server is started.",
        examples=["gamer.a1b2c.tmprl.cloud:7233"],
    )
    temporal_namespace: str = Field("default", description="Temporal namespace.", examples=["gamer.a1b2c"])
    temporal_api_key: SecretStr | None = Field(None, description="Temporal Cloud API key.", examples=["eyJhbGciOi..."])
    temporal_tls_cert_path: Path | None = Field(
        None, description="Client certificate for mTLS to Temporal.", examples=["/secrets/temporal.pem"]
    )
    temporal_tls_key_path: Path | None = Field(
        None, description="Private key of that certificate.", examples=["/secrets/temporal.key"]
    )
    temporal_task_queue: str = Field("gamer", description="Task queue of the workers.", examples=["gamer"])
    worker_build_id: str | None = Field(
        None,
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
        description="Version of a worker's build for Temporal's Worker Versioning; absent: workers are not versioned.",
        examples=["3c64b46"],
    )

    tensordock_api_key: SecretStr | None = Field(
        None,
        description="TensorDock authorization id; with the token it reads the balance (v0).",
        examples=["8a1c9c2e-0000-4000-8000-000000000000"],
    )
    tensordock_api_token: SecretStr | None = Field(
        None, description="TensorDock API token; absent: TensorDock is simulated.", examples=["abcdef123456"]
    )
    tensordock_api_url: AnyHttpUrl = Field(
        AnyHttpUrl("https://dashboard.tensordock.com/api"),
        description="Where TensorDock's API is, with or without `/v2` at the end.",
        examples=["https://dashboard.tensordock.com/api"],
    )
    tensordock_requests_per_second: float = Field(
        1.0, gt=0, le=1000, description="Pace of requests to TensorDock, per kind of operation.", examples=["1"]
    )
    tensordock_settle_seconds: float = Field(
        45.0,
        ge=0,
        le=600,
        description="How long TensorDock's list of machines may lag behind an order whose answer was lost.",
        examples=["45"],
    )
    wolf_control_port: int = Field(
        47999,
        ge=1,
        le=65535,
        description="UDP port on which Wolf hears its clients: a machine without packets there is idle.",
        examples=["47999"],
    )
    cloudypad_command: str | None = Field(
        None,
        description="The CloudyPad executable; absent: `cloudypad` on PATH, or the simulated one.",
        examples=["/usr/local/bin/cloudypad"],
    )
    cloudypad_config_path: Path | None = Field(
        None, description="CloudyPad's home folder; absent: `cloudypad` in DATA_DIR.", examples=["/var/lib/cloudypad"]
    )
    cloudypad_autostop_minutes: int = Field(
        120,
        ge=10,
        le=1440,
        description="A machine at Google Cloud turns itself off after so long without a stream, whoever else has died; "
        "longer than any `idleStopMinutes`.",
        examples=["120"],
    )
    gcp_project_id: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$",
        description="Google Cloud project in which CloudyPad creates machines; absent: simulated, or none.",
        examples=["gamer-prod"],
    )
    gcp_spot: bool = Field(
        False,
        description="Are machines at Google Cloud rented as Spot? Cheaper, and taken away at any time.",
        examples=["true"],
    )
    google_location_finder_url: AnyHttpUrl | None = Field(
        None,
        description="Where Google's Location Finder is; absent: Google's own.",
        examples=["https://cloudlocationfinder.googleapis.com"],
    )
    google_catalog_url: AnyHttpUrl | None = Field(
        None,
        description="Where Google's Cloud Billing Catalog (gRPC) is; absent: Google's own.",
        examples=["https://cloudbilling.googleapis.com"],
    )
    google_compute_url: AnyHttpUrl | None = Field(
        None,
        description="Where Google's Compute Engine API is; absent: Google's own.",
        examples=["https://compute.googleapis.com"],
    )
    gcp_billing_export_table: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9-]{4,61}[a-z0-9]\.[A-Za-z0-9_]+\.[A-Za-z0-9_]+$",
        description="Google's detailed billing export in BigQuery; absent: what Google charged is not known.",
        examples=["gamer-prod.billing.gcp_billing_export_resource_v1_012345_567890_ABCDEF"],
    )
    gcp_bigquery_url: AnyHttpUrl = Field(
        AnyHttpUrl("https://bigquery.googleapis.com"),
        description="Where BigQuery's API is.",
        examples=["https://bigquery.googleapis.com"],
    )
    alert_webhook_url: AnyHttpUrl | None = Field(
        None,
        description="Where spending alerts are sent to; absent: nowhere.",
        examples=["https://ops.example.com/hooks/gamer"],
    )
    alert_webhook_secret: SecretStr | None = Field(
        None,
        description="Secret that signs what is sent there, at least 32 characters.",
        examples=["$(openssl rand -base64 48)"],
    )
    spending_stop_grace_seconds: float = Field(
        120.0,
        ge=0,
        le=3600,
        description="How long before its machine is stopped by a hard spending limit a player is warned.",
        examples=["120"],
    )
    gcp_billing_account: str | None = Field(
        None,
        description="Google Cloud billing account; with the billing export, only what this one was charged is read.",
        examples=["012345-567890-ABCDEF"],
    )
    gcs_bucket_name: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$",
        description="Bucket of the game library and the saves; absent: a simulated one.",
        examples=["gamer-library"],
    )
    gcs_endpoint_url: AnyHttpUrl = Field(
        AnyHttpUrl("https://storage.googleapis.com"),
        description="Where Google Cloud Storage's API is.",
        examples=["https://storage.googleapis.com"],
    )
    google_application_credentials: Path | None = Field(
        None,
        description="Google credentials file of the service; absent: those of the machine it runs on.",
        examples=["/secrets/google.json"],
    )
    gcs_library_key_file: Path | None = Field(
        None,
        description="Service account key that may only read the library; machines mount with it.",
        examples=["/secrets/library.json"],
    )
    ssh_key_path: Path | None = Field(
        None,
        description="Our private SSH key; absent: `ssh/id_ed25519` in DATA_DIR, made once.",
        examples=["/secrets/id_ed25519"],
    )
    geocode_online: bool = Field(
        False,
        description="May place names that the built-in gazetteer lacks be looked up at Nominatim?",
        examples=["true"],
    )
    placement_weight_rtt_ms: float = Field(
        1.0,
        ge=0,
        le=1000,
        description="Points of a place's score per millisecond of estimated round trip.",
        examples=["1"],
    )
    placement_weight_usd_per_hour: float = Field(
        30.0,
        ge=0,
        le=100_000,
        description="Points of a place's score per dollar an hour; by default a dollar weighs as much as 30 ms.",
        examples=["30"],
    )
    simulator_clock_factor: float = Field(
        10.0,
        gt=0,
        le=100_000,
        description="How much faster than real time the simulated clouds work.",
        examples=["1"],
    )
    simulator_seed: int = Field(1, description="Seed of the simulated clouds' chance.", examples=["42"])

    @model_validator(mode="before")
    @classmethod
    def _strip(cls, values: dict[str, Any]) -> dict[str, Any]:
        """A secret that was stored by `echo` ends with a line end."""
        return {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}

    @field_validator("mongodb_atlas_uri")
    @classmethod
    def _is_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        if not value.get_secret_value().startswith(_MONGODB_SCHEMES):
            raise ValueError("must begin with mongodb:// or mongodb+srv://")
        named = database_in(value.get_secret_value())
        if named is not None and not re.fullmatch(DATABASE_NAME, named):
            raise ValueError("names a database that is not 1 to 38 letters, digits, underscores and dashes")
        return value

    @field_validator("cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("*", mode="before")
    @classmethod
    def _one_line(cls, value: object) -> object:
        if isinstance(value, str) and any(sign in value for sign in "\r\n\0"):
            raise ValueError("has a line end inside; it must be one line")
        return value

    @field_validator("jwt_roles", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [pair.strip().rpartition("=") for pair in value.split(",") if pair.strip()]
        if any(not theirs.strip() or ours.strip() not in ROLES for theirs, _, ours in pairs):
            raise ValueError(f"must be pairs such as their-word=operator, of the roles {', '.join(ROLES)}")
        return tuple((theirs.strip(), ours.strip()) for theirs, _, ours in pairs)

    @field_validator("jwt_secret", "api_key_secret", "api_key_secret_previous", "alert_webhook_secret", "metrics_token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < _MIN_SECRET_LENGTH:
            raise ValueError(f"a secret has at least {_MIN_SECRET_LENGTH} characters")
        return value


def load_settings(**overrides: Any) -> Settings:
    """Read the environment and `.env`. Raises SettingsError for the first variable that is wrong."""
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(_first_fault(error)) from None
    return _with_database_of_address(settings)


def database_in(uri: str) -> str | None:
    """Return the database that a MongoDB address names; None for none, or one of MongoDB's own."""
    _, _, rest = uri.partition("://")
    _, _, path = rest.partition("/")
    name = unquote(path.partition("?")[0])
    return None if name in _SYSTEM_DATABASES else name


def _with_database_of_address(settings: Settings) -> Settings:
    if settings.mongodb_atlas_uri is None:
        return settings
    named = database_in(settings.mongodb_atlas_uri.get_secret_value())
    if named is None or named == settings.mongodb_database:
        return settings
    if "mongodb_database" in settings.model_fields_set:
        raise SettingsError(
            f"MONGODB_DATABASE: is {settings.mongodb_database}, but MONGODB_ATLAS_URI names the database {named}. "
            f"Name one of them. Example: MONGODB_DATABASE={named}"
        )
    return settings.model_copy(update={"mongodb_database": named})


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    name = str(fault["loc"][0]) if fault["loc"] else "settings"
    field = Settings.model_fields.get(name)
    example = f" Example: {name.upper()}={field.examples[0]}" if field and field.examples else ""
    words = _FORMS.get(name) if fault["type"] in _OF_FORM else None
    return f"{name.upper()}: {words or fault['msg'].removeprefix('Value error, ')}.{example}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`; as an address has it, brackets or not."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
