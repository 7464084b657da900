"""A notice and the saves within it, on a machine with a real OpenSSH server, shell, curl, tail, sudo and tar."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from models.vms import Notice
from simulator.google.instance_metadata import MAINTENANCE, NONE, PREEMPTED, STOPS, TAKEN, InstanceMetadata
from streaming.notices import FOLDER, SCRIPT, await_change
from streaming.saves.parts import GAME_PART, STATE_PART
from streaming.saves.timed_upload import upload_in_time
from streaming.saves.transfer import UploadOutcome
from streaming.ssh import ANY_STATUS, Shell
from tests.streaming.metadata_server import metadata_server
from tests.streaming.test_saves_on_a_real_machine import PLAYER, SAVES, SLOT, World, machine, world

__all__ = ["machine", "world"]

PROGRAMS = "/run/programs"
# A game in a container that writes its last save when it is told to end; and Wolf, which has no session then.
DOCKER = f"""#!/bin/sh
case $1 in
ps) case $3 in *running) cat /run/games ;; esac ;;
stop) sleep 1; : >/run/games; printf 'level 9' >{SAVES}/tetris.srm; chown {PLAYER}:{PLAYER} {SAVES}/tetris.srm ;;
esac
"""
SLOW_DOCKER = DOCKER.replace("sleep 1", "exec sleep 20")
CURL = """#!/bin/sh
echo '{"success":true,"sessions":[]}'
"""


@asynccontextmanager
async def game_running(world: World, docker: str) -> AsyncIterator[Shell]:
    """A machine on which a game is played, as its login user reaches it."""
    async with world.shell("root") as root, world.shell() as shell:
        await root.run("mkdir", "-p", PROGRAMS)
        await root.write_file(f"{PROGRAMS}/docker", docker.encode(), 0o755)
        await root.write_file(f"{PROGRAMS}/curl", CURL.encode(), 0o755)
        await root.write_file("/run/games", b"gamer-GB-tetris\n", 0o644)
        await root.run("mount", "--bind", PROGRAMS, "/usr/local/bin")
        try:
            await world.saves.restore(shell, SLOT)
            world.play("tetris.srm", b"level 7")
            yield shell
        finally:
            await root.run("umount", "-l", "/usr/local/bin")


async def test_the_saves_of_a_game_that_is_ended_are_uploaded_long_before_the_machine_is_taken(world: World) -> None:
    async with game_running(world, DOCKER) as shell:
        world.play("tetris.state", b"in the middle")
        began = time.monotonic()
        done = await upload_in_time(shell, world.saves, SLOT, datetime.now(UTC) + timedelta(seconds=25))
        took_s = time.monotonic() - began

    assert done.is_safe
    assert world.slot_holds() == {b"tetris.srm": b"level 9"}
    assert took_s < 25


async def test_a_game_that_does_not_end_loses_no_memory_card(world: World) -> None:
    async with game_running(world, SLOW_DOCKER) as shell:
        done = await upload_in_time(shell, world.saves, SLOT, datetime.now(UTC) + timedelta(seconds=10))

    assert (done.complete, done.is_safe) == (False, False)
    assert world.slot_holds() == {b"tetris.srm": b"level 7"}


async def test_without_time_nothing_is_begun(world: World) -> None:
    async with game_running(world, DOCKER) as shell:
        done = await upload_in_time(shell, world.saves, SLOT, datetime.now(UTC))

    assert (done.report, done.is_safe) == (None, False)
    assert world.server.objects == {}


async def test_one_part_can_be_uploaded_without_the_other(world: World) -> None:
    async with world.shell() as shell:
        await world.saves.restore(shell, SLOT)
        world.play("tetris.srm", b"level 7")
        states = await world.saves.upload_part(shell, SLOT, STATE_PART)
        game = await world.saves.upload_part(shell, SLOT, GAME_PART)

    assert (states.outcome, game.outcome) == (UploadOutcome.EMPTY, UploadOutcome.UPLOADED)


async def test_a_notice_crosses_real_programs_within_a_second(world: World) -> None:
    metadata = InstanceMetadata()
    metadata.failures = 1
    async with metadata_server(metadata) as host, world.shell("root") as root, world.shell() as shell:
        await root.run("mkdir", "-p", FOLDER)
        await root.write_file("/run/watch", SCRIPT.encode(), 0o755)
        variables = (f"RUNTIME_DIRECTORY={FOLDER}", f"GCE_METADATA_HOST={host}")
        start = ("setsid", "--wait", "sh", "-c", "echo $$ >/run/watch.pid; exec sh /run/watch")
        watching = asyncio.create_task(root.run("env", *variables, *start, expected=ANY_STATUS))
        try:
            waiting = asyncio.create_task(await_change(shell, Notice.NONE))
            await asyncio.sleep(0.2)
            metadata.write(MAINTENANCE, STOPS)
            assert await asyncio.wait_for(waiting, 10) is Notice.MAINTENANCE
            metadata.write(MAINTENANCE, NONE)
            assert await asyncio.wait_for(await_change(shell, Notice.MAINTENANCE), 10) is Notice.NONE
            waiting = asyncio.create_task(await_change(shell, Notice.NONE))
            await asyncio.sleep(0.2)
            began = time.monotonic()
            metadata.write(PREEMPTED, TAKEN)
            assert await asyncio.wait_for(waiting, 10) is Notice.PREEMPTED
            assert time.monotonic() - began < 5
        finally:
            group = (await root.run("cat", "/run/watch.pid")).text
            await root.run("kill", "-9", "--", f"-{group}")
            await watching
