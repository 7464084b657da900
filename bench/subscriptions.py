"""Many subscriptions at once: how late events arrive, and what a subscriber and a message cost the server.

    python -m bench.subscriptions [--subscribers 1000] [--launches 500] [--rate 100] [--seconds 10] [--write]

Starts the embedded database, a gateway and graphql-ws (Node, over one change stream of the same collection). Follows
launches at one and then at the other, in two rounds. Events are written at a steady rate, each with its
time. `--write` adds the table to bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from bench.attacks import SECRET, token
from bench.http_load import cpu_s, rss_kb
from bench.peers.servers import Running, installed, running, say
from bench.side_by_side import RESULTS
from embedded.services import EmbeddedServices
from models.database import Database
from schema.ids import global_id
from tests.e2e.service import deployment
from tests.gateway import a_launch, an_event

_HEADING: Final = "## Subscriptions"
_SECTION: Final = re.compile(r"^## Subscriptions\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_DOCUMENT: Final = """subscription($id: ID!) { launchProgress(launchId: $id, after: 0) {
  sequence at status progress message } }"""
_PATIENCE_S: Final = 120.0
_OPENED_AT_ONCE: Final = 100
_GATEWAY: Final = "this gateway"
_PEER: Final = "graphql-ws"


@dataclass(frozen=True, slots=True)
class Options:
    subscribers: int
    launches: int
    rate: float
    seconds: float


@dataclass
class Followed:
    """What the subscribers of one server received."""

    late_ms: list[float] = field(default_factory=list)
    opened_s: float = 0.0
    kb_each: float = 0.0
    cpu_us: float = 0.0
    expected: int = 0

    def row(self, server: str) -> str:
        late = sorted(self.late_ms) or [float("nan")]
        p50, p99 = late[len(late) // 2], late[int(len(late) * 0.99)]
        received = f"{len(self.late_ms)} of {self.expected}"
        late_words, costs = f"{p50:.0f} | {p99:.0f}", f"{self.kb_each:.0f} | {self.cpu_us:.0f}"
        return f"| {server} | {received} | {self.opened_s:.1f} | {late_words} | {costs} |"


@dataclass
class Subscriber:
    socket: ClientConnection
    followed: Followed
    first_sequence: int  # of the events that are written now; those before are replayed
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        """Read until the connection ends."""
        async for message in self.socket:
            content = json.loads(message)
            if content["type"] != "next":
                continue
            event = content["payload"]["data"]["launchProgress"]
            if event["sequence"] < self.first_sequence:
                if event["sequence"] == self.first_sequence - 1:
                    self.ready.set()
                continue
            at = datetime.fromisoformat(event["at"].replace("Z", "+00:00"))
            self.followed.late_ms.append(1000 * (time.time() - at.timestamp()))


async def follow(server: Running, db: Database, options: Options, first_sequence: int) -> Followed:
    """Open subscriptions, publish events, and return what was received."""
    followed = Followed()
    before_kb, begun = rss_kb(server.pid), time.perf_counter()
    subscribers: list[Subscriber] = []
    async with AsyncExitStack() as stack:
        for number in range(0, options.subscribers, _OPENED_AT_ONCE):
            part = range(number, min(number + _OPENED_AT_ONCE, options.subscribers))
            sockets = await asyncio.gather(*(_open(server, stack, one % options.launches) for one in part))
            subscribers += [Subscriber(socket, followed, first_sequence) for socket in sockets]
        listening = [asyncio.create_task(each.listen()) for each in subscribers]
        async with asyncio.timeout(_PATIENCE_S):
            await asyncio.gather(*(each.ready.wait() for each in subscribers))
        followed.opened_s = time.perf_counter() - begun
        followed.kb_each = (rss_kb(server.pid) - before_kb) / len(subscribers)
        cpu = cpu_s(server.pid)
        written = await _write_events(db, options, first_sequence)
        followed.expected = written * options.subscribers // options.launches
        for _ in range(100):
            if len(followed.late_ms) >= followed.expected:
                break
            await asyncio.sleep(0.1)
        followed.cpu_us = 1e6 * (cpu_s(server.pid) - cpu) / max(1, len(followed.late_ms))
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    return followed


async def _open(server: Running, stack: AsyncExitStack, launch: int) -> ClientConnection:
    headers = {"Authorization": f"Bearer {_TOKEN}"} if server.name == _GATEWAY else {}
    address = server.address.replace("http://", "ws://")
    socket = await connect(
        f"{address}/graphql",
        subprotocols=[Subprotocol("graphql-transport-ws")],
        additional_headers=headers,
        compression=None,
        ping_interval=None,
        close_timeout=1,
        open_timeout=_PATIENCE_S,
    )
    stack.push_async_callback(_close, socket)
    await socket.send('{"type": "connection_init"}')
    json.loads(await socket.recv())
    id_ = global_id("Launch", _launch_id(launch)) if server.name == _GATEWAY else _launch_id(launch)
    payload: dict[str, Any] = {"query": _DOCUMENT, "variables": {"id": id_}}
    await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
    return socket


async def _close(socket: ClientConnection) -> None:
    socket.transport.abort()


async def _write_events(db: Database, options: Options, first_sequence: int) -> int:
    """Write events at the rate; as many to each launch. Returns how many."""
    rounds = max(1, round(options.rate * options.seconds / options.launches))
    begun, written = time.perf_counter(), 0
    for sequence in range(first_sequence, first_sequence + rounds):
        for launch in range(options.launches):
            written += 1
            event = an_event(_launch_id(launch), sequence)
            event.at = datetime.now(UTC)
            await db.insert(event)
            ahead = begun + written / options.rate - time.perf_counter()
            if ahead > 0:
                await asyncio.sleep(ahead)
    return written


def _launch_id(number: int) -> str:
    return str(300_000_000_000_000_000 + number)


_TOKEN: Final = token("desk", "service")


async def run(options: Options, cache: Path, rounds: int) -> list[tuple[str, Followed]]:
    """Measure both servers in turn, in so many rounds."""
    peers = await installed(cache, (_PEER,))
    found: list[tuple[str, Followed]] = []
    with tempfile.TemporaryDirectory(prefix="subscriptions-") as name:
        folder = Path(name)
        async with AsyncExitStack() as stack:
            embedded = await stack.enter_async_context(EmbeddedServices(folder / "embedded", simulator=None))
            assert embedded.mongodb_uri is not None
            assert embedded.temporal_address is not None
            deployed = await stack.enter_async_context(
                deployment(folder, embedded.mongodb_uri, embedded.temporal_address)
            )
            many = str(10 * options.subscribers)
            deployed.environment |= {
                "JWT_SECRET": SECRET,
                "LOG_LEVEL": "WARNING",
                "RATE_LIMIT_PER_MINUTE": many,
                "MAX_SOCKETS_PER_CALLER": many,
            }
            gateway = await deployed.gateway()
            database = deployed.environment["MONGODB_DATABASE"]
            db = Database(embedded.mongodb_uri, database, timeout_s=60)
            stack.push_async_callback(db.close)
            await db.insert_many([a_launch(_launch_id(number)) for number in range(options.launches)])
            await db.insert_many([an_event(_launch_id(number), 1) for number in range(options.launches)])
            environment = {"MONGODB_ATLAS_URI": embedded.mongodb_uri, "MONGODB_DATABASE": database}
            servers = [Running(_GATEWAY, gateway.url, gateway.process.popen.pid)]
            servers += [await stack.enter_async_context(running(peer, environment)) for peer in peers]
            sequence = 2
            for number in range(rounds):
                say(f"round {number + 1} of {rounds}, load {os.getloadavg()[0]:.1f}")
                for server in servers:
                    found.append((server.name, await follow(server, db, options, sequence)))
                    sequence += max(1, round(options.rate * options.seconds / options.launches))
    return found


def report(found: list[tuple[str, Followed]], options: Options) -> str:
    """Return the table."""
    lines = [
        _HEADING,
        "",
        f"{options.subscribers} subscriptions over {options.launches} launches on one process, {options.rate:g}",
        f"events a second; one line for each round, in turn. Load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.",
        "",
        "| server | received | opened in s | p50 ms late | p99 ms late | kB each | CPU µs a message |",
        "|---|---|---|---|---|---|---|",
        *(followed.row(server) for server, followed in found),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--launches", type=int, default=500)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path(".bench"))
    parser.add_argument("--write", action="store_true", help="add the table to bench/RESULTS.md")
    given = parser.parse_args()
    options = Options(given.subscribers, given.launches, given.rate, given.seconds)
    try:
        found = uvloop.run(run(options, given.cache, given.rounds))
    except WebSocketException as error:
        say(f"a connection was refused: {error}")
        return 1
    text = report(found, options)
    say(text)
    if given.write:
        before = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
        others = _SECTION.sub("", before).rstrip()
        RESULTS.write_text(f"{others}\n\n{text}".lstrip(), encoding="utf-8")
    return 0 if all(len(followed.late_ms) == followed.expected for _, followed in found) else 1


if __name__ == "__main__":
    sys.exit(main())
