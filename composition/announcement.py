"""What the service says when it has started: a log line, and a text for the terminal in development."""

from __future__ import annotations

import asyncio
import logging
import socket

from auth.authenticator import DEVELOPER
from composition.dependencies import VERSION, Dependencies
from composition.embedded_defaults import needs_simulator
from composition.waiting import retry_until_available
from embedded.startup import startup_text
from safety import lets_developer_in
from settings import Settings, is_loopback

log = logging.getLogger("server")


async def log_start(settings: Settings, role: str, prepared: asyncio.Event) -> None:
    """Log what runs here once the database can be used."""
    await prepared.wait()
    about = {"version": VERSION, "role": role, "environment": settings.environment, "deployment": settings.deployment}
    log.info("started", extra=about)


async def print_startup_text(
    given: Settings, settings: Settings, parts: Dependencies, listener: socket.socket, prepared: asyncio.Event
) -> None:
    """Print the startup text once the database and Temporal can be used. `given` are the settings as they were set."""
    await prepared.wait()
    await retry_until_available(parts.engine.ping, "temporal")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    simulated = {
        "TensorDock": is_loopback(settings.tensordock_api_url.host or ""),
        "CloudyPad": given.cloudypad_command is None and needs_simulator(given),
        "the game bucket": is_loopback(settings.gcs_endpoint_url.host or ""),
    }
    children = {
        "the database": given.mongodb_atlas_uri is None,
        "Temporal": given.temporal_address is None,
        "the simulator": needs_simulator(given),
    }
    text = startup_text(
        f"http://{host}:{listener.getsockname()[1]}",
        everyone_is=DEVELOPER.id if lets_developer_in(settings) else None,
        simulated=[name for name, so in simulated.items() if so],
        embedded=[name for name, so in children.items() if so],
    )
    print(text, flush=True)  # noqa: T201  (output for the terminal)
