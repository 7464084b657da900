"""What the drills judge by: the wire that they cut, and the events that clients received."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from bench.drill_outages import OUTAGES
from bench.drill_replacements import Follower, judge_followers
from bench.drill_wire import Mode, Wire, wire
from bench.drill_world import Outcome
from bench.drills import drills, table


@pytest.fixture
async def echoed() -> AsyncIterator[Wire]:
    """A wire before a server that sends back what it receives."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(100):
            writer.write(piece)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    try:
        async with wire(*server.sockets[0].getsockname()[:2]) as opened:
            yield opened
    finally:
        server.close()


async def sent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"?")
    return await asyncio.wait_for(reader.read(1), 0.3)


async def test_a_wire_passes_everything_on_until_it_is_cut(echoed: Wire) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", echoed.port)
    passed = await sent(reader, writer)

    echoed.set_mode(Mode.AWAY)

    assert passed == b"?"
    with pytest.raises(ConnectionError):
        await sent(reader, writer)
    writer.close()


async def test_a_silent_wire_passes_on_what_it_held_back_when_it_is_mended(echoed: Wire) -> None:
    echoed.set_mode(Mode.SILENT)
    reader, writer = await asyncio.open_connection("127.0.0.1", echoed.port)
    with pytest.raises(TimeoutError):
        await sent(reader, writer)

    echoed.set_mode(Mode.PASS)

    assert await reader.read(1) == b"?"
    writer.close()


@pytest.mark.parametrize(
    ("seen", "faults"),
    [
        ([1, 2, 3], []),
        ([1, 3], ["1 clients missed events or got them twice", "clients of one launch saw different events"]),
        ([1, 2, 2, 3], ["1 clients missed events or got them twice", "clients of one launch saw different events"]),
        ([1, 2], ["clients of one launch saw different events"]),
    ],
)
async def test_a_client_that_missed_or_repeated_an_event_is_a_fault(seen: list[int], faults: list[str]) -> None:
    outcome = Outcome("any")
    async with aiohttp.ClientSession() as http:
        whole = Follower([], http, "launch", 0, seen=[1, 2, 3], over=True)
        judge_followers(outcome, [whole, Follower([], http, "launch", 0, seen=seen, over=True)])

    assert outcome.faults == faults


async def test_a_client_that_never_saw_the_end_is_a_fault() -> None:
    outcome = Outcome("any")
    async with aiohttp.ClientSession() as http:
        judge_followers(outcome, [Follower([], http, "launch", 0, seen=[1])])

    assert outcome.faults == ["1 of 1 clients never saw the end"]


def test_every_drill_is_on_the_page() -> None:
    page = Path("docs/drills.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")]

    named = {name for name in drills(1, 1, 1) if name not in OUTAGES}

    assert {name for name in named if not any(line.startswith(f"| {name} |") for line in rows)} == set()
    assert {name for name in OUTAGES if name.split()[-1] not in " ".join(rows)} == set()


def test_faults_are_in_the_table() -> None:
    outcome = Outcome("one", measured=["a", "b"], faults=["c"])

    assert table([(outcome, 61.4)]).splitlines()[-1] == "| one | a; b | c | 61 s |"
