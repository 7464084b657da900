"""Saves on a machine with a real OpenSSH server, shell, sudo, find and tar, logged in to as different users."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from errors import ProviderError
from models.catalog import ConsoleType
from providers.http import Http
from providers.storage.bucket import Bucket
from providers.storage.tokens import NoTokens
from streaming.keys import KeyPair
from streaming.saves.archive import unpack
from streaming.saves.slots import SaveSlot
from streaming.saves.transfer import Saves, UploadOutcome
from streaming.ssh import CommandFailedError, Shell, Ssh
from tests.providers.gcs_stand_in import BucketServer, bucket_server
from tests.streaming.real_machine import LOGIN, RealMachine, running_real_machine

SLOT = SaveSlot("player-1", ConsoleType.GB, "tetris")
SAVES = f"{SLOT.home}/.config/retroarch/saves"
CURRENT = f"{SLOT.prefix}/current.tar.gz"
PLAYER = 1000


@dataclass
class World:
    server: BucketServer
    bucket: Bucket
    machine: RealMachine
    ssh: Ssh

    @property
    def saves(self) -> Saves:
        return Saves(self.bucket)

    @asynccontextmanager
    async def shell(self, user: str = LOGIN) -> AsyncIterator[Shell]:
        async with self.ssh.shell(self.machine.address(user)) as shell:
            yield shell

    def play(self, name: str | bytes, content: bytes, *, owner: int = PLAYER, mode: int = 0o644) -> Path:
        """Write a save as the game does: owned by the player."""
        folder = self.machine.path(SAVES)
        folder.mkdir(parents=True, exist_ok=True)
        for made in (folder, *folder.parents[:3]):
            os.chown(made, PLAYER, PLAYER)
        path = folder / os.fsdecode(name)
        path.write_bytes(content)
        os.chown(path, owner, owner)
        path.chmod(mode)
        return path

    def slot_holds(self) -> dict[bytes, bytes]:
        files, _ = unpack(self.server.objects[CURRENT][1], 10**7)
        return {os.fsencode(path).rpartition(b"/")[2]: file.content for path, file in files.items()}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, key: KeyPair) -> Iterator[RealMachine]:
    with running_real_machine(tmp_path_factory.mktemp("real") / "machine", key.public_key) as machine:
        yield machine


@pytest.fixture
async def world(machine: RealMachine, ssh: Ssh) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(bucket_server("games"))
        http = Http()
        stack.push_async_callback(http.close)
        yield World(server, Bucket(http, "games", NoTokens(), endpoint_url=server.url), machine, ssh)
        async with ssh.shell(machine.address("root")) as shell:
            await shell.run("find", "/var/lib", "-mindepth", "1", "-delete")


@pytest.mark.parametrize("user", [LOGIN, "root"])
async def test_saves_travel_whoever_logs_in_and_however_closed_that_home_is(world: World, user: str) -> None:
    async with world.shell(user) as shell:
        fresh = await world.saves.restore(shell, SLOT)
        world.play("tetris.srm", b"level 7")
        report = await world.saves.upload(shell, SLOT)
        await shell.sudo("rm", "-rf", f"{SLOT.home}", "/var/lib/cloudypad/gamer-saves")
        restored = await world.saves.restore(shell, SLOT)

    save = world.machine.path(f"{SAVES}/tetris.srm")
    assert (fresh, report.outcome, restored) == (0, UploadOutcome.UPLOADED, 1)
    assert save.read_bytes() == b"level 7"
    assert (save.stat().st_uid, save.stat().st_gid) == (PLAYER, PLAYER)


async def test_hard_links_and_names_that_are_no_text_travel(world: World) -> None:
    odd = "テトリス".encode("shift_jis") + b".srm"
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        first = world.play("tetris.srm", b"level 7")
        first.with_name("linked.srm").hardlink_to(first)
        world.play(odd, b"level 8")
        world.play("-rf $(reboot) 'x'\n.srm", b"level 9")
        report = await world.saves.upload(shell, SLOT)
        await shell.sudo("rm", "-rf", f"{SLOT.home}", "/var/lib/cloudypad/gamer-saves")
        restored = await world.saves.restore(shell, SLOT)

    expected = {
        b"tetris.srm": b"level 7",
        b"linked.srm": b"level 7",
        odd: b"level 8",
        b"-rf $(reboot) 'x'\n.srm": b"level 9",
    }
    assert (report.outcome, report.is_safe, restored) == (UploadOutcome.UPLOADED, True, 4)
    assert world.slot_holds() == expected
    files = world.machine.path(SAVES).iterdir()
    assert {os.fsencode(file.name): file.read_bytes() for file in files} == expected


async def test_a_file_that_the_player_cannot_read_is_named_and_all_else_is_uploaded(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        world.play("tetris.srm", b"level 7")
        world.play("foreign.srm", b"secret", owner=0, mode=0o600)
        report = await world.saves.upload(shell, SLOT)

    assert world.slot_holds() == {b"tetris.srm": b"level 7"}
    assert not report.is_safe
    assert [str(one) for one in report.left_out] == [
        ".config/retroarch/saves/foreign.srm cannot be read by the game's user 1000: "
        "give it to that user on the machine (chown 1000)"
    ]


async def test_a_closed_folder_is_named_once_and_never_taken_for_an_empty_one(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        world.play("tetris.srm", b"level 7")
        world.play("other.srm", b"level 8")
        folder = world.machine.path(SAVES)
        os.chown(folder, 0, 0)
        folder.chmod(0o700)
        report = await world.saves.upload(shell, SLOT)

    assert not report.is_safe
    assert [one.path for one in report.left_out] == [".config/retroarch/saves"]
    assert world.server.objects == {}


async def test_a_folder_behind_a_link_is_no_empty_folder(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        real = world.play("tetris.srm", b"level 7").parent
        real.rename(real.with_name("elsewhere"))
        real.symlink_to("/home/retro/.config/retroarch/elsewhere")
        report = await world.saves.upload(shell, SLOT)

    assert (report.outcome, report.is_safe) == (UploadOutcome.UPLOADED, True)
    assert world.slot_holds() == {b"tetris.srm": b"level 7"}


async def test_a_link_that_leads_out_of_the_players_folder_stops_the_deletion(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        world.play("tetris.srm", b"level 7").with_name("lost").symlink_to("/tmp/saves")
        report = await world.saves.upload(shell, SLOT)

    assert world.slot_holds() == {b"tetris.srm": b"level 7"}
    assert [str(one) for one in report.left_out] == [
        ".config/retroarch/saves/lost is a link to /tmp/saves, outside the player's folder: move its content there"
    ]


async def test_saves_behind_a_linked_parent_are_restored_where_the_game_finds_them(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        world.play("tetris.srm", b"level 7")
        await world.saves.upload(shell, SLOT)
        config = world.machine.path(f"{SLOT.home}/.config")
        config.rename(config.with_name("settings"))
        config.symlink_to("/home/retro/settings")
        await shell.sudo("rm", "-rf", "/var/lib/cloudypad/gamer-saves", f"{SLOT.home}/settings/retroarch/saves")
        await world.saves.restore(shell, SLOT)

    assert world.machine.path(f"{SLOT.home}/settings/retroarch/saves/tetris.srm").read_bytes() == b"level 7"


@pytest.mark.parametrize("broken", ["find", "tar", "setpriv"])
async def test_a_program_that_fails_loses_nothing_and_reports_nothing(world: World, broken: str) -> None:
    async with world.shell() as shell, world.shell("root") as root:
        await world.saves.restore(shell, SLOT)
        world.play("tetris.srm", b"level 7")
        program = (await root.run("which", broken)).text
        await root.write_file("/run/broken", b"#!/bin/sh\necho no process left >&2; exit 1\n", 0o755)
        await root.run("mount", "--bind", "/run/broken", program)
        try:
            with pytest.raises(ProviderError, match=r"(with status 1|while they were read): no process left"):
                await world.saves.upload(shell, SLOT)
        finally:
            await root.run("umount", program)

    assert world.server.objects == {}


async def test_a_user_who_may_not_become_root_gets_an_error_and_no_empty_answer(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        world.play("tetris.srm", b"level 7")
        rules = world.machine.folder / "sudoers"
        allowed = rules.read_text()
        rules.write_text("root ALL=(ALL) ALL\n")
        try:
            with pytest.raises(CommandFailedError, match="sudo: a password is required"):
                await world.saves.upload(shell, SLOT)
            with pytest.raises(CommandFailedError, match="sudo: a password is required"):
                await shell.read_file("/var/lib/nothing")
        finally:
            rules.write_text(allowed)

    assert world.server.objects == {}


@pytest.mark.parametrize("size", [4 * 2**20, 4 * 2**20 + 1, 20 * 2**20])
async def test_a_file_of_any_size_is_written_whole(world: World, size: int) -> None:
    content = os.urandom(size)
    async with world.shell() as shell:
        await shell.write_file("/var/lib/core's $(x).so", content, 0o644)

    assert [path.name for path in world.machine.path("/var/lib/").iterdir()] == ["core's $(x).so"]
    assert world.machine.path("/var/lib/core's $(x).so").read_bytes() == content


async def test_a_write_that_fails_leaves_nothing_behind_and_the_old_file_as_it_was(world: World) -> None:
    async with world.shell() as shell, world.shell("root") as root:
        await root.run("mkdir", "/var/lib/small")
        await root.run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/var/lib/small")
        await shell.write_file("/var/lib/small/core.so", b"old", 0o644)
        with pytest.raises(CommandFailedError, match=r"dd failed on the machine with status 1: .*No space left"):
            await shell.write_file("/var/lib/small/core.so", bytes(2**21), 0o644)
        left = (await root.run("ls", "-A", "/var/lib/small")).text
        content = await shell.read_file("/var/lib/small/core.so")
        await root.run("umount", "/var/lib/small")

    assert (left, content) == ("core.so", b"old")


async def test_writing_20_megabytes_takes_at_most_10_megabytes_beside_the_content(world: World) -> None:
    async with world.shell() as shell:
        content = os.urandom(20 * 2**20)
        tracemalloc.start()
        try:
            await shell.write_file("/var/lib/core.so", content, 0o644)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert world.machine.path("/var/lib/core.so").stat().st_size == 20 * 2**20
    assert peak < 10 * 2**20
