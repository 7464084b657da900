"""Starts the servers that the gateway is compared with, from their registry packages. Says loudly what it skips."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
_FASTAPI: Final = "fastapi==0.165.0"
_INSTALL_S: Final = 300.0
_START_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path


@dataclass(frozen=True, slots=True)
class Running:
    name: str
    address: str
    pid: int


class NotStartedError(Exception):
    """A peer ended before it had an address."""


async def installed(cache: Path, names: tuple[str, ...] = ()) -> list[Peer]:
    """Install what the peers need into `cache`, and return those that can be started: all, or those that are named."""
    python = (sys.executable, "-m", "bench.peers.strawberry_app")
    found = [Peer("Strawberry, stock", (*python, "asgi"), {}, Path())]
    if await _install(
        cache / "fastapi", [sys.executable, "-m", "pip", "install", "--quiet", "--target", ".", _FASTAPI]
    ):
        # Behind our own packages: what both have is of the same version for all.
        path = os.pathsep.join([str(Path.cwd()), *filter(None, sys.path), str((cache / "fastapi").resolve())])
        found.append(Peer("FastAPI + Strawberry", (*python, "fastapi"), {"PYTHONPATH": path}, Path()))
    node = await _node_peers(cache / "node")
    return [peer for peer in (*found, *node) if not names or peer.name in names]


async def _node_peers(folder: Path) -> list[Peer]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        say("SKIPPED: Apollo Server, Mercurius and graphql-ws: this machine has no node and npm")
        return []
    await asyncio.to_thread(_copy_sources, folder)
    if not await _install(folder, [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]):
        return []
    return [
        Peer("Apollo Server", (node, "apollo.mjs"), {"NODE_ENV": "production"}, folder),
        Peer("Mercurius", (node, "mercurius.mjs"), {"NODE_ENV": "production"}, folder),
        Peer("Mercurius with JIT", (node, "mercurius.mjs"), {"NODE_ENV": "production", "JIT": "1"}, folder),
        Peer("graphql-ws", (node, "subscriptions.mjs"), {"NODE_ENV": "production"}, folder),
    ]


def _copy_sources(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in (*FOLDER.glob("*.mjs"), FOLDER / "package.json"):
        shutil.copy(file, folder)


def node_versions(cache: Path) -> dict[str, str]:
    """Return the versions of the installed Node packages."""
    found = {}
    for name in json.loads((FOLDER / "package.json").read_text())["dependencies"]:
        with contextlib.suppress(OSError):
            found[name] = json.loads((cache / "node/node_modules" / name / "package.json").read_text())["version"]
    return found


async def _install(folder: Path, command: list[str]) -> bool:
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    try:
        await asyncio.to_thread(
            subprocess.run, command, cwd=folder, check=True, timeout=_INSTALL_S, capture_output=True
        )
    except (subprocess.SubprocessError, OSError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace")[-300:]
        say(f"SKIPPED: what {folder} needs cannot be installed here: {error} {said}")
        return False
    return True


@asynccontextmanager
async def running(peer: Peer, environment: Mapping[str, str]) -> AsyncIterator[Running]:
    """Run a peer until the body ends. It prints its address."""
    process = await asyncio.create_subprocess_exec(
        *peer.command,
        cwd=peer.folder,
        env={**os.environ, **environment, **peer.environment},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_START_S):
            address = (await process.stdout.readline()).decode().strip()
        if not address:
            raise NotStartedError(f"{peer.name} does not start here")
        yield Running(peer.name, address.removesuffix("/"), process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)
