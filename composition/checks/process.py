"""Checks of what a process has on its own machine: its folder, its port, its key."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from composition.checks.outcome import CheckFailedError, CheckSkippedError, reason_of
from composition.dependencies import key_pair
from settings import Environment, Settings


async def check_data_folder(settings: Settings) -> str:
    """Check that the data folder can be written or created."""
    folder = settings.data_dir.absolute()
    if not await asyncio.to_thread(_can_be_written, folder):
        raise CheckFailedError(f"DATA_DIR: {folder} cannot be written. Example: DATA_DIR=/var/lib/gamer")
    return str(folder)


def _can_be_written(folder: Path) -> bool:
    """Return whether a folder can be written, or created in the nearest one that exists."""
    try:
        existing = next(each for each in (folder, *folder.parents) if each.exists())
    except PermissionError:
        return False
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


async def check_port(settings: Settings) -> str:
    """Listen on the port for a moment."""
    return _free("PORT", settings.host, settings.port)


async def check_metrics_port(settings: Settings) -> str:
    """Listen on the port of a worker's metrics for a moment: a worker opens no other."""
    if settings.metrics_port is None:
        raise CheckSkippedError("no METRICS_PORT")
    return _free("METRICS_PORT", settings.host, settings.metrics_port)


def _free(variable: str, host: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            reason, example = reason_of(error), f"{variable}={port + 1}"
            raise CheckFailedError(
                f"{variable}: cannot listen on {host}:{port}: {reason}. Example: {example}"
            ) from None
    return f"{host}:{port} is free"


async def check_ssh_key(settings: Settings) -> str:
    """Read the workers' SSH key, if it is a file of the deployment."""
    if settings.ssh_key_path is None:
        return "made in DATA_DIR when a worker first needs it"
    if settings.environment is not Environment.PRODUCTION and not settings.ssh_key_path.exists():
        return f"made at {settings.ssh_key_path} when a worker first needs it"
    await key_pair(settings.model_copy(update={"environment": Environment.PRODUCTION}))
    return str(settings.ssh_key_path)
