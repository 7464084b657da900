"""Google takes and stops machines: what its metadata server says, and what becomes of the machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import asyncssh
import pytest

from simulator.google.instance_metadata import PATH
from simulator.machines.pool import MachinePark
from simulator.simulation import Simulation, SimulationOptions
from tests.simulator.google.test_simulated_compute import INSTANCE, ORDER

FLAVOR = {"Metadata-Flavor": "Google"}


class Google:
    def __init__(self, simulation: Simulation, session: aiohttp.ClientSession) -> None:
        self.simulation = simulation
        self.session = session

    @property
    def park(self) -> MachinePark:
        assert isinstance(self.simulation.park, MachinePark)
        return self.simulation.park

    async def do(self, path: str, body: object = None) -> int:
        async with self.session.post(f"{self.simulation.control_url}/gcp/{path}", json=body) as reply:
            return reply.status

    async def make(self, *, spot: bool) -> None:
        key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
        order = {**ORDER, "name": "gamer-1", "zone": "us-east1-b", "useSpot": spot, "public_key": key}
        assert await self.do("machines", order) == 200

    async def instance(self) -> dict[str, str]:
        url = f"{self.simulation.url}/compute/v1/projects/p-1/{INSTANCE}"
        async with self.session.get(url) as reply:
            found: dict[str, str] = await reply.json()
        return found

    async def metadata(self, key: str, headers: dict[str, str] = FLAVOR, **query: str) -> tuple[int, str, str]:
        address = self.park.address("gcp-gamer-1").ip
        connector = aiohttp.TCPConnector(local_addr=(address, 0))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(f"{self.simulation.url}{PATH}/{key}", headers=headers, params=query) as reply,
        ):
            return reply.status, await reply.text(), reply.headers.get("ETag", "")


@pytest.fixture
async def google(tmp_path: Path) -> AsyncIterator[Google]:
    options = SimulationOptions(tmp_path, clock_factor=1000)
    async with Simulation(options) as simulation, aiohttp.ClientSession() as session:
        yield Google(simulation, session)


async def test_a_request_that_waits_is_answered_when_the_machine_is_taken(google: Google) -> None:
    await google.make(spot=True)
    status, before, etag = await google.metadata("preempted")
    waiting = asyncio.create_task(google.metadata("preempted", wait_for_change="true", last_etag=etag))
    await asyncio.sleep(0)

    assert await google.do("machines/gamer-1/preempt") == 200

    assert (status, before) == (200, "FALSE")
    assert (await waiting)[:2] == (200, "TRUE")
    taken = await google.instance()
    assert taken["status"] == "TERMINATED"
    assert taken["lastStopTimestamp"]


async def test_a_changed_value_is_not_missed_between_two_requests(google: Google) -> None:
    await google.make(spot=True)
    _, _, etag = await google.metadata("maintenance-event")
    await google.do("machines/gamer-1/announce-maintenance")

    status, value, _ = await google.metadata("maintenance-event", wait_for_change="true", last_etag=etag)
    await google.do("machines/gamer-1/call-off-maintenance")

    assert (status, value) == (200, "TERMINATE_ON_HOST_MAINTENANCE")
    assert (await google.metadata("maintenance-event"))[1] == "NONE"
    assert (await google.instance())["status"] == "RUNNING"


async def test_a_request_that_waits_ends_with_its_time_and_the_old_value(google: Google) -> None:
    await google.make(spot=True)

    assert (await google.metadata("preempted", wait_for_change="true", timeout_sec="0"))[1] == "FALSE"


async def test_only_programs_that_know_googles_header_are_answered(google: Google) -> None:
    await google.make(spot=True)

    assert (await google.metadata("preempted", headers={}))[0] == 403


async def test_a_machine_that_is_not_spot_is_never_taken_but_maintained_and_started_again(google: Google) -> None:
    await google.make(spot=False)

    assert await google.do("machines/gamer-1/preempt") == 409
    assert await google.do("machines/gamer-1/maintain") == 200

    assert (await google.instance())["status"] == "RUNNING"
    assert (await google.metadata("preempted"))[1] == "FALSE"


async def test_an_announced_maintenance_begins_after_an_hour(google: Google) -> None:
    await google.make(spot=True)

    await google.do("machines/gamer-1/announce-maintenance")
    taken = google.park.machine("gcp-gamer-1")
    async with asyncio.timeout(20):
        for _ in range(1000):
            if not taken.is_on:
                break
            await asyncio.sleep(0.02)

    assert not taken.is_on


async def test_a_failing_metadata_server_answers_503_and_then_again(google: Google) -> None:
    await google.make(spot=True)
    await google.do("machines/gamer-1/let-metadata-fail")

    statuses = [(await google.metadata("preempted"))[0] for _ in range(4)]

    assert statuses == [503, 503, 503, 200]
