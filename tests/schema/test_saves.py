"""Saves as players see and change them, through the gateway, with the simulated bucket and machines that upload."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auth.callers import Caller
from models.audit import AuditEntry
from models.catalog import ConsoleType
from models.launches import LaunchStatus
from models.vms import VmStatus
from providers.http import Http
from schema.ids import global_id
from streaming.saves.archive import Manifest, SavedFile, pack, unpack
from streaming.saves.purge import purge_deleted_saves
from streaming.saves.slots import SaveSlot
from streaming.saves.versions import version_name
from tests.gateway import ANN, BOB, OPERATOR, SERVICE, GatewayWorld, a_launch
from tests.saves_shelf import (
    FILE,
    LAUNCH,
    MONDAY,
    ON_M1,
    ON_M2,
    OTHER_LAUNCH,
    SLOT,
    Shelf,
    account,
    packed_save,
    played_on,
    shelf,
)

__all__ = ["account", "shelf"]


def versions(slot: dict[str, Any]) -> list[dict[str, Any]]:
    return [edge["node"] for edge in slot["versions"]["edges"]]


async def test_a_slot_shows_its_versions_newest_first_and_where_each_comes_from(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    await shelf.upload(MONDAY + timedelta(hours=1), b"level 2", ON_M2)

    slot = await shelf.slot()

    newest, oldest = versions(slot)
    assert (slot["saveId"], slot["gameId"], slot["userId"]) == ("main", "tetris", "ann")
    assert (slot["inUse"], slot["conflict"], slot["deletedAt"], slot["states"]) == (False, None, None, None)
    assert slot["current"]["at"] == newest["at"] == "2026-11-02T13:00:00.000Z"
    assert (newest["isCurrent"], oldest["isCurrent"]) == (True, False)
    assert (newest["vmId"], newest["device"]) == (global_id("VM", ON_M2.vm_id or ""), ON_M2.device)
    assert (oldest["files"], oldest["kind"], oldest["reason"]) == (1, "GAME", "UPLOADED")
    stored = await shelf.bucket.stat(f"{SLOT.prefix}/versions/{version_name(MONDAY)}.tar.gz")
    assert stored is not None
    assert oldest["bytes"] == stored.size_bytes


async def test_versions_come_in_pages(shelf: Shelf) -> None:
    for hour in range(3):
        await shelf.upload(MONDAY + timedelta(hours=hour), b"level %d" % hour)

    (first,) = await shelf.slots(first=2)
    (second,) = await shelf.slots(first=2, after=first["versions"]["pageInfo"]["endCursor"])

    assert [one["at"][11:13] for one in versions(first) + versions(second)] == ["14", "13", "12"]
    assert (first["versions"]["pageInfo"]["hasNextPage"], second["versions"]["pageInfo"]["hasNextPage"]) == (
        True,
        False,
    )


async def test_a_console_lists_all_its_games_and_a_game_its_slots_alone(shelf: Shelf) -> None:
    for game, save in (("tetris", "main"), ("tetris", "speedrun"), ("zelda", "main")):
        await shelf.upload(MONDAY, b"x", slot=SaveSlot("ann", ConsoleType.GB, game, save))
    await shelf.upload(MONDAY, b"x", slot=SaveSlot("ann", ConsoleType.GB, None))
    await shelf.upload(MONDAY, b"x", slot=SaveSlot("ann", ConsoleType.SNES, "tetris"))

    every, one = await shelf.slots(), await shelf.slots(gameId="tetris")

    assert [(slot["gameId"], slot["saveId"]) for slot in every] == [
        (None, "main"),
        ("tetris", "main"),
        ("tetris", "speedrun"),
        ("zelda", "main"),
    ]
    assert [slot["saveId"] for slot in one] == ["main", "speedrun"]


async def test_files_are_counted_in_archives_that_say_nothing_of_themselves(shelf: Shelf) -> None:
    three = {f"{FILE}{number}": SavedFile(bytes([number]) * 90_000, 1) for number in range(3)}
    packed = {
        "20261101T120000000000Z": pack(three, Manifest("m1", 0)),  # its manifest says it
        "20261101T110000000000Z": pack(three),  # others packed it
        "20261101T100000000000Z": pack(three)[:-9],  # cut off
        "20261101T090000000000Z": b"no archive",
    }
    for name, content in packed.items():
        shelf.store.write("games", f"{SLOT.prefix}/versions/{name}.tar.gz", content)

    document = "{ saves(console: GB) { versions { edges { node { files damaged } } } } }"
    (slot,) = (await shelf.gateway.data(document))["saves"]

    assert versions(slot) == [
        {"files": 3, "damaged": False},
        {"files": 3, "damaged": False},
        {"files": 3, "damaged": True},
        {"files": 0, "damaged": True},
    ]


async def test_an_older_version_that_is_restored_is_what_a_new_machine_gets_and_nothing_is_lost(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    await shelf.upload(MONDAY + timedelta(hours=1), b"level 2")
    _, oldest = versions(await shelf.slot())

    payload = await shelf.change("RestoreSave", versionId=oldest["id"])
    again = await shelf.change("RestoreSave", versionId=oldest["id"])

    slot = await shelf.slot()
    assert await shelf.current() == b"level 1"
    assert payload["slot"]["current"]["at"] == again["slot"]["current"]["at"] == oldest["at"]
    assert [(one["at"][11:13], one["isCurrent"]) for one in versions(slot)] == [("13", False), ("12", True)]
    assert (await shelf.writer()).startswith("restored-")


async def test_a_current_save_that_has_no_version_gets_one_before_it_is_replaced(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    (oldest,) = versions(await shelf.slot())
    shelf.store.write("games", f"{SLOT.prefix}/current.tar.gz", packed_save(b"by hand", "operator"))

    await shelf.change("RestoreSave", versionId=oldest["id"])

    kept = [one for one in shelf.names() if "/versions/" in one]
    contents = [unpack(shelf.store.content_path(shelf.store.get("games", one)).read_bytes(), 9999)[0] for one in kept]
    assert [one[FILE].content for one in contents] == [b"level 1", b"by hand"]


async def test_a_damaged_version_is_not_restored(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    shelf.store.write("games", f"{SLOT.prefix}/versions/20261101T090000000000Z.tar.gz", b"no archive")
    _, damaged = versions(await shelf.slot())

    error = await shelf.refused("RestoreSave", versionId=damaged["id"])

    assert (error["__typename"], error["status"], error["path"]) == ("InvalidState", "DAMAGED", ["input", "versionId"])


async def test_in_a_conflict_nothing_is_chosen_until_the_player_keeps_one(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"here")
    name = await shelf.conflict(b"there")

    before = await shelf.slot()
    mine, theirs = before["conflict"]["versions"]
    payload = await shelf.change("KeepSave", versionId=theirs["id"])
    again = await shelf.change("KeepSave", versionId=theirs["id"])

    assert (mine["device"], mine["isCurrent"], theirs["device"], theirs["isCurrent"]) == (
        *(ON_M1.device, True),
        *(ON_M2.device, False),
    )
    assert payload["slot"]["conflict"] is None
    assert again["slot"]["conflict"] is None
    assert (await shelf.current(), await shelf.writer()) == (b"there", "m2")
    assert sorted(one.rpartition("/")[2] for one in shelf.names()) == sorted(
        ["current.tar.gz", f"{version_name(MONDAY)}.tar.gz", f"{name.replace('conflict', 'settled')}.tar.gz"]
    )


async def test_keeping_what_is_current_settles_the_conflict_and_keeps_the_other_version(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"here")
    await shelf.conflict(b"there, earlier")
    await shelf.conflict(b"elsewhere", writer="m3")
    candidates = (await shelf.slot())["conflict"]["versions"]

    await shelf.change("KeepSave", versionId=candidates[0]["id"])

    slot = await shelf.slot()
    assert len(candidates) == 3
    assert slot["conflict"] is None
    assert await shelf.current() == b"here"
    assert sorted(one["reason"] for one in versions(slot)) == ["SETTLED", "SETTLED", "UPLOADED"]


async def test_states_of_the_machine_that_is_chosen_are_chosen_with_its_save(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"here")
    await shelf.conflict(b"there")
    for name, content in (("states", b"here"), ("state-versions/conflict-m2-000000000000", b"there")):
        shelf.store.write("games", f"{SLOT.prefix}/{name}.tar.gz", packed_save(content, "m"))
    _, theirs = (await shelf.slot())["conflict"]["versions"]

    payload = await shelf.change("KeepSave", versionId=theirs["id"])

    states = shelf.store.content_path(shelf.store.get("games", f"{SLOT.prefix}/states.tar.gz")).read_bytes()
    assert unpack(states, 9999)[0][FILE].content == b"there"
    assert payload["slot"]["conflict"] is None


async def test_without_a_conflict_there_is_nothing_to_keep(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    await shelf.upload(MONDAY + timedelta(hours=1), b"level 2")
    _, oldest = versions(await shelf.slot())

    error = await shelf.refused("KeepSave", versionId=oldest["id"])

    assert (error["__typename"], error["status"]) == ("InvalidState", "NO_CONFLICT")


async def test_a_slot_gets_another_name_with_all_its_versions(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    await shelf.upload(MONDAY + timedelta(hours=1), b"level 2")
    slot = await shelf.slot()

    payload = await shelf.change("RenameSave", slotId=slot["id"], saveId="speedrun.2")

    renamed = await shelf.slot()
    assert payload["slot"]["saveId"] == renamed["saveId"] == "speedrun.2"
    assert [one["at"] for one in versions(renamed)] == [one["at"] for one in versions(slot)]
    assert versions(renamed)[0]["device"] == ON_M1.device
    assert await shelf.current(SaveSlot("ann", ConsoleType.GB, "tetris", "speedrun.2")) == b"level 2"
    assert [one for one in shelf.names() if one.startswith(f"{SLOT.prefix}/")] == [f"{SLOT.prefix}/removed.json"]


@pytest.mark.parametrize(
    "name", ["", "../x", "A", "a b", "-a", "a/b", "a" * 129, "💾", "a\n", "a\0", "%2e%2e", "_", "@1"]
)
async def test_a_name_that_no_slot_may_have_is_refused(shelf: Shelf, name: str) -> None:
    await shelf.upload(MONDAY, b"level 1")

    error = await shelf.refused("RenameSave", slotId=(await shelf.slot())["id"], saveId=name)

    assert (error["__typename"], error["path"]) == ("InvalidInput", ["input", "saveId"])


async def test_a_name_that_is_taken_is_refused(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    await shelf.upload(MONDAY, b"other", slot=SaveSlot("ann", ConsoleType.GB, "tetris", "speedrun"))
    slot, _ = await shelf.slots()

    error = await shelf.refused("RenameSave", slotId=slot["id"], saveId="speedrun")

    assert (error["__typename"], error["path"]) == ("InvalidInput", ["input", "saveId"])


async def test_a_rename_that_was_cut_off_is_ended_by_the_next_one(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    slot = await shelf.slot()
    half = SaveSlot("ann", ConsoleType.GB, "tetris", "new")
    for one in await shelf.bucket.list(f"{SLOT.prefix}/"):
        await shelf.bucket.copy(one, one.name.replace(SLOT.prefix, half.prefix))
    await shelf.bucket.remove(f"{SLOT.prefix}/current.tar.gz")

    await shelf.change("RenameSave", slotId=slot["id"], saveId="new")

    assert await shelf.current(half) == b"level 1"
    assert [one["saveId"] for one in await shelf.slots()] == ["new"]


async def test_a_deleted_slot_is_gone_comes_back_whole_and_is_purged_after_its_time(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    await shelf.upload(MONDAY + timedelta(hours=1), b"level 2")
    slot = await shelf.slot()

    deleted = (await shelf.change("DeleteSave", slotId=slot["id"]))["slot"]
    again = (await shelf.change("DeleteSave", slotId=slot["id"]))["slot"]
    listed, live = await shelf.slots(deleted=True), await shelf.slots()
    await shelf.change("UndeleteSave", slotId=deleted["id"])
    back = await shelf.slot()

    assert live == []
    assert [one["id"] for one in listed] == [deleted["id"]] == [again["id"]]
    lasting = moment(deleted["purgedAt"]) - moment(deleted["deletedAt"])
    assert lasting == timedelta(days=30)
    assert [one["at"] for one in versions(back)] == [one["at"] for one in versions(slot)]
    assert await shelf.current() == b"level 2"
    assert await shelf.slots(deleted=True) == []
    assert not any("removed.json" in name or "deleted" in name for name in shelf.names())


async def test_a_deleted_slot_is_really_removed_when_its_time_is_over_and_not_before(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    await shelf.change("DeleteSave", slotId=(await shelf.slot())["id"])
    await shelf.upload(MONDAY, b"a new start")
    now = datetime.now(UTC)

    early = await purge_deleted_saves(shelf.bucket, now + timedelta(days=29), timedelta(days=30))
    kept = await shelf.slots(deleted=True)
    late = await purge_deleted_saves(shelf.bucket, now + timedelta(days=31), timedelta(days=30))

    assert (early, len(kept), late) == (0, 1, 2)
    assert await shelf.slots(deleted=True) == []
    assert not any(name.startswith("saves/deleted/") for name in shelf.names())
    assert await shelf.current() == b"a new start"


async def test_each_deletion_of_a_slot_can_be_undone_while_no_other_takes_its_name(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"first")
    await shelf.change("DeleteSave", slotId=(await shelf.slot())["id"])
    await shelf.upload(MONDAY, b"second")
    slot = await shelf.slot()
    (deleted,) = await shelf.slots(deleted=True)

    taken = await shelf.refused("UndeleteSave", slotId=deleted["id"])
    await shelf.change("RenameSave", slotId=slot["id"], saveId="second")
    await shelf.change("UndeleteSave", slotId=deleted["id"])

    assert (taken["__typename"], taken["status"]) == ("InvalidState", "EXISTS")
    assert await shelf.current() == b"first"
    assert [one["saveId"] for one in await shelf.slots()] == ["main", "second"]


async def test_restoring_a_version_of_a_deleted_slot_brings_the_slot_back(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    await shelf.upload(MONDAY + timedelta(hours=1), b"level 2")
    await shelf.change("DeleteSave", slotId=(await shelf.slot())["id"])
    (deleted,) = await shelf.slots(deleted=True)

    payload = await shelf.change("RestoreSave", versionId=versions(deleted)[1]["id"])

    assert payload["slot"]["deletedAt"] is None
    assert await shelf.current() == b"level 1"
    assert len(versions(await shelf.slot())) == 2


@pytest.mark.parametrize(
    "status", [VmStatus.RUNNING, VmStatus.STARTING, VmStatus.STOPPING, VmStatus.DELETING, VmStatus.LOST]
)
async def test_while_a_machine_holds_a_slot_it_is_not_changed(shelf: Shelf, status: VmStatus) -> None:
    await shelf.upload(MONDAY, b"level 1")
    await shelf.upload(MONDAY + timedelta(hours=1), b"level 2")
    await played_on(shelf, ON_M1, LAUNCH, status)
    slot = await shelf.slot()

    errors = [
        await shelf.refused("RestoreSave", versionId=versions(slot)[1]["id"]),
        await shelf.refused("RenameSave", slotId=slot["id"], saveId="other"),
        await shelf.refused("DeleteSave", slotId=slot["id"]),
    ]

    assert slot["inUse"] is True
    assert [(error["__typename"], error["status"]) for error in errors] == [("InvalidState", status.value)] * 3


async def test_a_launch_under_way_holds_its_slot(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    await shelf.gateway.db.insert(
        a_launch(LAUNCH, console=ConsoleType.GB, game_id="tetris", status=LaunchStatus.QUEUED)
    )
    slot = await shelf.slot()

    error = await shelf.refused("DeleteSave", slotId=slot["id"])
    named = await shelf.refused("RenameSave", slotId=slot["id"], saveId="other")

    assert (error["__typename"], error["status"], named["status"]) == ("InvalidState", "QUEUED", "QUEUED")


@pytest.mark.parametrize("pending", [True, False])
async def test_a_stopped_machine_holds_its_slot_until_it_is_deleted(shelf: Shelf, pending: bool) -> None:
    await shelf.upload(MONDAY, b"level 1")
    await shelf.upload(MONDAY + timedelta(hours=1), b"level 2")
    await played_on(shelf, ON_M1, LAUNCH, VmStatus.STOPPED, saves_pending=pending)
    slot = await shelf.slot()

    errors = [
        await shelf.refused("RestoreSave", versionId=versions(slot)[1]["id"]),
        await shelf.refused("RenameSave", slotId=slot["id"], saveId="other"),
        await shelf.refused("DeleteSave", slotId=slot["id"]),
    ]
    await played_on(shelf, ON_M1, LAUNCH, VmStatus.DELETED, saves_pending=False)
    await shelf.change("DeleteSave", slotId=slot["id"])

    assert slot["inUse"] is True
    assert [(error["__typename"], error["status"]) for error in errors] == [("InvalidState", "STOPPED")] * 3
    assert all("delete the machine" in error["message"] for error in errors)


@pytest.mark.parametrize(("document", "refused"), [("KeepSave", False), ("UndeleteSave", True)])
async def test_a_stopped_machine_hinders_an_undelete_and_no_choice_in_a_conflict(
    shelf: Shelf, document: str, refused: bool
) -> None:
    await shelf.upload(MONDAY, b"level 1")
    of = {"versionId": global_id("SaveVersion", f"GAME/{await shelf.conflict(b'there')}/{SLOT.key}")}
    if document == "UndeleteSave":
        deleted = (await shelf.change("DeleteSave", slotId=(await shelf.slot())["id"]))["slot"]
        of = {"slotId": deleted["id"]}
    await played_on(shelf, ON_M1, LAUNCH, VmStatus.STOPPED, saves_pending=False)

    (payload,) = (await shelf.gateway.data(document, ANN, **of)).values()

    assert [error["status"] for error in payload["errors"]] == (["STOPPED"] if refused else [])


async def test_machines_that_play_other_slots_do_not_hold_this_one(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    await played_on(shelf, ON_M1, LAUNCH, VmStatus.RUNNING, game_id="zelda")
    await played_on(shelf, ON_M2, OTHER_LAUNCH, VmStatus.RUNNING, user_id="bob")

    slot = await shelf.slot()
    await shelf.change("DeleteSave", slotId=slot["id"])

    assert slot["inUse"] is False


async def test_a_conflict_is_settled_for_the_machine_that_plays_on_and_for_no_other_one(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"here")
    await shelf.conflict(b"there")
    await played_on(shelf, ON_M2, LAUNCH, VmStatus.RUNNING)
    mine, theirs = (await shelf.slot())["conflict"]["versions"]

    error = await shelf.refused("KeepSave", versionId=mine["id"])
    await shelf.change("KeepSave", versionId=theirs["id"])

    assert (error["__typename"], error["status"]) == ("InvalidState", "RUNNING")
    assert await shelf.current() == b"there"


async def test_a_download_is_the_version_itself_for_five_minutes(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    (version,) = versions(await shelf.slot())
    before = datetime.now(UTC)

    download = (await shelf.change("DownloadSave", versionId=version["id"]))["download"]
    http = Http()
    reply = await http.get(download["url"])
    await http.close()

    assert reply.status == 200
    assert unpack(reply.body, 9999)[0][FILE].content == b"level 1"
    assert len(reply.body) == download["bytes"] == version["bytes"]
    lasting = (moment(download["expiresAt"]) - before).total_seconds()
    assert 298 <= lasting <= 301
    assert reply.headers["content-disposition"].startswith('attachment; filename="gb-tetris-main-20261102T120000')
    entries = await shelf.gateway.db.find(AuditEntry, {})
    assert not any("X-Goog" in (entry.detail or "") for entry in entries)


async def test_another_players_saves_answer_as_if_there_were_none(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    slot = await shelf.slot()
    version = versions(slot)[0]["id"]
    unknown_slot = global_id("SaveSlot", "GB/pong/main/ann")
    unknown_version = global_id("SaveVersion", "GAME/current/GB/pong/main/ann")

    for id_, unknown, documents in (
        (version, unknown_version, ("RestoreSave", "KeepSave", "DownloadSave")),
        (slot["id"], unknown_slot, ("DeleteSave", "UndeleteSave", "RenameSave")),
    ):
        for document in documents:
            field = "versionId" if id_ is version else "slotId"
            rest = {"saveId": "mine"} if document == "RenameSave" else {}
            foreign = await shelf.refused(document, BOB, **{field: id_, **rest})
            nothing = await shelf.refused(document, ANN, **{field: unknown, **rest})
            assert foreign == nothing
            assert (foreign["__typename"], foreign["path"]) == ("NotFound", ["input", field])
        assert (await shelf.gateway.data("Node", BOB, id=id_))["node"] is None
        assert (await shelf.gateway.data("Node", ANN, id=id_))["node"]["id"] == id_
    assert await shelf.slots(BOB) == []


async def test_a_player_lists_no_others_saves_and_staff_name_the_player(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")

    error = await shelf.gateway.error("Saves", BOB, console="GB", userId="ann")

    assert error["extensions"]["code"] == "FORBIDDEN"
    for staff in (OPERATOR, SERVICE):
        (slot,) = await shelf.slots(staff, userId="ann")
        assert (await shelf.gateway.data("Node", staff, id=slot["id"]))["node"]["saveId"] == "main"
        assert await shelf.slots(staff) == []
    payload = await shelf.change("DeleteSave", OPERATOR, slotId=slot["id"])
    assert payload["slot"]["deletedAt"] is not None


@pytest.mark.parametrize(
    "key",
    [
        "GB/tetris/main",
        "GB/tetris/../ann",
        "GB/../main/ann",
        "XBOX/tetris/main/ann",
        "GB/tetris/main/",
        "GB/tetris/main/ann\n",
        "GB/tetris/main@../ann",
        "GB/tetris/main@20261102T120000000000Z/../bob",
        'GB/tetris/{"$ne": null}/ann',
        "💾",
    ],
)
async def test_a_hostile_id_finds_nothing_and_stays_off_the_audit_log(shelf: Shelf, key: str) -> None:
    await shelf.upload(MONDAY, b"level 1")

    error = await shelf.refused("DeleteSave", OPERATOR, slotId=global_id("SaveSlot", key))
    versioned = await shelf.refused("RestoreSave", OPERATOR, versionId=global_id("SaveVersion", f"GAME/current/{key}"))

    assert (error["__typename"], versioned["__typename"]) == ("NotFound", "NotFound")
    assert (await shelf.gateway.data("Node", OPERATOR, id=global_id("SaveSlot", key)))["node"] is None
    subjects = {entry.subject_id for entry in await shelf.gateway.db.find(AuditEntry, {})}
    assert not any(subject and ("\n" in subject or ".." in subject or "$ne" in subject) for subject in subjects)


@pytest.mark.parametrize("game", ["", "..", "a/b", "_", "A", "a" * 129])
async def test_a_game_id_that_is_none_is_refused_by_name(shelf: Shelf, game: str) -> None:
    error = await shelf.gateway.error("Saves", ANN, console="GB", gameId=game)

    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "gameId"}


async def test_users_whose_ids_are_no_folder_names_have_slots_of_their_own(shelf: Shelf) -> None:
    user = Caller("auth0|5f/../ann", ANN.role)
    await shelf.upload(MONDAY, b"level 1", slot=SaveSlot(user.id, ConsoleType.GB, "tetris"))

    (slot,) = await shelf.slots(user)
    payload = await shelf.change("RenameSave", user, slotId=slot["id"], saveId="other")

    assert payload["slot"]["saveId"] == "other"
    assert await shelf.slots(ANN) == []


async def test_what_is_done_to_a_save_is_on_the_audit_log_under_the_slot(shelf: Shelf) -> None:
    await shelf.upload(MONDAY, b"level 1")
    slot = await shelf.slot()
    await shelf.change("RenameSave", slotId=slot["id"], saveId="other")
    await shelf.refused("RenameSave", slotId=slot["id"], saveId="other")

    log = (await shelf.gateway.data("AuditLog", OPERATOR, subjectId=slot["id"]))["auditLog"]["edges"]

    entries = [(one["node"]["action"], one["node"]["outcome"], one["node"]["subjectId"]) for one in log]
    assert entries == [
        ("renameSave", "REFUSED", slot["id"]),
        ("renameSave", "DONE", slot["id"]),
    ]


async def test_a_bucket_that_is_away_is_unavailable(gateway: GatewayWorld) -> None:
    error = await gateway.error("Saves", ANN, console="GB")

    assert error["extensions"]["code"] == "UNAVAILABLE"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("document", "rest"), [("DeleteSave", {}), ("RenameSave", {"saveId": "other"})], ids=["delete", "rename"]
)
async def test_a_machine_that_saves_while_a_slot_is_moved_loses_nothing(
    shelf: Shelf, document: str, rest: dict[str, str]
) -> None:
    await shelf.upload(MONDAY, b"level 1")
    slot = await shelf.slot()
    shelf.meanwhile("DELETE", "/main/current.tar.gz", lambda: shelf.upload(MONDAY + timedelta(hours=1), b"level 2"))

    (payload,) = (await shelf.gateway.data(document, slotId=slot["id"], **rest)).values()

    assert [(error["__typename"], error["status"]) for error in payload["errors"]] == [("InvalidState", "CHANGED")]
    assert await shelf.current() == b"level 2"
    assert [one["saveId"] for one in await shelf.slots()] == ["main"]
    assert await shelf.slots(deleted=True) == []
    assert len(versions(await shelf.slot())) == 2


@pytest.mark.parametrize("document", ["RestoreSave", "KeepSave"])
async def test_a_machine_that_saves_while_a_version_is_chosen_is_not_overwritten(shelf: Shelf, document: str) -> None:
    await shelf.upload(MONDAY, b"level 1")
    await shelf.conflict(b"there")
    _, theirs = (await shelf.slot())["conflict"]["versions"]
    shelf.meanwhile("POST", "/main/current.tar.gz", lambda: shelf.upload(MONDAY + timedelta(hours=1), b"level 2"))

    (payload,) = (await shelf.gateway.data(document, versionId=theirs["id"])).values()

    assert [(error["__typename"], error["status"]) for error in payload["errors"]] == [("InvalidState", "CHANGED")]
    assert await shelf.current() == b"level 2"
    assert (await shelf.slot())["conflict"] is not None
