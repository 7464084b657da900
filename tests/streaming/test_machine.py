"""The facade on a simulated machine: every step a launch takes on one, and the day after."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from errors import ProviderBusyError, ProviderRefusedError
from models.catalog import CONSOLES, ConsoleType
from providers.base import no_progress
from providers.cloudypad.cli import CloudyPadCli
from providers.http import Http
from providers.storage.bucket import Bucket
from providers.storage.tokens import NoTokens
from streaming.keys import KeyPair
from streaming.library import Library
from streaming.machine import Address, GameToPlay, LibrarySource, MachineTimes, SaveSlot, StreamingMachines
from streaming.pairing import Pairing
from streaming.saves.transfer import UploadOutcome
from streaming.ssh import Ssh
from tests.providers.gcs_stand_in import BucketServer, bucket_server
from tests.streaming.box import running_box
from tests.streaming.simulated import Simulated, machine_with_wolf

TAG = "gamer-123"
SLOT = SaveSlot("player-1", ConsoleType.GB, "tetris")
TETRIS = GameToPlay(CONSOLES[ConsoleType.GB], "tetris", "Tetris", "gb/tetris.gb", "player-1")


@dataclass
class World:
    """A machine with Wolf, a bucket with one game, and a CloudyPad that only says what it did."""

    simulated: Simulated
    server: BucketServer
    machines: StreamingMachines
    calls: Path
    state: Path
    bucket: Bucket

    @property
    def address(self) -> Address:
        return self.simulated.address

    def cloudypad_calls(self) -> list[str]:
        return [line.split()[0] for line in self.calls.read_text().splitlines()] if self.calls.exists() else []

    def cloudypad_knows(self, provider: str, host: str, *, configured: bool) -> None:
        status = {"serverStatus": "running", "provisioned": True, "configured": configured, "ready": configured}
        provision = {"provider": provider, "input": {}, "output": {"host": host}}
        self.state.write_text(json.dumps({"name": TAG, "provision": provision, "status": status}))


@pytest.fixture
async def world(tmp_path: Path, key: KeyPair) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(bucket_server("games"))
        server.put("roms/gb/tetris.gb", b"game")
        http = Http()
        stack.push_async_callback(http.close)
        simulated = await stack.enter_async_context(machine_with_wolf(tmp_path / "park", key))
        bucket = Bucket(http, "games", NoTokens(), endpoint_url=server.url)
        machines = StreamingMachines(
            Ssh(key, connect_timeout_s=5),
            CloudyPadCli(str(cloudypad(tmp_path, simulated.address.host)), tmp_path / "cloudypad-home"),
            bucket,
            LibrarySource("games", server.url),
            pairing=Pairing(patience_s=0.3, settle_s=0.3, pause_s=0.02),
            times=MachineTimes(sample_s=0.05, ready_within_s=0),
        )
        yield World(simulated, server, machines, tmp_path / "calls", tmp_path / "state.json", bucket)


def cloudypad(folder: Path, host: str) -> Path:
    """`create` makes an instance that is configured; `get` and `list` tell of it."""
    status = '{"serverStatus": "running", "provisioned": true, "configured": true, "ready": true}'
    made = (
        f'{{"name": "{TAG}", "provision": {{"provider": "ssh", "output": {{"host": "{host}"}}}}, "status": {status}}}'
    )
    script = folder / "cloudypad"
    script.write_text(
        f"""#!/bin/sh
echo "$@" >> {folder}/calls
case "$1" in
  create) echo "Executing playbook wolf.yml"; echo '{made}' > {folder}/state.json;;
  get) cat {folder}/state.json 2>/dev/null;;
  list) [ -e {folder}/state.json ] && echo '["{TAG}"]' || echo "No instances found.";;
  destroy) rm {folder}/state.json;;
esac
"""
    )
    script.chmod(0o755)
    return script


async def test_a_launch_on_a_machine_from_the_first_contact_to_the_stream(world: World) -> None:
    told: list[str] = []
    host_key = await world.machines.read_host_key(world.address)
    address = replace(world.address, ssh_host_key=host_key)

    await world.machines.install(address, TAG, told.append)
    await world.machines.mount_library(address)
    files = await world.machines.restore_saves(address, SLOT)
    await world.machines.configure_game(address, TETRIS)
    await world.machines.verify_stream(address)

    assert host_key.startswith("ssh-ed25519 ")
    assert told == ["Setting the machine up"]
    assert files == 0
    assert [app["title"] for app in world.simulated.wolf.config.apps] == ["GB-tetris"]


async def test_what_a_player_saved_is_in_the_bucket_when_the_machine_may_stop(world: World) -> None:
    await world.machines.restore_saves(world.address, SLOT)
    await world.machines.configure_game(world.address, TETRIS)
    world.simulated.wolf.begin_pairing(pin="4821")
    await world.machines.pair(world.address, "4821", "player-1")
    session = await world.simulated.wolf.begin_session(title="GB-tetris")
    files = world.simulated.machine.root_files
    files.mkdir(f"{session.home}/.config/retroarch/saves", parents=True)
    files.write(f"{session.home}/.config/retroarch/saves/tetris.srm", "level 7")

    playing = await world.machines.activity(world.address)
    await world.machines.end_sessions(world.address)
    report = await world.machines.upload_saves(world.address, SLOT)
    after = await world.machines.activity(world.address)

    assert (playing.in_use, after.in_use, after.paired) == (True, False, True)
    assert session.home == SLOT.home
    assert (report.outcome, report.files, report.size_bytes) == (UploadOutcome.UPLOADED, 1, 7)
    assert f"{SLOT.prefix}/current.tar.gz" in world.server.objects


async def test_a_game_whose_file_has_any_name_is_played(world: World) -> None:
    file = "Pokémon - 'A' (USA) [!].gb"
    world.server.put(f"roms/gb/{file}", b"the game itself")
    library = Library(world.bucket)
    game = await library.find(ConsoleType.GB, "pokemon-a-usa")
    await library.close()
    assert game is not None
    console = CONSOLES[game.console]
    slot = replace(SLOT, game_id=game.game_id)

    await world.machines.mount_library(world.address)
    await world.machines.restore_saves(world.address, slot)
    to_play = GameToPlay(console, game.game_id, game.title, game.rom_path, "player-1")
    await world.machines.configure_game(world.address, to_play)
    world.simulated.wolf.begin_pairing(pin="4821")
    await world.machines.pair(world.address, "4821", "player-1")
    session = await world.simulated.wolf.begin_session(title="GB-pokemon-a-usa")

    files = world.simulated.machine.root_files
    script = world.simulated.read("/var/lib/gamer/start/GB-pokemon-a-usa.sh")
    config = world.simulated.read("/home/user/wolf/config.toml")
    assert "rom=/home/retro/Games/gb/pokemon-a-usa.gb\n" in script
    assert "Pok" not in script + config
    assert session.home == slot.home
    target = files.readlink(f"{session.home}/Games/gb/pokemon-a-usa.gb")
    assert target == f"/ROMs/gb/{file}"
    assert files.read(target.replace("/ROMs", "/mnt/games")) == b"the game itself"


async def test_every_step_may_be_repeated(world: World) -> None:
    for _ in range(2):
        await world.machines.read_host_key(world.address)
        await world.machines.install(world.address, TAG, no_progress)
        await world.machines.mount_library(world.address)
        await world.machines.restore_saves(world.address, SLOT)
        await world.machines.configure_game(world.address, TETRIS)
        await world.machines.verify_stream(world.address)
        await world.machines.wake(world.address)
        await world.machines.arm_shutdown_timer(world.address, 10**9)

    assert world.cloudypad_calls().count("create") == 1


async def test_a_machine_that_was_set_up_is_not_set_up_again_by_a_worker_that_knows_nothing(world: World) -> None:
    await world.machines.install(world.address, TAG, no_progress)
    world.state.unlink()
    told: list[str] = []

    await world.machines.install(world.address, TAG, told.append)

    assert told == ["The streaming server is already installed"]
    assert world.cloudypad_calls().count("create") == 1


async def test_ansible_begins_only_after_the_machines_first_boot(world: World, tmp_path: Path, key: KeyPair) -> None:
    begun_before: list[list[str]] = []

    def first_boot(argv: list[str], given: bytes) -> tuple[int, str]:
        begun_before.append([call for call in world.cloudypad_calls() if call == "create"])
        return 0, "status: done\n"

    async with running_box(tmp_path / "box", key) as box:
        box.write("/usr/local/bin/cloudypad-check-readiness", "#!/bin/sh\n").chmod(0o755)
        box.programs["cloud-init"] = first_boot
        await world.machines.install(box.address, TAG, no_progress)

    assert begun_before == [[]]
    assert world.cloudypad_calls().count("create") == 1


async def test_a_set_up_that_another_worker_ended_is_accepted(world: World) -> None:
    world.cloudypad_knows("ssh", world.address.host, configured=True)

    await world.machines.install(world.address, TAG, no_progress)

    assert "create" not in world.cloudypad_calls()


@pytest.mark.parametrize(("host", "configured"), [("203.0.113.99", True), (None, False)])
async def test_a_half_done_set_up_or_one_of_another_address_is_done_again(
    world: World, host: str | None, configured: bool
) -> None:
    world.cloudypad_knows("ssh", host or world.address.host, configured=configured)

    await world.machines.install(world.address, TAG, no_progress)

    assert world.cloudypad_calls().count("create") == 1


async def test_a_machine_that_cloudypad_rented_is_never_set_up_as_a_foreign_one(world: World) -> None:
    world.cloudypad_knows("gcp", world.address.host, configured=False)

    with pytest.raises(ProviderBusyError, match="has not finished setting up its machine"):
        await world.machines.install(world.address, TAG, no_progress)

    assert "create" not in world.cloudypad_calls()


async def test_a_set_up_after_which_wolf_does_not_answer_is_not_done(world: World) -> None:
    await world.simulated.machine.containers.stop("wolf")

    with pytest.raises(ProviderBusyError, match="does not respond yet"):
        await world.machines.install(world.address, TAG, no_progress)


async def test_what_cloudypad_keeps_of_a_machine_can_be_dropped(world: World) -> None:
    world.cloudypad_knows("ssh", world.address.host, configured=True)

    await world.machines.forget(TAG)
    await world.machines.forget(TAG)

    assert not world.state.exists()


@pytest.mark.parametrize("step", ["read_host_key", "mount_library", "activity", "end_sessions"])
async def test_another_machine_behind_the_address_is_touched_by_no_step(world: World, key: KeyPair, step: str) -> None:
    address = replace(world.address, ssh_host_key=key.public_key)
    run: Callable[[Address], Awaitable[object]] = getattr(world.machines, step)

    with pytest.raises(ProviderRefusedError, match="differs from the pinned one"):
        await run(address)


async def test_a_machine_that_is_off_may_be_asked_again(world: World) -> None:
    await world.simulated.park.power_off("machine-1")

    with pytest.raises(ProviderBusyError):
        await world.machines.read_host_key(world.address)
    with pytest.raises(ProviderBusyError):
        await world.machines.verify_stream(world.address)


async def test_after_a_start_library_and_stream_are_there_again(world: World) -> None:
    await world.machines.mount_library(world.address)
    await world.machines.restore_saves(world.address, SLOT)
    await world.simulated.park.power_off("machine-1")
    await world.simulated.park.power_on("machine-1")

    await woken(world)

    assert (await world.machines.activity(world.address)).sessions == 0


async def woken(world: World) -> None:
    """As the fleet does it: asked again until it is awake."""
    for _ in range(50):
        try:
            await world.machines.wake(world.address)
            return
        except ProviderBusyError:
            continue
    pytest.fail("the machine did not wake up")
