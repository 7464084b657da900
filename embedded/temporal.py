"""The engine of the development default: Temporal's own development server, kept on disk."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from embedded.child import ChildSpec, EmbeddedError

CLOUD_RUN: Final = ("K_SERVICE", "CLOUD_RUN_WORKER_POOL")
EXAMPLE: Final = "Example: TEMPORAL_ADDRESS=gamer.a1b2c.tmprl.cloud:7233"
VERSION_S: Final = 10.0


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
            *("--log-level", "error"),
        )

    return ChildSpec("temporal", "the embedded engine (Temporal)", folder, version, command)


async def _found(environment: Mapping[str, str]) -> tuple[str, str]:
    """The executable on PATH if it is Temporal's, else the one that was installed beside Python."""
    beside_python = Path(sys.executable).with_name("temporal")
    for candidate in (shutil.which("temporal", path=environment.get("PATH")), str(beside_python)):
        if candidate is not None and (version := await _server_version(candidate)):
            return candidate, version
    raise EmbeddedError(f"TEMPORAL_ADDRESS: missing, and no `temporal` on PATH or at {beside_python}. {EXAMPLE}")


async def _server_version(executable: str) -> str | None:
    """Of the server inside, which is what writes the files; None when this is something else, or nothing."""
    try:
        process = await asyncio.create_subprocess_exec(
            executable, "--version", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
    except OSError:
        return None
    try:
        words, _ = await asyncio.wait_for(process.communicate(), VERSION_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    found = re.search(rb"^temporal version .*\(Server ([\w.+-]+)", words)
    return found[1].decode() if found else None
