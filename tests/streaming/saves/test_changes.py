"""Changes of saves that meet another change, a purge or a machine's upload lose nothing, in the simulated bucket."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.catalog import ConsoleType
from models.vms import VmStatus
from schema.ids import global_id
from streaming.saves.contents import prefix_of
from streaming.saves.purge import purge_deleted_saves
from streaming.saves.slots import SaveSlot
from streaming.saves.versions import version_name
from tests.saves_shelf import LAUNCH, MONDAY, ON_M2, SLOT, Shelf, account, packed_save, played_on, shelf

__all__ = ["account", "shelf"]

LATEST = MONDAY + timedelta(hours=9)
OTHER = SaveSlot("ann", ConsoleType.GB, "tetris", "other")


async def ten_uploads(shelf: Shelf) -> None:
    """More objects than are copied at once, so that some are copied before the last one is."""
    for hour in range(10):
        await shelf.upload(MONDAY + timedelta(hours=hour), b"level %d" % hour)


async def deleted_slot(shelf: Shelf) -> str:
    await ten_uploads(shelf)
    await shelf.change("DeleteSave", slotId=(await shelf.slot())["id"])
    (deleted,) = await shelf.slots(deleted=True)
    return str(deleted["id"])


async def outcome(shelf: Shelf, document: str, **variables: str) -> list[str]:
    (payload,) = (await shelf.gateway.data(document, **variables)).values()
    return [error["status"] for error in payload["errors"]]


def versions(slot: dict[str, Any]) -> list[dict[str, Any]]:
    return [edge["node"] for edge in slot["versions"]["edges"]]


def live(shelf: Shelf, slot: SaveSlot = SLOT) -> list[str]:
    return [one for one in shelf.names() if one.startswith(f"{slot.prefix}/") and one.endswith(".tar.gz")]


async def test_a_slot_that_two_requests_undelete_at_once_comes_back_whole(shelf: Shelf) -> None:
    deleted = await deleted_slot(shelf)

    async def the_other_request() -> None:
        await shelf.change("UndeleteSave", slotId=deleted)

    shelf.meanwhile("POST", f"/main/versions/{version_name(LATEST)}.tar.gz", the_other_request)
    statuses = await outcome(shelf, "UndeleteSave", slotId=deleted)

    assert statuses == ["CHANGED"]
    assert len(live(shelf)) == 11
    assert await shelf.current() == b"level 9"
    assert await shelf.slots(deleted=True) == []


async def test_restoring_a_version_of_a_deleted_slot_twice_at_once_loses_no_version(shelf: Shelf) -> None:
    await deleted_slot(shelf)
    (deleted,) = await shelf.slots(deleted=True)
    oldest = deleted["versions"]["edges"][-1]["node"]["id"]

    async def the_other_request() -> None:
        await shelf.change("RestoreSave", versionId=oldest)

    shelf.meanwhile("POST", "/main/current.tar.gz", the_other_request)
    statuses = await outcome(shelf, "RestoreSave", versionId=oldest)

    assert statuses == ["CHANGED"]
    assert len(live(shelf)) == 11
    assert await shelf.current() == b"level 0"


async def test_a_purge_during_an_undelete_leaves_what_was_copied(shelf: Shelf) -> None:
    deleted = await deleted_slot(shelf)

    async def purge() -> None:
        await purge_deleted_saves(shelf.bucket, datetime.now(UTC) + timedelta(days=31), timedelta(days=30))

    shelf.meanwhile("POST", f"/main/versions/{version_name(LATEST)}.tar.gz", purge)
    statuses = await outcome(shelf, "UndeleteSave", slotId=deleted)

    assert statuses == ["CHANGED"]
    assert len(live(shelf)) >= 8
    assert await shelf.current() == b"level 9"


@pytest.mark.parametrize("document", ["UndeleteSave", "RestoreSave"])
async def test_a_deleted_slot_whose_purge_is_due_is_not_undeleted(shelf: Shelf, document: str) -> None:
    deletion = version_name(datetime.now(UTC) - timedelta(days=30, minutes=1))
    packed = packed_save(b"level 1", "m1")
    for name in ("current", f"versions/{version_name(MONDAY)}"):
        shelf.store.write("games", f"{prefix_of(SLOT, deletion)}/{name}.tar.gz", packed)
    (deleted,) = await shelf.slots(deleted=True)
    version = deleted["versions"]["edges"][0]["node"]["id"]
    of = {"slotId": deleted["id"]} if document == "UndeleteSave" else {"versionId": version}

    error = await shelf.refused(document, **of)

    assert (error["__typename"], error["status"], error["path"]) == ("InvalidState", "PURGED", ["input", *of])


async def test_the_undo_of_a_rename_leaves_objects_that_it_only_found(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    slot = await shelf.slot()
    found = f"{OTHER.prefix}/versions/{version_name(MONDAY)}.tar.gz"
    (version,) = await shelf.bucket.list(f"{SLOT.prefix}/versions/")
    await shelf.bucket.copy(version, found)
    shelf.meanwhile("DELETE", "/main/current.tar.gz", lambda: shelf.upload(MONDAY + timedelta(hours=1), b"level 2"))

    statuses = await outcome(shelf, "RenameSave", slotId=slot["id"], saveId="other")

    assert statuses == ["CHANGED"]
    assert live(shelf, OTHER) == [found]
    assert len(live(shelf)) == 3
    assert await shelf.current() == b"level 2"


async def test_the_undo_of_one_rename_leaves_the_copies_that_another_one_counts_on(shelf: Shelf) -> None:
    await ten_uploads(shelf)
    slot = await shelf.slot()
    last = f"{OTHER.prefix}/versions/{version_name(LATEST)}.tar.gz"
    copied, undone = asyncio.Event(), asyncio.Event()
    others: list[asyncio.Task[list[str]]] = []

    async def pause_before_it_removes() -> None:
        copied.set()
        await undone.wait()

    async def the_other_request() -> None:
        shelf.meanwhile("DELETE", "/main/current.tar.gz", pause_before_it_removes)
        others.append(asyncio.create_task(outcome(shelf, "RenameSave", slotId=slot["id"], saveId="other")))
        await copied.wait()
        shelf.store.write("games", last, packed_save(b"by a machine", "m3"))

    shelf.meanwhile("POST", f"/other/versions/{version_name(LATEST)}.tar.gz", the_other_request)
    statuses = await outcome(shelf, "RenameSave", slotId=slot["id"], saveId="other")
    undone.set()

    assert (statuses, await others[0]) == (["CHANGED"], [])
    assert len(live(shelf, OTHER)) == 11
    assert await shelf.current(OTHER) == b"level 9"


async def test_a_move_that_stops_after_its_first_removal_puts_that_object_back(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    states = f"{SLOT.prefix}/states.tar.gz"
    shelf.store.write("games", states, packed_save(b"a state", "m1"))
    newer = packed_save(b"a newer state", "m1")

    async def save_a_state() -> None:
        shelf.store.write("games", states, newer)

    shelf.meanwhile("DELETE", "/main/states.tar.gz", save_a_state)
    statuses = await outcome(shelf, "DeleteSave", slotId=(await shelf.slot())["id"])

    assert statuses == ["CHANGED"]
    assert await shelf.current() == b"level 1"
    assert shelf.store.content_path(shelf.store.get("games", states)).read_bytes() == newer
    assert [one.rpartition("/")[2] for one in shelf.names() if one.startswith("saves/deleted/")] == ["states.tar.gz"]


async def test_of_two_deletions_at_once_one_is_refused_and_the_slot_is_deleted_whole(shelf: Shelf) -> None:
    await ten_uploads(shelf)
    slot = await shelf.slot()

    async def the_other_request() -> None:
        await shelf.change("DeleteSave", slotId=slot["id"])

    shelf.meanwhile("DELETE", "/main/current.tar.gz", the_other_request)
    statuses = await outcome(shelf, "DeleteSave", slotId=slot["id"])

    assert statuses == ["CHANGED"]
    assert live(shelf) == []
    for deleted in await shelf.slots(deleted=True):
        assert deleted["current"]["at"] == "2026-11-02T21:00:00.000Z"
        assert len(deleted["versions"]["edges"]) == 10


async def test_what_was_kept_after_a_deletion_gets_a_deletion_of_its_own(shelf: Shelf) -> None:
    earlier = version_name(datetime.now(UTC) - timedelta(days=29))
    shelf.store.write("games", f"{prefix_of(SLOT, earlier)}/current.tar.gz", packed_save(b"level 1", "m1"))
    name = await shelf.conflict(b"kept beside")

    deleted = (await shelf.change("DeleteSave", slotId=(await shelf.slot())["id"]))["slot"]
    await purge_deleted_saves(shelf.bucket, datetime.now(UTC) + timedelta(days=2), timedelta(days=30))

    (left,) = await shelf.slots(deleted=True)
    assert left["id"] == deleted["id"]
    assert [one for one in shelf.names() if one.endswith(f"/versions/{name}.tar.gz")] == [
        f"{prefix_of(SLOT, deletion_in(shelf))}/versions/{name}.tar.gz"
    ]


async def test_a_slot_is_deleted_although_an_earlier_deletion_has_other_content_of_that_name(shelf: Shelf) -> None:
    earlier = version_name(datetime.now(UTC) - timedelta(days=1))
    name = await shelf.conflict(b"kept beside")
    for one in ("current", f"versions/{name}"):
        shelf.store.write("games", f"{prefix_of(SLOT, earlier)}/{one}.tar.gz", packed_save(b"level 1", "m1"))

    await shelf.change("DeleteSave", slotId=(await shelf.slot())["id"])

    assert live(shelf) == []
    assert len(await shelf.slots(deleted=True)) == 2


async def test_a_deletion_that_was_cut_off_is_completed_where_it_began(shelf: Shelf) -> None:
    await ten_uploads(shelf)
    slot = await shelf.slot()
    for one in await shelf.bucket.list(f"{SLOT.prefix}/"):
        target = prefix_of(SLOT, version_name(LATEST)) + one.name.removeprefix(SLOT.prefix)
        await shelf.bucket.copy(one, target)
    await shelf.bucket.remove(f"{SLOT.prefix}/current.tar.gz")

    await shelf.change("DeleteSave", slotId=slot["id"])

    (deleted,) = await shelf.slots(deleted=True)
    assert deleted["deletedAt"] == "2026-11-02T21:00:00.000Z"
    assert live(shelf) == []


def deletion_in(shelf: Shelf) -> str:
    (deletion,) = {one.split("/")[6] for one in shelf.names() if one.startswith("saves/deleted/")}
    return deletion


async def test_versions_of_one_content_that_were_kept_for_two_reasons_are_both_settled(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"here")
    name = await shelf.conflict(b"there")
    digits = name.removeprefix("conflict-")
    shrunk = packed_save(b"there", "m2", "of another generation")
    shelf.store.write("games", f"{SLOT.prefix}/versions/shrunk-{digits}.tar.gz", shrunk)
    mine, *_ = (await shelf.slot())["conflict"]["versions"]

    payload = await shelf.change("KeepSave", versionId=mine["id"])
    again = await shelf.change("KeepSave", versionId=mine["id"])

    assert payload["slot"]["conflict"] is again["slot"]["conflict"] is None
    settled = [one for one in live(shelf) if "/settled-" in one]
    assert len(settled) == 2
    assert f"{SLOT.prefix}/versions/settled-{digits}.tar.gz" in settled
    assert {one["reason"] for one in versions(await shelf.slot())} == {"UPLOADED", "SETTLED"}


@pytest.mark.parametrize(("content", "is_newest"), [(b"newest", True), (b"older", False)])
async def test_only_with_its_newest_version_does_a_machine_go_on_after_the_choice(
    shelf: Shelf, content: bytes, is_newest: bool
) -> None:
    await shelf.upload(MONDAY, b"here")
    names = {}
    for hour, one in ((3, b"older"), (4, b"newest")):
        names[one] = await shelf.conflict(one, moment=MONDAY + timedelta(hours=hour))
    chosen = version_id(names[content])

    await played_on(shelf, ON_M2, LAUNCH, VmStatus.RUNNING)
    while_it_runs = await outcome(shelf, "KeepSave", versionId=chosen)
    await played_on(shelf, ON_M2, LAUNCH, VmStatus.DELETED)
    await shelf.change("KeepSave", versionId=chosen)

    assert while_it_runs == ([] if is_newest else ["RUNNING"])
    assert await shelf.current() == content
    assert (await shelf.writer() == "m2") is is_newest
    assert (await shelf.slot())["conflict"] is None


def version_id(name: str) -> str:
    return global_id("SaveVersion", f"GAME/{name}/{SLOT.key}")
