"""The engine of the development default: Temporal's own development server, kept on disk."""

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
ANSWER_S: Final = 10.0
# The server fires timers up to this much late, and its default is one second: every retry and every short sleep of a
# workflow would take that second at least (Temporal 1.32.0).
SHORT_TIMERS: Final = ("--dynamic-config-value", 'history.timerProcessorMaxTimeShift="10ms"')


async def temporal_spec(folder: Path, namespace: str, environment: Mapping[str, str]) -> ChildSpec:
    """Refuses on Cloud Run, where a folder does not outlive its container."""
    for variable in CLOUD_RUN:
        if variable in environment:
            raise EmbeddedError(
                f"TEMPORAL_ADDRESS: missing; the development server is not for Cloud Run ({variable} is set). {EXAMPLE}"
            )
    executable, version = await _found(environment)
    (folder / "data").mkdir(parents=True, exist_ok=True)

    def command(port: int) -> tuple[str, ...]:
        return (
            *(executable, "server", "start-dev", "--headless"),
            *("--ip", "127.0.0.1", "--port", str(port)),
            *("--namespace", namespace),
            *("--db-filename", str(folder / "data" / "temporal.db")),
            # Write-ahead logging makes it about three times as fast.
            *("--sqlite-pragma", "journal_mode=WAL"),
            *SHORT_TIMERS,
            *("--log-level", "error"),
        )

    async def ready(port: int, _output: str) -> bool:
        # It accepts connections a moment before it answers on them.
        words = ("operator", "namespace", "describe", "--address", f"127.0.0.1:{port}", "--namespace", namespace)
        return await _said(executable, *words) is not None

    return ChildSpec("temporal", "the embedded engine (Temporal)", folder, version, command, ready=ready)


async def _found(environment: Mapping[str, str]) -> tuple[str, str]:
    """The executable on PATH if it is Temporal's, else the one that was installed beside Python."""
    beside_python = Path(sys.executable).with_name("temporal")
    for candidate in (shutil.which("temporal", path=environment.get("PATH")), str(beside_python)):
        if candidate is not None and (version := await _server_version(candidate)):
            return candidate, version
    raise EmbeddedError(f"TEMPORAL_ADDRESS: missing, and no `temporal` on PATH or at {beside_python}. {EXAMPLE}")


async def _server_version(executable: str) -> str | None:
    """Of the server inside, which is what writes the files; None when this is something else, or nothing."""
    words = await _said(executable, "--version")
    found = re.search(rb"^temporal version .*\(Server ([\w.+-]+)", words or b"")
    return found[1].decode() if found else None


async def _said(executable: str, *arguments: str) -> bytes | None:
    """What a short run of it says; None when it fails or hangs."""
    try:
        process = await asyncio.create_subprocess_exec(
            executable, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env=_own_environment()
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(ANSWER_S):
            words, _ = await process.communicate()
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return words if process.returncode == 0 else None


def _own_environment() -> Mapping[str, str]:
    """Without what the executable would take from our settings, or from the user's own, for another server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
    return {**kept, "TEMPORAL_CONFIG_FILE": os.devnull}
