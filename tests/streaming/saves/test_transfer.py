"""Saves between a bucket on loopback and machines whose tar, find and sha256sum are the real ones."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from errors import ProviderBusyError, ProviderError, ProviderRefusedError
from models.catalog import ConsoleType
from providers.http import Http
from providers.storage.bucket import Bucket
from providers.storage.tokens import NoTokens
from streaming.keys import KeyPair
from streaming.saves.archive import SavedFile, pack, unpack
from streaming.saves.slots import SaveSlot
from streaming.saves.transfer import Saves, UploadOutcome
from streaming.ssh import Shell, Ssh
from tests.providers.gcs_stand_in import BucketServer, bucket_server, error
from tests.streaming.box import Box, running_box

SLOT = SaveSlot("player-1", ConsoleType.GB, "tetris")
PREFIX = "saves/users/player-1/GB/tetris/main"
CURRENT = f"{PREFIX}/current.tar.gz"
SAVE = ".config/retroarch/saves/tetris.srm"
LIMIT = 10_000_000


class World:
    """A bucket, and machines that share it."""

    def __init__(self, server: BucketServer, saves: Saves, machine: Box, other: Box, ssh: Ssh) -> None:
        self.server, self.saves, self.machine, self.other, self._ssh = server, saves, machine, other, ssh

    @asynccontextmanager
    async def shell(self, box: Box | None = None) -> AsyncIterator[Shell]:
        async with self._ssh.shell((box or self.machine).address) as shell:
            yield shell

    def slot_holds(self) -> dict[str, bytes]:
        files, _ = unpack(self.server.objects[CURRENT][1], LIMIT)
        return {path: file.content for path, file in files.items()}

    def versions(self) -> list[dict[str, bytes]]:
        names = sorted(name for name in self.server.objects if name.startswith(f"{PREFIX}/versions/"))
        unpacked = (unpack(self.server.objects[name][1], LIMIT)[0] for name in names)
        return [{path: file.content for path, file in files.items()} for files in unpacked]


def file(box: Box, path: str = SAVE, slot: SaveSlot = SLOT) -> Path:
    return box.path(f"{slot.home}/{path}")


def play(box: Box, content: bytes, path: str = SAVE) -> None:
    box.write(f"{SLOT.home}/{path}", content)


def stored(*contents: bytes) -> bytes:
    names = (SAVE, *(f".local/share/dolphin-emu/GC/{number}.gci" for number in range(9)))
    return pack({name: SavedFile(content, 1_700_000_000) for name, content in zip(names, contents, strict=False)})


@pytest.fixture
async def world(tmp_path: Path, key: KeyPair, ssh: Ssh) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(bucket_server("games"))
        http = Http()
        stack.push_async_callback(http.close)
        saves = Saves(Bucket(http, "games", NoTokens(), endpoint_url=server.url), limit_bytes=LIMIT, versions_kept=3)
        machine = await stack.enter_async_context(running_box(tmp_path / "machine", key))
        other = await stack.enter_async_context(running_box(tmp_path / "other", key))
        yield World(server, saves, machine, other, ssh)


async def test_a_slot_that_does_not_exist_is_a_fresh_start(world: World) -> None:
    async with world.shell() as shell:
        assert await world.saves.restore(shell, SLOT) == 0

    assert world.server.objects == {}


async def test_a_slot_is_restored_into_the_apps_home_folder(world: World) -> None:
    world.server.put(CURRENT, stored(b"high score", b"card"))

    async with world.shell() as shell:
        count = await world.saves.restore(shell, SLOT)

    assert count == 2
    assert file(world.machine).read_bytes() == b"high score"
    assert file(world.machine, ".local/share/dolphin-emu/GC/0.gci").read_bytes() == b"card"
    assert int(file(world.machine).stat().st_mtime) == 1_700_000_000


async def test_what_was_played_comes_back_on_another_machine(world: World) -> None:
    async with world.shell() as shell, world.shell(world.other) as other:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 7")
        play(world.machine, b"state", ".config/retroarch/states/a b'c$(x).state")
        report = await world.saves.upload(shell, SLOT)
        count = await world.saves.restore(other, SLOT)

    assert (report.outcome, report.files, report.size_bytes) == (UploadOutcome.UPLOADED, 2, 12)
    assert count == 2
    assert file(world.other).read_bytes() == b"level 7"
    assert file(world.other, ".config/retroarch/states/a b'c$(x).state").read_bytes() == b"state"


async def test_settings_caches_and_links_are_not_saves(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 7")
        play(world.machine, b"x", ".config/retroarch/retroarch.cfg")
        play(world.machine, b"x", ".config/retroarch/assets/icon.png")
        file(world.machine, ".config/retroarch/saves/link").symlink_to("/etc/passwd")
        await world.saves.upload(shell, SLOT)

    assert world.slot_holds() == {SAVE: b"level 7"}


async def test_an_unchanged_folder_is_not_uploaded_again(world: World) -> None:
    world.server.put(CURRENT, stored(b"level 7"))

    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        report = await world.saves.upload(shell, SLOT)

    assert report.outcome == UploadOutcome.UNCHANGED
    assert list(world.server.objects) == [CURRENT]


async def test_an_empty_folder_never_wipes_a_slot(world: World) -> None:
    world.server.put(CURRENT, stored(b"level 7"))

    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        file(world.machine).unlink()
        report = await world.saves.upload(shell, SLOT)

    assert report.outcome == UploadOutcome.VANISHED
    assert not report.is_safe
    assert world.slot_holds() == {SAVE: b"level 7"}


async def test_a_folder_that_was_never_restored_is_not_uploaded(world: World) -> None:
    play(world.machine, b"whose is this?")

    async with world.shell() as shell:
        report = await world.saves.upload(shell, SLOT)

    assert report.outcome == UploadOutcome.NOT_RESTORED
    assert world.server.objects == {}


async def test_a_newer_save_of_another_machine_is_not_overwritten_and_ours_is_kept(world: World) -> None:
    world.server.put(CURRENT, stored(b"level 1"))

    async with world.shell() as shell, world.shell(world.other) as other:
        await world.saves.restore(shell, SLOT)
        await world.saves.restore(other, SLOT)
        play(world.machine, b"level 2 here")
        play(world.other, b"level 2 there")
        first = await world.saves.upload(shell, SLOT)
        second = await world.saves.upload(other, SLOT)
        again = await world.saves.upload(other, SLOT)

    assert first.outcome == UploadOutcome.UPLOADED
    assert second.outcome == again.outcome == UploadOutcome.CONFLICT
    assert second.stored_as == again.stored_as
    assert world.slot_holds() == {SAVE: b"level 2 here"}
    assert world.versions() == [{SAVE: b"level 2 here"}, {SAVE: b"level 1"}, {SAVE: b"level 2 there"}]


async def test_two_machines_that_start_the_slot_do_not_overwrite_each_other(world: World) -> None:
    async with world.shell() as shell, world.shell(world.other) as other:
        await world.saves.restore(shell, SLOT)
        await world.saves.restore(other, SLOT)
        play(world.machine, b"here")
        play(world.other, b"there")
        await world.saves.upload(shell, SLOT)
        report = await world.saves.upload(other, SLOT)

    assert report.outcome == UploadOutcome.CONFLICT
    assert world.slot_holds() == {SAVE: b"here"}


async def test_a_save_that_slips_in_between_look_and_write_is_not_overwritten(world: World) -> None:
    put = world.server.put

    def put_after_another_machine(name: str, content: bytes) -> int:
        world.server.put = put  # type: ignore[method-assign]  # the bucket's, not ours
        put(CURRENT, stored(b"from elsewhere"))
        return put(name, content)

    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"here")
        world.server.put = put_after_another_machine  # type: ignore[method-assign]  # the bucket's, not ours
        report = await world.saves.upload(shell, SLOT)

    assert report.outcome == UploadOutcome.CONFLICT
    assert world.slot_holds() == {SAVE: b"from elsewhere"}
    assert {SAVE: b"here"} in world.versions()


async def test_an_upload_whose_answer_was_lost_is_not_taken_for_somebody_elses(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 7")
        await lose_the_answer_of_the_second_write(world, shell)
        play(world.machine, b"level 8")
        report = await world.saves.upload(shell, SLOT)

    assert report.outcome == UploadOutcome.UPLOADED
    assert world.slot_holds() == {SAVE: b"level 8"}


async def test_progress_that_is_not_in_the_bucket_survives_a_repeated_restore(world: World) -> None:
    world.server.put(CURRENT, stored(b"level 1"))

    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 2")
        count = await world.saves.restore(shell, SLOT)

    assert count == 1
    assert file(world.machine).read_bytes() == b"level 2"


async def test_a_newer_slot_replaces_an_unchanged_folder(world: World) -> None:
    world.server.put(CURRENT, stored(b"level 1", b"card"))

    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        world.server.put(CURRENT, stored(b"level 9"))
        count = await world.saves.restore(shell, SLOT)

    assert count == 1
    assert file(world.machine).read_bytes() == b"level 9"
    assert not file(world.machine, ".local/share/dolphin-emu/GC/0.gci").exists()
    assert world.versions() == []


async def test_a_newer_slot_replaces_a_changed_folder_only_after_that_is_kept(world: World) -> None:
    world.server.put(CURRENT, stored(b"level 1"))

    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 2")
        world.server.put(CURRENT, stored(b"level 9"))
        await world.saves.restore(shell, SLOT)

    assert file(world.machine).read_bytes() == b"level 9"
    assert world.versions() == [{SAVE: b"level 2"}]


async def test_another_slot_of_the_game_is_restored_after_the_first_is_uploaded(world: World) -> None:
    second = replace(SLOT, save_id="speedrun")

    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 7")
        count = await world.saves.restore(shell, second)
        after = await world.saves.upload(shell, second)

    assert count == 0
    assert not file(world.machine).exists()
    assert after.outcome == UploadOutcome.EMPTY
    assert world.slot_holds() == {SAVE: b"level 7"}


async def test_files_of_unknown_origin_become_the_slot_when_there_is_none(world: World) -> None:
    play(world.machine, b"found")

    async with world.shell() as shell:
        count = await world.saves.restore(shell, SLOT)
        report = await world.saves.upload(shell, SLOT)

    assert (count, report.outcome) == (1, UploadOutcome.UPLOADED)
    assert world.slot_holds() == {SAVE: b"found"}


async def test_files_of_unknown_origin_are_kept_beside_a_slot_that_there_is(world: World) -> None:
    world.server.put(CURRENT, stored(b"level 9"))
    play(world.machine, b"found")

    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)

    assert file(world.machine).read_bytes() == b"level 9"
    assert world.versions() == [{SAVE: b"found"}]


async def test_a_restore_that_broke_off_is_not_uploaded_and_is_done_again(world: World) -> None:
    world.server.put(CURRENT, stored(b"level 1", b"card"))
    world.machine.programs["tar"] = lambda argv, given: (2, "tar: disk full")

    async with world.shell() as shell:
        with pytest.raises(ProviderBusyError):
            await world.saves.restore(shell, SLOT)
        del world.machine.programs["tar"]
        play(world.machine, b"half a file")
        broken = await world.saves.upload(shell, SLOT)
        count = await world.saves.restore(shell, SLOT)

    assert broken.outcome == UploadOutcome.NOT_RESTORED
    assert count == 2
    assert file(world.machine).read_bytes() == b"level 1"


async def test_a_game_that_writes_during_the_upload_never_leaves_half_a_save(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 7")
        world.machine.programs["tar"] = lambda argv, given: (1, "tar: tetris.srm: file changed as we read it")
        with pytest.raises(ProviderBusyError, match="changing while they were read"):
            await world.saves.upload(shell, SLOT)

    assert world.server.objects == {}
    assert len([command for command in world.machine.commands if command.startswith("tar ")]) == 3


async def test_an_archive_that_lacks_a_file_is_not_uploaded(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 7")
        play(world.machine, b"hidden", ".config/retroarch/saves/x.srm")
        world.machine.programs["tar"] = lambda argv, given: (0, pack({SAVE: SavedFile(b"level 7", 0)}))
        with pytest.raises(ProviderBusyError, match="changing while they were read"):
            await world.saves.upload(shell, SLOT)

    assert world.server.objects == {}


async def test_old_versions_go_and_the_newest_stay(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        for level in range(5):
            play(world.machine, f"level {level}".encode())
            await world.saves.upload(shell, SLOT)

    assert world.versions() == [{SAVE: b"level 2"}, {SAVE: b"level 3"}, {SAVE: b"level 4"}]


@pytest.mark.parametrize(
    "damaged", [b"nonsense", b"", stored(b"level 7")[:50]], ids=["nonsense", "nothing", "its beginning"]
)
async def test_a_damaged_save_is_refused_and_the_folder_left_alone(world: World, damaged: bytes) -> None:
    world.server.put(CURRENT, damaged)
    play(world.machine, b"mine")

    async with world.shell() as shell:
        with pytest.raises(ProviderRefusedError):
            await world.saves.restore(shell, SLOT)

    assert file(world.machine).read_bytes() == b"mine"


async def test_a_bucket_that_is_away_loses_nothing(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 7")
        world.server.faults.append(error(503, "backendError", "try again"))
        with pytest.raises(ProviderError):
            await world.saves.upload(shell, SLOT)
        report = await world.saves.upload(shell, SLOT)

    assert report.outcome == UploadOutcome.UPLOADED
    assert file(world.machine).read_bytes() == b"level 7"


async def test_megabytes_pass_unharmed(world: World) -> None:
    content = os.urandom(3_000_000)

    async with world.shell() as shell, world.shell(world.other) as other:
        await world.saves.restore(shell, SLOT)
        play(world.machine, content)
        await world.saves.upload(shell, SLOT)
        await world.saves.restore(other, SLOT)

    assert file(world.other).read_bytes() == content


async def test_no_credential_and_no_address_of_the_bucket_reaches_the_machine(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 7")
        await world.saves.upload(shell, SLOT)

    assert not [command for command in world.machine.commands if "http" in command or "curl" in command]


async def lose_the_answer_of_the_second_write(world: World, shell: Shell) -> None:
    """The version is stored, then the slot is, but nobody hears of it."""
    put = world.server.put

    def put_and_lose(name: str, content: bytes) -> int:
        world.server.lose_next_write_answer = name == CURRENT
        return put(name, content)

    world.server.put = put_and_lose  # type: ignore[method-assign]  # the bucket's, not ours
    with pytest.raises(ProviderBusyError):
        await world.saves.upload(shell, SLOT)
    world.server.put = put  # type: ignore[method-assign]  # the bucket's, not ours


STATE = ".config/retroarch/states/tetris.state1"
STATES = f"{PREFIX}/states.tar.gz"


def states_hold(world: World) -> dict[str, bytes]:
    files, _ = unpack(world.server.objects[STATES][1], LIMIT)
    return {path: file.content for path, file in files.items()}


async def test_states_are_kept_apart_from_what_the_game_saves_and_both_come_back(world: World) -> None:
    async with world.shell() as shell, world.shell(world.other) as other:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 7")
        play(world.machine, b"snapshot", STATE)
        report = await world.saves.upload(shell, SLOT)
        count = await world.saves.restore(other, SLOT)

    assert (report.outcome, report.files, report.is_safe) == (UploadOutcome.UPLOADED, 2, True)
    assert (world.slot_holds(), states_hold(world)) == ({SAVE: b"level 7"}, {STATE: b"snapshot"})
    assert count == 2
    assert file(world.other, STATE).read_bytes() == b"snapshot"


async def test_more_states_than_a_slot_keeps_never_hold_up_memory_cards_and_are_named(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"in-game progress")
        for number in range(1, 5):
            path = f".local/share/dolphin-emu/StateSaves/GAME01.s0{number}"
            play(world.machine, os.urandom(3_000_000), path)
            os.utime(file(world.machine, path), (number, number))
        report = await world.saves.upload(shell, SLOT)

    assert world.slot_holds() == {SAVE: b"in-game progress"}
    assert sorted(states_hold(world)) == [f".local/share/dolphin-emu/StateSaves/GAME01.s0{n}" for n in (2, 3, 4)]
    assert not report.is_safe
    assert [str(one) for one in report.left_out] == [
        ".local/share/dolphin-emu/StateSaves/GAME01.s01 is not uploaded: a slot holds 10 MB of save states, "
        "the newest first; delete some in the game"
    ]


async def test_a_save_larger_than_a_slot_never_holds_up_the_small_ones(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"card", ".local/share/dolphin-emu/GC/USA/Card A/game.gci")
        play(world.machine, os.urandom(LIMIT), ".local/share/dolphin-emu/Load/WiiSD.raw")
        report = await world.saves.upload(shell, SLOT)

    assert world.slot_holds() == {".local/share/dolphin-emu/GC/USA/Card A/game.gci": b"card"}
    assert [one.path for one in report.left_out] == [".local/share/dolphin-emu/Load/WiiSD.raw"]


async def test_installed_titles_are_not_saves_and_stay_on_the_machine(world: World) -> None:
    root = ".local/share/azahar-emu/sdmc/Nintendo 3DS/0/0/title/00040000/00030800"
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"save", f"{root}/data/00000001/main")
        play(world.machine, os.urandom(LIMIT), f"{root}/content/00000000.app")
        report = await world.saves.upload(shell, SLOT)
        await world.saves.restore(shell, replace(SLOT, save_id="second"))

    assert (report.outcome, report.is_safe) == (UploadOutcome.UPLOADED, True)
    assert world.slot_holds() == {f"{root}/data/00000001/main": b"save"}
    assert file(world.machine, f"{root}/content/00000000.app").exists()
    assert not file(world.machine, f"{root}/data/00000001/main").exists()


async def test_an_archive_of_earlier_releases_brings_its_states_too(world: World) -> None:
    both = pack({SAVE: SavedFile(b"level 7", 1), STATE: SavedFile(b"snapshot", 1)})
    world.server.put(CURRENT, both)

    async with world.shell() as shell, world.shell(world.other) as other:
        count = await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 8")
        play(world.machine, b"snapshot 2", STATE)
        await world.saves.upload(shell, SLOT)
        again = await world.saves.restore(other, SLOT)

    assert (count, again) == (2, 2)
    assert file(world.other).read_bytes() == b"level 8"
    assert file(world.other, STATE).read_bytes() == b"snapshot 2"
    assert {SAVE: b"level 7", STATE: b"snapshot"}.items() >= world.versions()[-1].items()


@pytest.mark.parametrize("nothing", [b"", bytes(8192), b"\xff" * 8192], ids=["no bytes", "zeros", "unwritten memory"])
async def test_a_save_that_holds_nothing_any_more_is_kept_beside_and_does_not_become_current(
    world: World, nothing: bytes
) -> None:
    world.server.put(CURRENT, stored(b"level 7"))

    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, nothing)
        report = await world.saves.upload(shell, SLOT)
        again = await world.saves.upload(shell, SLOT)
        play(world.machine, b"level 8")
        after = await world.saves.upload(shell, SLOT)

    assert (report.outcome, report.is_safe) == (UploadOutcome.SHRUNK, True)
    assert again.stored_as == report.stored_as
    assert {SAVE: nothing} in world.versions()
    assert after.outcome == UploadOutcome.UPLOADED
    assert world.slot_holds() == {SAVE: b"level 8"}


async def test_the_version_that_a_session_began_with_survives_any_number_of_uploads(world: World) -> None:
    async with world.shell() as shell, world.shell(world.other) as other:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"intact")
        await world.saves.upload(shell, SLOT)
        await world.saves.restore(other, SLOT)
        for number in range(6):
            play(world.other, f"damaged {number}".encode())
            await world.saves.upload(other, SLOT)

    assert [version[SAVE] for version in world.versions()] == [b"intact", b"damaged 3", b"damaged 4", b"damaged 5"]


async def test_what_others_packed_is_kept_when_it_is_overwritten(world: World) -> None:
    world.server.put(CURRENT, stored(b"packed by hand"))

    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        play(world.machine, b"level 8")
        await world.saves.upload(shell, SLOT)

    assert {SAVE: b"packed by hand"} in world.versions()
