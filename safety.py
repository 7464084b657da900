"""Refuses to start with unsafe settings. Only the composition root imports this module."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from auth.tokens import SharedSecret
from settings import Environment, Settings, SettingsError, is_loopback


def refuse_unsafe(settings: Settings, role: str = "all") -> None:
    """Raise SettingsError for the first setting that is unsafe in this role."""
    fault = next(faults(settings, role), None)
    if fault is not None:
        raise SettingsError(fault)


def lets_developer_in(settings: Settings) -> bool:
    """Return whether callers without credentials become the operator `developer`."""
    return (
        settings.environment is Environment.DEVELOPMENT and not _checks_tokens(settings) and is_loopback(settings.host)
    )


def faults(settings: Settings, role: str = "all") -> Iterator[str]:
    """Yield a line for every unsafe setting. A gateway needs no settings that only workers use."""
    yield from _token_faults(settings)
    yield from _certificate_faults(settings)
    if settings.alert_webhook_url is not None and settings.alert_webhook_secret is None:
        yield (
            "ALERT_WEBHOOK_SECRET: alerts are never sent unsigned. "
            "Example: ALERT_WEBHOOK_SECRET=$(openssl rand -base64 48)"
        )
    if settings.environment is Environment.PRODUCTION:
        yield from _production_faults(settings, role)
    elif not _checks_tokens(settings) and not is_loopback(settings.host):
        yield (
            f"HOST: {settings.host} can be reached from other machines, and without JWT_SECRET or JWT_JWKS_URL every "
            "caller would be an operator. Example: HOST=127.0.0.1"
        )


def _token_faults(settings: Settings) -> Iterator[str]:
    if settings.jwt_secret is None:
        return
    if settings.jwt_jwks_url is not None:
        yield "JWT_JWKS_URL: must not be set together with JWT_SECRET. Example: JWT_SECRET unset"
    try:
        SharedSecret(settings.jwt_secret)
    except ValueError as error:
        yield f"JWT_SECRET: {error}. Example: JWT_SECRET=$(openssl rand -base64 48)"


def _certificate_faults(settings: Settings) -> Iterator[str]:
    """Yield a line if only one of the certificate and its key is set."""
    if (settings.temporal_tls_cert_path is None) == (settings.temporal_tls_key_path is None):
        return
    missing = "TEMPORAL_TLS_CERT_PATH" if settings.temporal_tls_cert_path is None else "TEMPORAL_TLS_KEY_PATH"
    example = "/secrets/temporal.pem" if missing.endswith("CERT_PATH") else "/secrets/temporal.key"
    yield f"{missing}: mTLS needs the certificate and its key, and only one is set. Example: {missing}={example}"


def _production_faults(settings: Settings, role: str) -> Iterator[str]:
    if "deployment" not in settings.model_fields_set:
        yield "DEPLOYMENT: production requires it, to name this installation. Example: DEPLOYMENT=main"
    if not _checks_tokens(settings):
        yield (
            "JWT_SECRET: production requires it, or JWT_JWKS_URL, to authenticate callers. "
            "Example: JWT_SECRET=$(openssl rand -base64 48)"
        )
    if settings.jwt_jwks_url is not None and _is_unencrypted(str(settings.jwt_jwks_url)):
        yield (
            "JWT_JWKS_URL: the address must use https, or the keys cannot be trusted. "
            "Example: JWT_JWKS_URL=https://id.example.com/.well-known/jwks.json"
        )
    if settings.alert_webhook_url is not None and _is_unencrypted(str(settings.alert_webhook_url)):
        yield (
            "ALERT_WEBHOOK_URL: the address must use https, or others can read the alerts. "
            "Example: ALERT_WEBHOOK_URL=https://ops.example.com/hooks/gamer"
        )
    endpoint = settings.otel_exporter_otlp_endpoint
    if endpoint is not None and settings.otel_exporter_otlp_headers is not None and _is_unencrypted(str(endpoint)):
        yield (
            "OTEL_EXPORTER_OTLP_ENDPOINT: the address must use https, or others can read the collector's key. "
            "Example: OTEL_EXPORTER_OTLP_ENDPOINT=https://collector.example.net:4318"
        )
    if settings.metrics_port is not None and settings.metrics_token is None:
        yield (
            "METRICS_TOKEN: a worker's metrics need it, because a worker has no other callers. "
            "Example: METRICS_TOKEN=$(openssl rand -hex 32)"
        )
    for origin in ("*", "null"):
        if origin in settings.cors_origins:
            yield f"CORS_ORIGINS: {origin} allows every web page to call. Example: CORS_ORIGINS=https://play.example.com"
    yield from _shared_faults(settings, role)
    yield from _simulation_faults(settings)


def _shared_faults(settings: Settings, role: str) -> Iterator[str]:
    """Yield a line for each missing setting that all replicas must share."""
    if settings.mongodb_atlas_uri is None:
        yield (
            "MONGODB_ATLAS_URI: the embedded database is for development. "
            "Example: MONGODB_ATLAS_URI=mongodb+srv://user:password@cluster.example.net"
        )
    if settings.temporal_address is None:
        yield (
            "TEMPORAL_ADDRESS: the embedded Temporal server is for development. "
            "Example: TEMPORAL_ADDRESS=gamer.a1b2c.tmprl.cloud:7233"
        )
    if settings.ssh_key_path is None and role != "gateway":
        yield "SSH_KEY_PATH: all workers must use the same SSH key. Example: SSH_KEY_PATH=/secrets/id_ed25519"
    if settings.api_key_secret is None:
        yield (
            "API_KEY_SECRET: all replicas must hash API keys with the same secret. "
            "Example: API_KEY_SECRET=$(openssl rand -base64 48)"
        )


def _simulation_faults(settings: Settings) -> Iterator[str]:
    if settings.tensordock_api_token is None:
        yield "TENSORDOCK_API_TOKEN: production requires a real cloud. Example: TENSORDOCK_API_TOKEN=abcdef123456"
    if settings.gcs_bucket_name is None:
        yield "GCS_BUCKET_NAME: production requires a real library. Example: GCS_BUCKET_NAME=gamer-library"
    for name in (
        *("tensordock_api_url", "gcs_endpoint_url", "google_location_finder_url", "google_catalog_url"),
        *("google_compute_url", "gcs_signing_url"),
    ):
        if is_loopback(_host(str(getattr(settings, name)))):
            (example,) = Settings.model_fields[name].examples or [""]
            yield f"{name.upper()}: production must not use a local simulation. Example: {name.upper()}={example}"


def _checks_tokens(settings: Settings) -> bool:
    return settings.jwt_secret is not None or settings.jwt_jwks_url is not None


def _is_unencrypted(url: str) -> bool:
    return urlsplit(url).scheme != "https" and not is_loopback(_host(url))


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
