"""Acting as a player through the simulator's controls."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from simulator.machines.pool import MachinePark
from simulator.player_routes import PlayerRoutes
from tests.simulator.machines.box import Box


@pytest.fixture
async def control(park: MachinePark) -> AsyncIterator[aiohttp.ClientSession]:
    application = web.Application()
    PlayerRoutes(park).add_routes(application.router, "/_control")
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
        yield session
    await runner.cleanup()


async def test_a_device_pairs_plays_saves_and_quits(wolf: Box, control: aiohttp.ClientSession) -> None:
    async with control.post("/_control/machines/m-1/pairings", json={"pin": "4821"}) as begun:
        secret = (await begun.json())["secret"]
    wolf.park.wolf("m-1").pairings.give_pin(secret, "4821")
    async with control.post("/_control/machines/m-1/sessions") as started:
        session = await started.json()
    save = f"/_control/machines/m-1/sessions/{session['id']}/home/.config/retroarch/saves/a.srm"
    async with control.put(save, data=b"progress") as saved:
        path = (await saved.json())["path"]
    async with control.delete(f"/_control/machines/m-1/sessions/{session['id']}") as ended:
        pass

    assert (begun.status, started.status, saved.status, ended.status) == (201, 201, 200, 200)
    assert path == f"{session['home']}/.config/retroarch/saves/a.srm"
    assert (wolf.read(path), wolf.machine.root_files.stat(path).st_uid) == ("progress", 1000)
    async with control.get("/_control/machines/m-1/sessions") as left:
        assert await left.json() == {"sessions": []}


async def test_a_player_who_closes_moonlight_sends_nothing_and_leaves_session_and_container(
    wolf: Box, control: aiohttp.ClientSession
) -> None:
    running, traffic = wolf.park.wolf("m-1"), wolf.park.machine("m-1").traffic
    running.pairings.give_pin(running.begin_pairing(pin="1").secret, "1")
    session = await running.begin_session()
    path = f"/_control/machines/m-1/sessions/{session.id}"

    async with control.patch(path, json={"connected": False}) as left:
        assert await left.json() == {"id": session.id, "connected": False}
    packets = traffic.arrived(47999)
    await wolf.park.machine("m-1").clock.sleep(2)

    assert packets > 0
    assert traffic.arrived(47999) == packets
    assert wolf.machine.containers.find(str(session.container)).state == "running"
    async with control.get("/_control/machines/m-1/sessions") as listed:
        assert [one["id"] for one in (await listed.json())["sessions"]] == [session.id]
    async with control.patch(path, json={"connected": True}):
        pass
    await wolf.park.machine("m-1").clock.sleep(2)
    assert traffic.arrived(47999) > packets


async def test_a_real_packet_to_the_control_port_is_counted(wolf: Box) -> None:
    traffic = wolf.park.machine("m-1").traffic
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"ping", (wolf.address.ip, 47999))
    async with asyncio.timeout(10):
        while traffic.arrived(47999) == 0:  # noqa: ASYNC110 - the packet is on its way through the kernel
            await asyncio.sleep(0.01)

    assert traffic.arrived(47999) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/_control/machines/none/pairings", 404),
        ("POST", "/_control/machines/m-1/pairings", 409),
        ("PATCH", "/_control/machines/m-1/sessions/1", 409),
        ("PUT", "/_control/machines/m-1/wolf", 400),
    ],
)
async def test_what_cannot_be_is_refused(
    box: Box, control: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    async with control.request(method, path, json={}) as answer:
        assert answer.status == status


async def test_an_app_writes_nowhere_but_where_its_user_may(wolf: Box, control: aiohttp.ClientSession) -> None:
    running = wolf.park.wolf("m-1")
    running.pairings.give_pin(running.begin_pairing(pin="1").secret, "1")
    session = await running.begin_session()

    outside = f"/_control/machines/m-1/sessions/{session.id}/home/%2E%2E/%2E%2E/%2E%2E/%2E%2E/%2E%2E/etc/x"
    async with control.put(outside, data=b"x") as answer:
        pass

    assert answer.status in (400, 404)
    assert not (wolf.root / "etc/x").exists()
