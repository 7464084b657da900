from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.catalog import CONSOLES, ConsoleType
from providers.http import Http
from providers.storage.bucket import Bucket
from providers.storage.tokens import NoTokens
from simulator.machines.container import WolfShape
from simulator.machines.mounts import Mount, RemoteFile
from streaming import wolf
from streaming.apps import GameToPlay, app_of
from streaming.control_port import Reading
from streaming.keys import KeyPair
from streaming.sessions import Activity, end_sessions, measure_activity
from streaming.ssh import Shell, Ssh
from tests.streaming.box import running_box
from tests.streaming.simulated import Simulated, machine_with_wolf

ODYSSEY = GameToPlay(CONSOLES[ConsoleType.SWITCH], "mario-odyssey", "Odyssey", "switch/mario-odyssey.nsp", "player-1")


@pytest.fixture(params=list(WolfShape))
async def simulated(request: pytest.FixtureRequest, tmp_path: Path, key: KeyPair) -> AsyncIterator[Simulated]:
    async with machine_with_wolf(tmp_path, key, request.param) as simulated:
        yield simulated


@pytest.fixture
async def shell(simulated: Simulated) -> AsyncIterator[Shell]:
    async with simulated.ssh.shell(simulated.address) as shell:
        await configure(shell)
        yield shell


async def configure(shell: Shell) -> None:
    http = Http()
    await wolf.configure(shell, Bucket(http, "games", NoTokens()), app_of(ODYSSEY))
    await http.close()


async def play(simulated: Simulated) -> str:
    """A device pairs and starts the game."""
    request = simulated.wolf.begin_pairing(pin="1234")
    simulated.wolf.pairings.give_pin(request.secret, "1234")
    return (await simulated.wolf.begin_session(title="SWITCH-mario-odyssey")).id


async def look(shell: Shell, last: Reading | None = None) -> Activity:
    """With a sample of a moment, which is seconds of the machine's time."""
    return await measure_activity(shell, last, sample_s=0.05)


async def test_a_machine_that_nobody_has_paired_is_not_in_use(shell: Shell) -> None:
    found = await look(shell)

    assert (found.in_use, found.paired, found.sessions) == (False, False, 0)


async def test_a_connected_client_is_use(simulated: Simulated, shell: Shell) -> None:
    await play(simulated)

    first = await look(shell)
    second = await look(shell, first.reading)

    assert [(each.in_use, each.paired, each.sessions) for each in (first, second)] == [(True, True, 1)] * 2


async def test_a_closed_moonlight_is_no_use_although_session_and_container_run_on(
    simulated: Simulated, shell: Shell
) -> None:
    session_id = await play(simulated)
    playing = await look(shell)
    simulated.wolf.pause_session(session_id)

    leaving = await look(shell, playing.reading)
    left = await look(shell, leaving.reading)

    assert (leaving.in_use, left.in_use) == (True, False)
    assert (left.sessions, left.paired) == (1, True)
    running = (await shell.sudo("docker", "ps", "--filter", "status=running", "--format", "{{.Names}}")).text
    assert f"gamer-switch_{session_id}" in running


async def test_a_running_game_whose_mount_of_the_library_has_ended_is_seen(simulated: Simulated, shell: Shell) -> None:
    library = Mount("/mnt/games", "gcs:games/roms", "fuse.rclone", "ro")
    simulated.machine.root_files.mkdir(library.point, parents=True)
    simulated.machine.mounts.mount(library, [])
    await play(simulated)

    before = await look(shell)
    simulated.machine.mounts.unmount(library.point)
    simulated.machine.mounts.mount(replace(library), [])  # the host's service has mounted it again
    dead = await look(shell)
    await play(simulated)
    after = await look(shell)

    assert [each.library_lost for each in (before, dead, after)] == [False, True, False]


async def test_a_running_game_that_follows_the_machines_mounts_sees_the_library_again(
    simulated: Simulated, shell: Shell
) -> None:
    library = Mount("/mnt/games/.library", "gcs:games/roms", "fuse.rclone", "ro")
    simulated.machine.root_files.mkdir(library.point, parents=True)
    simulated.machine.mounts.mount(library, [])
    container = f"gamer-switch_{await play(simulated)}"

    simulated.machine.mounts.unmount(library.point)
    simulated.machine.mounts.mount(replace(library), [RemoteFile("gb/tetris.gb", 2, 0, b"go")])
    found = await look(shell)
    look_inside = ("timeout", "5", "ls", "/ROMs/.library/gb")
    seen = await shell.sudo("docker", "exec", container, *look_inside)

    assert (found.library_lost, seen.text) == (False, "tetris.gb")


async def test_a_player_who_comes_back_is_use_again(simulated: Simulated, shell: Shell) -> None:
    session_id = await play(simulated)
    simulated.wolf.pause_session(session_id)
    left = await look(shell)
    simulated.wolf.resume_session(session_id)

    assert (left.in_use, (await look(shell, left.reading)).in_use) == (False, True)


async def test_without_wolf_the_packets_alone_say_whether_it_is_in_use(simulated: Simulated, shell: Shell) -> None:
    await simulated.machine.containers.stop("wolf")

    found = await look(shell)

    assert (found.in_use, found.paired, found.sessions) == (False, None, None)


async def test_all_sessions_end_also_a_paused_one(simulated: Simulated, shell: Shell) -> None:
    simulated.wolf.pause_session(await play(simulated))

    await end_sessions(shell, pause_s=0.01)

    found = await look(shell)
    assert (found.in_use, found.paired, found.sessions) == (False, True, 0)


async def test_a_paused_game_is_woken_before_it_is_told_to_end(tmp_path: Path, key: KeyPair, ssh: Ssh) -> None:
    names = {"status=paused": "gamer-switch_1\nwolf\n", "status=running": "gamer-switch_1\nwolf\n"}
    async with running_box(tmp_path, key) as box, ssh.shell(box.address) as shell:
        box.programs["docker"] = lambda argv, given: (0, names.get(argv[2], "") if argv[0] == "ps" else "")
        box.programs["curl"] = lambda argv, given: (0, '{"success": true, "sessions": []}')

        await end_sessions(shell)

    assert [command for command in box.commands if "gamer-switch_1" in command] == [
        "docker unpause gamer-switch_1",
        "docker stop -t 10 gamer-switch_1",
    ]


@pytest.mark.parametrize("written", [str, int])
@pytest.mark.parametrize("read", [str, int])
async def test_a_session_ends_however_its_id_is_written_and_read(
    tmp_path: Path, key: KeyPair, ssh: Ssh, written: type, read: type
) -> None:
    sessions = [{"client_id": written(17446744073709551557)}, {"client_id": written(7)}]

    def wolf_api(argv: list[str], given: bytes) -> tuple[int, str]:
        if argv[-1].endswith("/sessions"):
            return 0, json.dumps({"success": True, "sessions": sessions})
        asked = json.loads(given)["session_id"]
        if not isinstance(asked, read):
            return 0, json.dumps({"success": False, "error": "not of this type"})
        sessions[:] = [one for one in sessions if one["client_id"] != written(asked)]
        return 0, json.dumps({"success": True})

    async with running_box(tmp_path, key) as box, ssh.shell(box.address) as shell:
        box.programs["docker"] = lambda argv, given: (0, "")
        box.programs["curl"] = wolf_api

        await end_sessions(shell, pause_s=0.01)

    assert sessions == []


async def test_ending_nothing_is_done(shell: Shell) -> None:
    await end_sessions(shell)


async def test_a_wolf_that_is_gone_keeps_no_save_from_being_uploaded(simulated: Simulated, shell: Shell) -> None:
    await play(simulated)
    await simulated.machine.containers.stop("wolf")

    await end_sessions(shell, pause_s=0.01)

    assert "gamer-switch" not in (await shell.sudo("docker", "ps", "--format", "{{.Names}}")).text


async def test_the_pairing_outlives_another_game(simulated: Simulated, shell: Shell) -> None:
    await play(simulated)
    await end_sessions(shell, pause_s=0.01)
    await simulated.machine.containers.restart("wolf")

    assert (await look(shell)).paired


async def test_the_keys_of_a_stream_are_in_no_answer_and_no_error(simulated: Simulated, shell: Shell) -> None:
    await play(simulated)

    assert "aes" not in repr(await look(shell))
