"""Saves on a host that cannot be adopted come into the bucket by hand."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace

import pytest

from errors import ProviderRefusedError
from fleet.rescue import RescuedSlot, address_of_host, render_table, rescue
from models.catalog import ConsoleType
from models.database import Database
from models.launches import LaunchStatus
from streaming.addresses import Address
from streaming.name_checks import folder_of
from streaming.saves.discovery import FoundSlot
from streaming.saves.slots import SaveSlot
from streaming.saves.transfer import UploadOutcome, UploadReport
from tests.fleet.test_sweeper import a_launch
from tests.streaming.conftest import key
from tests.streaming.test_whole_life import SAVE, SLOT, World, world

__all__ = ["key", "world"]

pytestmark = [pytest.mark.timeout(120), pytest.mark.test_server]


async def played(world: World, machine_id: str, slot: SaveSlot, content: str) -> Address:
    """A machine on which somebody has just played, and nothing was uploaded."""
    address = await world.rented(machine_id)
    await world.machines.restore_saves(address, slot)
    files = world.machine(machine_id).root_files
    save = f"{slot.home}/{SAVE}"
    files.mkdir(save.rpartition("/")[0], parents=True)
    files.write(save, content)
    return address


def outcomes(rescued: list[RescuedSlot]) -> list[tuple[str | None, str, bool]]:
    return [(each.user_id, each.outcome, each.is_safe) for each in rescued]


async def test_the_saves_of_a_machine_without_a_state_come_into_the_bucket_once(db: Database, world: World) -> None:
    address = await played(world, "lost", SLOT, "world 4")

    first, again = await rescue(db, world.machines, address), await rescue(db, world.machines, address)

    assert outcomes(first) == [("player-1", "UPLOADED, 1 files", True)]
    assert outcomes(again) == [("player-1", "UNCHANGED, 1 files", True)]
    elsewhere = await world.rented("next")
    assert await world.machines.restore_saves(elsewhere, SLOT) == 1


async def test_a_data_disk_of_a_deleted_instance_is_rescued_from_the_host_that_it_is_mounted_on(
    db: Database, world: World
) -> None:
    await played(world, "deleted", SLOT, "world 5")
    disk = world.machine("deleted").tree.root / "var/lib/cloudypad"
    host = await world.rented("rescue")
    shutil.copytree(disk, world.machine("rescue").tree.root / "var/lib/cloudypad", dirs_exist_ok=True)

    assert outcomes(await rescue(db, world.machines, host)) == [("player-1", "UPLOADED, 1 files", True)]


async def test_a_folder_whose_user_no_record_has_is_named_and_left(db: Database, world: World) -> None:
    slot = replace(SLOT, user_id="auth0|5f7c8ec7c33c6c004bbafe82")
    address = await played(world, "lost", slot, "world 6")

    unknown = await rescue(db, world.machines, address)
    launch = a_launch(LaunchStatus.READY)
    launch.user_id = slot.user_id
    await db.insert(launch)
    known = await rescue(db, world.machines, address)

    folder = folder_of(slot.user_id)
    assert outcomes(unknown) == [(None, f"no record names the user with the folder {folder}", False)]
    assert outcomes(known) == [(slot.user_id, "UPLOADED, 1 files", True)]


class OneBadSlot:
    """A host with two slots, of which the first cannot be uploaded."""

    slots = tuple(FoundSlot("player-1", ConsoleType.SWITCH, game, "main") for game in ("mario-odyssey", "splatoon"))

    async def find_slots(self, address: Address) -> Sequence[FoundSlot]:
        return self.slots

    async def upload_saves(self, address: Address, slot: SaveSlot) -> UploadReport:
        if slot.game_id == "mario-odyssey":
            raise ProviderRefusedError("the archive of the saves is damaged")
        return UploadReport(UploadOutcome.UPLOADED, 1)


async def test_a_slot_that_cannot_be_uploaded_is_named_and_stops_no_other(db: Database) -> None:
    rescued = await rescue(db, OneBadSlot(), address_of_host("127.0.0.1", "ubuntu", 22))

    assert outcomes(rescued) == [
        ("player-1", "not uploaded: the archive of the saves is damaged", False),
        ("player-1", "UPLOADED, 1 files", True),
    ]


async def test_a_host_without_notes_has_nothing_to_rescue(db: Database, world: World) -> None:
    rescued = await rescue(db, world.machines, await world.rented("new"))

    assert render_table(rescued) == "No restore markers are on this host: nothing was uploaded."


@pytest.mark.parametrize(
    ("host", "user", "port", "named"),
    [
        ("-oProxyCommand=x", "ubuntu", 22, "HOST"),
        ("", "ubuntu", 22, "HOST"),
        ("203.0.113.7", "ubuntu;id", 22, "--user"),
        ("203.0.113.7", "ubuntu", 0, "--port"),
    ],
)
def test_what_is_no_host_is_refused_by_its_name(host: str, user: str, port: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        address_of_host(host, user, port)


def test_the_table_says_what_is_safe() -> None:
    slot = FoundSlot("player-1", ConsoleType.SWITCH, "mario-odyssey", "main")

    text = render_table([RescuedSlot(slot, "player-1", "CONFLICT, 1 files", is_safe=True)])

    assert " ".join(text.split()[6:]) == "yes player-1 SWITCH mario-odyssey main CONFLICT, 1 files"
