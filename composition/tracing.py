"""Whether and where this process exports traces."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping
from urllib.parse import unquote

from composition.dependencies import VERSION
from settings import Settings


@contextlib.asynccontextmanager
async def traces(settings: Settings, role: str) -> AsyncIterator[None]:
    """Export traces while the context is entered, if OTEL_EXPORTER_OTLP_ENDPOINT is set."""
    if settings.otel_exporter_otlp_endpoint is None:
        yield
        return
    from tracing.export import Destination, export_traces  # noqa: PLC0415 - half a second that others need not wait

    destination = Destination(
        str(settings.otel_exporter_otlp_endpoint),
        collector_headers(settings),
        settings.otel_traces_sampler_arg,
        _resource(settings, role),
    )
    async with export_traces(destination):
        yield


def _resource(settings: Settings, role: str) -> Mapping[str, str]:
    return {
        "service.name": "gamer-provisioner",
        "service.version": VERSION,
        "service.namespace": settings.deployment,
        "service.instance.id": secrets.token_hex(8),
        "deployment.environment.name": settings.environment.value,
        "gamer.role": role,
    }


def collector_headers(settings: Settings) -> dict[str, str]:
    """Return the headers for the collector, written as `name=value,name=value` with percent-encoded values."""
    given = settings.otel_exporter_otlp_headers
    pairs = [] if given is None else [each.partition("=") for each in given.get_secret_value().split(",")]
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs if name.strip()}
