"""Checks of the addresses that a deployment names: of token keys, alerts and traces."""

from __future__ import annotations

import asyncio
import ssl

from auth.jwks import usable_keys
from composition.checks.clients import open_http
from composition.checks.outcome import CHECK_S, CheckFailedError, CheckSkippedError, reason_of
from composition.tracing import collector_headers
from providers.http import Request
from settings import Settings


async def check_token_keys(settings: Settings) -> str:
    """Fetch the identity provider's keys, and count those that can be used."""
    if settings.jwt_jwks_url is None:
        raise CheckSkippedError(
            "tokens are verified with JWT_SECRET" if settings.jwt_secret else "no tokens are verified"
        )
    async with open_http() as http:
        reply = await http.get(str(settings.jwt_jwks_url), timeout_s=CHECK_S)
    keys = list(usable_keys(reply)) if reply.status == 200 else []
    if not keys:
        raise CheckFailedError(
            f"JWT_JWKS_URL: it responds with {reply.status} and without a key for RS256 or ES256. "
            "Example: JWT_JWKS_URL=https://id.example.com/.well-known/jwks.json"
        )
    return f"{len(keys)} usable keys"


async def check_webhook(settings: Settings) -> str:
    """Open a connection, with TLS where the address has it, and send nothing."""
    url = settings.alert_webhook_url
    if url is None:
        raise CheckSkippedError("no ALERT_WEBHOOK_URL")
    encrypted = ssl.create_default_context() if url.scheme == "https" else None
    try:
        _, writer = await asyncio.open_connection(url.host, url.port, ssl=encrypted)
    except OSError as error:
        raise CheckFailedError(f"ALERT_WEBHOOK_URL: {url.host} cannot be reached: {reason_of(error)}") from None
    writer.close()
    return f"{url.host} can be reached"


async def check_traces(settings: Settings) -> str:
    """Send the collector a request without spans, which it must accept."""
    endpoint = settings.otel_exporter_otlp_endpoint
    if endpoint is None:
        raise CheckSkippedError("no OTEL_EXPORTER_OTLP_ENDPOINT")
    headers = {**collector_headers(settings), "content-type": "application/x-protobuf"}
    async with open_http() as http:
        reply = await http.send(Request("POST", f"{str(endpoint).rstrip('/')}/v1/traces", headers, b""))
    if reply.status in (401, 403):
        raise CheckFailedError(
            f"OTEL_EXPORTER_OTLP_HEADERS: the collector responds with {reply.status}. "
            "Example: OTEL_EXPORTER_OTLP_HEADERS=x-api-key=0123abcd"
        )
    if reply.status != 200:
        raise CheckFailedError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT: it responds with {reply.status} to an empty request of OTLP over HTTP. "
            "Example: OTEL_EXPORTER_OTLP_ENDPOINT=https://collector.example.net:4318"
        )
    return f"{endpoint.host} accepts traces"
