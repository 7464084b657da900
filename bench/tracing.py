"""CPU time that traces cost for each request: without them, switched off, and switched on.

    python -m bench.tracing [--rounds 200] [--write]

One process calls the ASGI application, with its middleware and authentication, over the embedded database. The ways
take turns in short blocks, in changing order; each is judged by its quietest quarter of blocks, because machines that
do other work change their pace from second to second. "without" replaces the calls of `tracing/` in the request's path
by nothing. "recorded" sends a sampled `traceparent` with each request; its spans are sent to a collector, which is
another process, a thousand at a time, and the CPU time of that is added. The parts of uvicorn are not measured: a
request over a socket costs more, and the shares are smaller.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import orjson
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from starlette.types import ASGIApp, Message

from bench.execution import ONE_VM, RESULTS, fill, git, vm_id
from schema.ids import global_id
from tests.gateway import ANN, DALLAS, gateway_world, token, web_gateway
from tests.otlp import collector
from tracing import spans
from tracing.export import LimitedExporter, sender_to, tracer_of
from tracing.recorder import OpenTelemetryRecorder
from web.app import create_app
from web.health import Readiness

HEADING: Final = "## Traces\n"
REQUESTS: Final = 20
SENT_AT_ONCE: Final = 1000
SENDING: Final = "sending a span"
PARENT: Final = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OPERATIONS: Final[dict[str, dict[str, Any]]] = {
    "viewer": {"query": "{ viewer { id role } }"},
    "one VM": {"query": ONE_VM, "variables": {"id": global_id("VM", vm_id(7))}},
    # Traced without a caller's wish, as every mutation. The first one launches, the others find that launch.
    "launchGame": {
        "query": "mutation($input: LaunchGameInput!) { launchGame(input: $input) { launch { id status } } }",
        "variables": {"input": {"console": "SWITCH", "gameId": "mario-odyssey", "location": DALLAS}},
    },
}


class Requests:
    """Sends one operation to the application again and again."""

    def __init__(self, app: ASGIApp, content: dict[str, Any]) -> None:
        self._app = app
        self._body = orjson.dumps(content)
        self._headers = [
            (b"host", b"localhost"),
            (b"content-type", b"application/json"),
            (b"accept", b"application/json"),
            (b"authorization", f"Bearer {token(ANN, 3600)}".encode()),
        ]

    async def send(self, times: int, *headers: tuple[bytes, bytes]) -> None:
        for _ in range(times):
            await asyncio.create_task(self._send([*self._headers, *headers]))  # as uvicorn does

    async def _send(self, headers: list[tuple[bytes, bytes]]) -> None:
        scope = {
            **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http"},
            **{"path": "/graphql", "raw_path": b"/graphql", "query_string": b"", "root_path": "", "headers": headers},
            **{"client": ("127.0.0.1", 5), "server": ("127.0.0.1", 80), "state": {}},
        }
        answer = b""

        async def receive() -> Message:
            return {"type": "http.request", "body": self._body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal answer
            answer += message.get("body", b"")

        await self._app(scope, receive, send)
        assert b'"errors"' not in answer, answer


def without_tracing() -> ExitStack:
    """Replace the calls in the path of a request by nothing."""
    stack = ExitStack()
    stack.enter_context(patch("schema.execution.executor._span", lambda prepared: spans.NOT_RECORDED))
    stack.enter_context(patch("web.request_logging.parse_traceparent", lambda value: None))
    stack.enter_context(patch("web.request_logging.set_caller", lambda parent: None))
    return stack


async def measure(uri: str, rounds: int, endpoint: str) -> dict[str, dict[str, list[float]]]:
    """Return CPU milliseconds a request, by operation and way, one for each round."""
    from models.database import Database  # noqa: PLC0415 - after the path is set

    sender = LimitedExporter(sender_to(endpoint, {}))
    size = 2 * SENT_AT_ONCE
    batches = BatchSpanProcessor(sender, size, schedule_delay_millis=3_600_000, max_export_batch_size=size)
    recorder = OpenTelemetryRecorder(tracer_of(batches, Resource({"service.name": "bench"})))
    db = Database(uri, "bench", timeout_s=60)
    found: dict[str, dict[str, list[float]]] = {}
    async with gateway_world(db) as world:
        app = create_app(web_gateway(world), Readiness())
        for name, content in OPERATIONS.items():
            requests = Requests(app, content)
            ways: dict[str, Callable[[], Any]] = {
                "without": without_tracing,
                "off": ExitStack,
                "on, not recorded": lambda: spans.use(recorder),
                "on, recorded": lambda: spans.use(recorder),
            }
            if name == "launchGame":
                del ways["on, not recorded"]
            found[name] = {way: [] for way in ways}
            await requests.send(REQUESTS)
            for _ in range(rounds):
                for way in random.sample(list(ways), len(ways)):
                    headers = [(b"traceparent", PARENT)] if way == "on, recorded" else []
                    with ways[way]():
                        begun = time.process_time()
                        await requests.send(REQUESTS, *headers)
                        found[name][way].append((time.process_time() - begun) * 1000 / REQUESTS)
                if len(found[name]["without"]) % (SENT_AT_ONCE // REQUESTS) == 0:
                    begun = time.process_time()
                    await asyncio.to_thread(batches.force_flush)
                    found[name].setdefault(SENDING, []).append((time.process_time() - begun) * 1000 / SENT_AT_ONCE)
    await asyncio.to_thread(batches.shutdown)
    await db.close()
    return found


def collect(address: Any) -> None:
    """Run a collector in this process until it is ended."""
    with collector() as found:
        address.send(found.url)
        address.recv()


@contextmanager
def collecting() -> Iterator[str]:
    """Run a collector in a process of its own, and return its address."""
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=collect, args=(theirs,))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("end")
        process.join()


def quiet(blocks: list[float]) -> float:
    """Return the mean of the quarter of blocks with the least CPU time."""
    return statistics.mean(sorted(blocks)[: max(1, len(blocks) // 4)])


def report(found: dict[str, dict[str, list[float]]]) -> str:
    """Return the table."""
    commit, blocks = git("rev-parse", "--short", "HEAD"), len(next(iter(found.values()))["without"])
    python = platform.python_version()
    lines = [
        f"Commit {commit}, Python {python}; {blocks} blocks of {REQUESTS} requests each way, of which",
        "the quietest quarter counts. CPU time of the process, without a server's part.",
        "",
        "| operation | traces | CPU ms a request | more than without |",
        "|---|---|---|---|",
    ]
    for name, ways in found.items():
        cpu = {way: quiet(times) for way, times in ways.items()}
        cpu["on, recorded"] += cpu.pop(SENDING)
        for way, ms in cpu.items():
            more = "" if way == "without" else f"{(ms / cpu['without'] - 1) * 100:+.1f} %"
            lines.append(f"| {name} | {way} | {ms:.3f} | {more} |")
    return "\n".join(lines) + "\n"


def write(table: str) -> None:
    """Replace the section of RESULTS.md, or add it at the end."""
    text = RESULTS.read_text(encoding="utf-8")
    before, _, rest = text.partition(HEADING)
    after = rest[rest.find("\n## ") :] if "\n## " in rest else ""
    RESULTS.write_text(f"{before.rstrip()}\n\n{HEADING}\n{table}{after}", encoding="utf-8")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--write", action="store_true", help="add the table to bench/RESULTS.md")
    arguments = parser.parse_args()
    from bench.costs import server  # noqa: PLC0415 - it starts a database

    with (
        tempfile.TemporaryDirectory(prefix="bench-tracing-") as folder,
        server(Path(folder) / "data") as uri,
        collecting() as endpoint,
    ):
        asyncio.run(fill(uri))
        table = report(asyncio.run(measure(uri, arguments.rounds, endpoint)))
    print(table)
    if arguments.write:
        write(table)


if __name__ == "__main__":
    main()
