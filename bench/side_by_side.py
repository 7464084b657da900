"""The gateway beside other GraphQL servers, over the same collections of the same database.

    python -m bench.side_by_side [--rounds 3] [--seconds 3] [--write]

Starts the embedded database, a gateway with its default limits, and the peers of bench/peers, all as processes of their
own. In each round every server is measured in turn, so that what else the machine does meets all of them. What is
compared is the processor time of the server for each request, beside the median wait on one connection and the requests
each second on 16. Ratios are to stock Strawberry in the same round. `--write` writes bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Final

import uvloop

from bench.attacks import SECRET, token
from bench.http_load import Measured, ask_once, measure, request_bytes
from bench.peers.servers import NotStartedError, Peer, Running, installed, node_versions, running, say
from embedded.services import EmbeddedServices
from models.database import Database
from schema.ids import global_id
from tests.e2e.service import Gateway, deployment
from tests.gateway import a_launch, a_vm

RESULTS: Final = Path(__file__).with_name("RESULTS.md")
_OTHER_BENCHES: Final = re.compile(r"^## (?:Subscriptions|Execution in process)", re.MULTILINE)
_VMS: Final = 60
_GATEWAY: Final = "this gateway"
_STOCK: Final = "Strawberry, stock"
_BYTES: Final = "Starlette, ready bytes"
_FIELDS: Final = """id status userId gameId ipAddress hourlyPrice provider providerId createdAt startedAt stopsAt
  warning location { city region country } launch { id status gameId userId requestedAt warning }"""
OPERATIONS: Final = {
    "one VM": "query($id: ID!) { vm(id: $id) { id status userId gameId ipAddress hourlyPrice } }",
    "50 VMs nested": f"{{ vms(first: 50) {{ edges {{ cursor node {{ {_FIELDS} }} }} pageInfo {{ hasNextPage }} }} }}",
    "consoles, shared": "{ consoles { id name preset { name vcpus ramGb gpu { models } } emulator { name image } } }",
}
_OF_THE_GATEWAY_ALONE: Final = "consoles, shared"


@dataclass
class Table:
    """What was measured, by server and operation, a value for each round."""

    alone: dict[tuple[str, str], list[Measured]] = field(default_factory=dict)
    crowded: dict[tuple[str, str], list[Measured]] = field(default_factory=dict)

    def servers(self) -> list[str]:
        return list(dict.fromkeys(server for server, _ in self.crowded))


async def run(rounds: int, seconds: float, cache: Path, names: Sequence[str]) -> Table:
    """Measure all servers in turn, in so many rounds."""
    peers = [peer for peer in await installed(cache, tuple(names)) if peer.name != "graphql-ws"]
    table = Table()
    with tempfile.TemporaryDirectory(prefix="side-by-side-") as name:
        folder = Path(name)
        async with AsyncExitStack() as stack:
            embedded = await stack.enter_async_context(EmbeddedServices(folder / "embedded", simulator=None))
            assert embedded.mongodb_uri is not None
            assert embedded.temporal_address is not None
            deployed = await stack.enter_async_context(
                deployment(folder, embedded.mongodb_uri, embedded.temporal_address)
            )
            # A million requests are one client's: the limit is counted and never reached.
            deployed.environment |= {"JWT_SECRET": SECRET, "LOG_LEVEL": "WARNING", "RATE_LIMIT_PER_MINUTE": "1000000"}
            gateway = await deployed.gateway()
            database = deployed.environment["MONGODB_DATABASE"]
            await fill(embedded.mongodb_uri, database)
            environment = {"MONGODB_ATLAS_URI": embedded.mongodb_uri, "MONGODB_DATABASE": database}
            servers = [Running(_GATEWAY, gateway.url, gateway.process.popen.pid)]
            ready = await ask_once(gateway.url, asked(_GATEWAY, _OF_THE_GATEWAY_ALONE))
            for peer in (*peers, _bytes_peer(ready)):
                try:
                    servers.append(await stack.enter_async_context(running(peer, environment)))
                except NotStartedError as error:
                    say(f"SKIPPED: {error}")
            await check(gateway, servers)
            await measure_all(servers, seconds, Table())  # compilers need to have seen the code
            for number in range(rounds):
                say(f"round {number + 1} of {rounds}, load {os.getloadavg()[0]:.1f}")
                await measure_all(servers, seconds, table)
    return table


def _bytes_peer(ready: bytes) -> Peer:
    command = (sys.executable, "-m", "bench.peers.strawberry_app", "bytes")
    return Peer(_BYTES, command, {"READY": ready.decode()}, Path())


async def check(gateway: Gateway, servers: Sequence[Running]) -> None:
    """Check that all servers give the same response, except for ids and the format of times and prices."""
    assert gateway.process.popen.poll() is None
    for operation in OPERATIONS:
        for server in servers:
            if not answers(server.name, operation):
                continue
            answer = json.loads(await ask_once(server.address, asked(server.name, operation)))
            assert "errors" not in answer, (server, answer)
            if operation == "one VM":
                assert answer["data"]["vm"]["userId"] == "player-7", (server, answer)
            elif operation == "50 VMs nested":
                nodes = [edge["node"] for edge in answer["data"]["vms"]["edges"]]
                assert [node["userId"] for node in nodes[:2]] == ["player-0", "player-1"], (server, nodes[:2])
                assert all(node["launch"] for node in nodes), server


def answers(server: str, operation: str) -> bool:
    """Return whether this server can answer the operation."""
    if operation == _OF_THE_GATEWAY_ALONE:
        return server in (_GATEWAY, _BYTES)
    return server != _BYTES


async def measure_all(servers: Sequence[Running], seconds: float, table: Table) -> None:
    """Measure every operation on every server once."""
    for operation in OPERATIONS:
        for server in servers:
            if not answers(server.name, operation):
                continue
            request = asked(server.name, operation)
            alone = await measure(server.address, server.pid, request, connections=1, seconds=seconds / 2)
            crowded = await measure(server.address, server.pid, request, connections=16, seconds=seconds)
            table.alone.setdefault((server.name, operation), []).append(alone)
            table.crowded.setdefault((server.name, operation), []).append(crowded)


def asked(server: str, operation: str) -> bytes:
    """Return the request for this operation as it is sent to the server."""
    key = "200000000000000007"
    variables = {"id": global_id("VM", key) if server == _GATEWAY else key} if operation == "one VM" else {}
    body = json.dumps({"query": OPERATIONS[operation], "variables": variables}).encode()
    headers = {"Authorization": f"Bearer {_TOKEN}"} if server == _GATEWAY else {}
    return request_bytes(body, headers)


_TOKEN: Final = token("olga", "operator")


async def fill(uri: str, name: str) -> None:
    """VMs of as many players, each with its launch; the newest is that of player 0."""
    db = Database(uri, name, timeout_s=60)
    now = datetime.now(UTC)
    for number in range(_VMS):
        player, launch_id = f"player-{number}", str(100_000_000_000_000_000 + number)
        at = now - timedelta(minutes=number)
        await db.insert(a_launch(launch_id, player, requested_at=at))
        vm_id = str(200_000_000_000_000_000 + number)
        await db.insert(a_vm(vm_id, player, launch_id=launch_id, created_at=at, ip_address="203.0.113.7"))
    await db.close()


def report(table: Table, commit: str, cache: Path, rounds: int, seconds: float) -> str:
    """Return the page with the results."""
    lines = [
        "# Results of the benches",
        "",
        "Written by `make bench`. Only ratios within one table mean something: all servers ran on the same machine, in",
        "turn, over the same database (SecantusDB), beside whatever else the machine did.",
        "",
        *_circumstances(commit, cache, rounds, seconds),
    ]
    for operation in OPERATIONS:
        lines += ["", f"## {operation}", "", *_rows(table, operation)]
    return "\n".join(lines) + "\n"


def _circumstances(commit: str, cache: Path, rounds: int, seconds: float) -> list[str]:
    packages = ("strawberry-graphql", "graphql-core", "starlette", "uvicorn", "uvloop", "httptools", "pymongo")
    node = {"node": _node_version(), **node_versions(cache)}
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return [
        f"- commit {commit}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"- {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; load averages {load}",
        f"- {rounds} alternating rounds, {seconds:g} s on 16 connections and half of that on one, each",
        f"- {', '.join(f'{each} {version(each)}' for each in packages)}",
        f"- {', '.join(f'{name} {number}' for name, number in node.items() if number)}",
    ]


def _commit() -> str:
    """Return what is measured. Called before anything runs, because the tree may change while it does."""
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    return found.stdout.strip()


def _node_version() -> str:
    try:
        return subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S607
    except (OSError, subprocess.SubprocessError):
        return ""


def _rows(table: Table, operation: str) -> list[str]:
    base = _STOCK if (_STOCK, operation) in table.crowded else _BYTES
    rows = [
        f"| server | CPU ms a request | times the CPU of {base} (least, most) | p50 ms on 1 | requests/s on 16 |",
        "|---|---|---|---|---|",
    ]
    for server in table.servers():
        crowded, alone = table.crowded.get((server, operation)), table.alone.get((server, operation))
        if crowded is None or alone is None:
            continue
        ratios = [
            one.cpu_ms / max(0.001, other.cpu_ms)
            for one, other in zip(crowded, table.crowded[base, operation], strict=True)
        ]
        rows.append(
            f"| {server} | {median(one.cpu_ms for one in crowded):.2f} "
            f"| {median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f}) "
            f"| {median(one.p50_ms for one in alone):.2f} | {median(one.requests_per_s for one in crowded):.0f} |"
        )
    return rows


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--cache", type=Path, default=Path(".bench"), help="where the peers' packages are kept")
    parser.add_argument("--only", action="append", default=[], help="a peer by its name; may be repeated")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md")
    options = parser.parse_args()
    commit = _commit()
    table = uvloop.run(run(options.rounds, options.seconds, options.cache, options.only))
    text = report(table, commit, options.cache, options.rounds, options.seconds)
    print(text)
    if options.write:
        before = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
        others = _OTHER_BENCHES.search(before)
        RESULTS.write_text(text if others is None else f"{text}\n{before[others.start() :]}", encoding="utf-8")


if __name__ == "__main__":
    main()
