"""The embedded Temporal for development: Temporal's own development server, with its state on disk."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from embedded.child import ChildSpec, EmbeddedError

CLOUD_RUN: Final = ("K_SERVICE", "CLOUD_RUN_WORKER_POOL")
EXAMPLE: Final = "Example: TEMPORAL_ADDRESS=gamer.a1b2c.tmprl.cloud:7233"
RUN_TIMEOUT_S: Final = 10.0
# The server fires timers up to this much late. With its default of one second, every retry and every short sleep of a
# workflow would take at least that second (Temporal 1.32.0).
SHORT_TIMERS: Final = ("--dynamic-config-value", 'history.timerProcessorMaxTimeShift="10ms"')


async def temporal_spec(folder: Path, namespace: str, environment: Mapping[str, str]) -> ChildSpec:
    """Return how to run the server. Raise EmbeddedError on Cloud Run, where a folder does not outlive its container."""
    for variable in CLOUD_RUN:
        if variable in environment:
            raise EmbeddedError(
                f"TEMPORAL_ADDRESS: missing; the development server is not for Cloud Run ({variable} is set). {EXAMPLE}"
            )
    executable, version = await _find(environment)
    (folder / "data").mkdir(parents=True, exist_ok=True)

    def command(port: int) -> tuple[str, ...]:
        return (
            *(executable, "server", "start-dev", "--headless"),
            *("--ip", "127.0.0.1", "--port", str(port)),
            *("--namespace", namespace),
            *("--db-filename", str(folder / "data" / "temporal.db")),
            # Write-ahead logging makes it about three times faster.
            *("--sqlite-pragma", "journal_mode=WAL"),
            *SHORT_TIMERS,
            *("--log-level", "error"),
        )

    async def ready(port: int, _output: str) -> bool:
        # It accepts connections a moment before it serves them.
        arguments = ("operator", "namespace", "describe", "--address", f"127.0.0.1:{port}", "--namespace", namespace)
        return await _output_of(executable, *arguments) is not None

    return ChildSpec("temporal", "the embedded Temporal server", folder, version, command, ready=ready)


async def _find(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the executable on PATH if it is Temporal's, else the one installed next to Python, and its version."""
    beside_python = Path(sys.executable).with_name("temporal")
    for candidate in (shutil.which("temporal", path=environment.get("PATH")), str(beside_python)):
        if candidate is not None and (version := await _server_version(candidate)):
            return candidate, version
    raise EmbeddedError(f"TEMPORAL_ADDRESS: missing, and no `temporal` on PATH or at {beside_python}. {EXAMPLE}")


async def _server_version(executable: str) -> str | None:
    """Return the version of the contained server, which writes the files; None if this is not Temporal."""
    words = await _output_of(executable, "--version")
    found = re.search(rb"^temporal version .*\(Server ([\w.+-]+)", words or b"")
    return found[1].decode() if found else None


async def _output_of(executable: str, *arguments: str) -> bytes | None:
    """Run the executable and return its output; None if it fails or hangs."""
    try:
        process = await asyncio.create_subprocess_exec(
            executable, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env=_own_environment()
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(RUN_TIMEOUT_S):
            words, _ = await process.communicate()
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return words if process.returncode == 0 else None


def _own_environment() -> Mapping[str, str]:
    """Return our environment without variables and files that configure Temporal for another server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
    return {**kept, "TEMPORAL_CONFIG_FILE": os.devnull}
