from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from simulator.state import StateFile
from tests.simulator.tensordock.stranger import World, opened


@asynccontextmanager
async def after_a_kill(folder: Path, factor: float = 1000) -> AsyncIterator[World]:
    """A world made from what another one has on disk this moment, while that one has not said goodbye."""
    copy = folder.with_name(f"{folder.name}-after-the-kill")
    shutil.copytree(folder, copy)
    async with opened(copy, factor=factor) as world:
        yield world


async def test_a_running_machine_is_found_again_at_its_address(world: World, tmp_path: Path) -> None:
    machine_id = await world.running("gamer-1")
    stock = await world.hostnodes()

    async with after_a_kill(tmp_path) as again:
        alone = (await again.v2("GET", f"/instances/{machine_id}")).json

        assert (alone["name"], alone["status"], alone["ipAddress"]) == ("gamer-1", "running", "127.9.0.1")
        assert again.park.on == {machine_id}
        assert await again.hostnodes() == stock
        assert (await again.control("GET", "/machines")).json["ever_created"] == 1


async def test_a_machine_without_an_address_yet_still_gets_one(slow_world: World, tmp_path: Path) -> None:
    machine_id = await slow_world.rented()

    async with after_a_kill(tmp_path) as again:
        await again.until_status(machine_id, "running")

        assert list(again.park.made) == [machine_id]


async def test_a_stop_goes_on(world: World, tmp_path: Path) -> None:
    machine_id = await world.running()
    await world.v2("POST", f"/instances/{machine_id}/stop")

    async with after_a_kill(tmp_path) as again:
        await again.until_status(machine_id, "stopped")

        assert again.park.on == set()


async def test_a_delete_goes_on(world: World, tmp_path: Path) -> None:
    machine_id = await world.running()
    await world.fault("slow-delete", simulated_seconds=100_000)
    await world.v2("DELETE", f"/instances/{machine_id}")

    async with after_a_kill(tmp_path, factor=1_000_000) as again:
        await again.until_status(machine_id, "gone")

        assert again.park.made == {}


async def test_money_goes_on_being_charged_while_nobody_answers(world: World, tmp_path: Path) -> None:
    await world.running()
    before = (await world.v0("/billing/balance")).json["balance"]

    async with after_a_kill(tmp_path) as again:
        after = (await again.v0("/billing/balance")).json

    assert 99 < after["balance"] <= before < 100
    assert after["hourly_cost"] == 0.456


async def test_hardware_given_to_others_stays_theirs(world: World, tmp_path: Path) -> None:
    machine_id = await world.running()
    await world.fault("host-stop", machine=machine_id)
    await world.until_status(machine_id, "stoppeddisassociated")
    stock = await world.hostnodes()

    async with after_a_kill(tmp_path) as again:
        assert await again.hostnodes() == stock


async def test_what_befalls_a_machine_later_still_befalls_it(slow_world: World, tmp_path: Path) -> None:
    await slow_world.fault("vanish", simulated_seconds=100)
    machine_id = await slow_world.rented()

    async with after_a_kill(tmp_path) as again:
        await again.until_status(machine_id, "gone")


async def test_an_orderly_end_is_no_different(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        machine_id = await world.running()

    async with opened(tmp_path) as again:
        assert await again.listed() == {machine_id}
        assert again.park.on == {machine_id}


def test_whoever_dies_while_writing_leaves_the_earlier_document(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json")
    file.save({"machines": 1})

    with pytest.raises(TypeError):
        file.save({"machines": object()})

    assert file.load() == {"machines": 1}
    assert json.loads((tmp_path / "state.json").read_text()) == {"machines": 1}
    assert (tmp_path / "state.json").stat().st_mode & 0o077 == 0


def test_a_state_that_was_never_saved_is_none(tmp_path: Path) -> None:
    assert StateFile(tmp_path / "state.json").load() is None


@pytest.mark.parametrize("ticks", range(6))
async def test_an_end_in_the_very_moment_when_something_happens_is_an_end(tmp_path: Path, ticks: int) -> None:
    async with asyncio.timeout(20), opened(tmp_path, factor=0.001) as world:
        machine_id = await world.rented()
        world.tensordock.cloud.stop(machine_id, release=False)
        for _ in range(ticks):
            await asyncio.sleep(0)
        await world.tensordock.close()
