"""Everything that is done on a machine over SSH, on a real one: systemd, OpenSSH, sudo, rclone on FUSE, Docker."""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import dataclass, field, replace

import pytest

from errors import ProviderError
from models.catalog import CONSOLES, ConsoleType
from providers.base import no_progress
from streaming.keys import KeyPair
from streaming.machine import GameToPlay, SaveSlot, StreamingMachines
from streaming.ssh import Ssh
from tests.real_machine.machine import Ran, RealMachine, run_on
from tests.real_machine.world import Player, address_of, repeated

pytestmark = pytest.mark.timeout(300)
TAG = "gamer-123456789012345678"
TETRIS = GameToPlay(CONSOLES[ConsoleType.GB], "tetris", "Tetris", "gb/tetris.gb", "player-1")
MEMORY_CARD = ".config/retroarch/saves/tetris.srm"
STATE = ".config/retroarch/states/tetris.state"


@dataclass
class World:
    """A machine that is set up, and a slot of a player of its own for each test."""

    machine: RealMachine
    machines: StreamingMachines
    key: KeyPair
    slot: SaveSlot
    player: Player = field(init=False)

    def __post_init__(self) -> None:
        self.player = Player(self.machine, self.key.path)

    async def run(self, *argv: str) -> Ran:
        return await run_on(self.machine, self.key.path, *argv)

    async def as_player(self, script: str) -> None:
        """Run a script in the slot's home folder as the game does, as uid 1000."""
        home = shlex.quote(self.slot.home)
        ran = await self.run(
            "sudo", "-u", "#1000", "env", "-C", "/", "sh", "-euc", f"mkdir -p {home}; cd {home}; {script}"
        )
        assert ran.status == 0, ran.stderr

    async def restored_elsewhere(self) -> None:
        """Bring the slot back from the bucket on a machine that knows nothing of it."""
        await self.forget_slot()
        await self.machines.restore_saves(address_of(self.machine), self.slot)

    async def forget_slot(self) -> None:
        note = f"/var/lib/cloudypad/gamer-saves/{self.slot.user_id}--GB-tetris.json"
        assert (await self.run("sudo", "rm", "-r", self.slot.home, note)).status == 0


@pytest.fixture
async def world(
    request: pytest.FixtureRequest, machine: RealMachine, machines: StreamingMachines, key: KeyPair
) -> World:
    player = f"player-{abs(hash(request.node.name)) % 10**6}"
    world = World(machine, machines, key, SaveSlot(player, ConsoleType.GB, "tetris"))
    address = address_of(machine)
    await machines.install(address, TAG, no_progress)
    await machines.mount_library(address)
    await machines.restore_saves(address, world.slot)
    await machines.configure_game(address, replace(TETRIS, user_id=player))
    await repeated(lambda: machines.verify_stream(address))
    return world


async def test_a_game_is_set_up_played_and_saved(world: World) -> None:
    address = address_of(world.machine)
    await world.player.begin_pairing("4821")
    await world.machines.pair(address, "4821", world.slot.user_id)
    session = await world.player.play("GB-tetris")
    await world.player.write(f"{world.slot.home}/{MEMORY_CARD}", b"level 7")
    seen = await world.run("sudo", "docker", "exec", session["container"], "ls", "/ROMs/gb")
    await world.machines.end_sessions(address)
    report = await world.machines.upload_saves(address, world.slot)

    assert session["home"] == world.slot.home
    assert seen.stdout == "tetris.gb\n"
    assert (report.outcome, report.files, report.size_bytes) == ("UPLOADED", 1, 7)
    assert (await world.machines.activity(address)).paired is True


async def test_saves_with_hard_links_and_names_in_other_encodings_come_back(world: World) -> None:
    saves = ".config/retroarch/saves"
    await world.as_player(
        f"mkdir -p {saves}; cd {saves}; echo one > a.srm; ln a.srm b.srm; echo two > $(printf '\\202\\240.srm')"
    )
    before = await world.run("sudo", "find", world.slot.home, "-type", "f", "-exec", "md5sum", "{}", "+")

    await world.machines.upload_saves(address_of(world.machine), world.slot)
    await world.restored_elsewhere()

    after = await world.run("sudo", "find", world.slot.home, "-type", "f", "-exec", "md5sum", "{}", "+")
    assert sorted(after.stdout.splitlines()) == sorted(before.stdout.splitlines())
    assert len(after.stdout.splitlines()) == 3


async def test_memory_cards_are_uploaded_when_the_states_are_too_large(world: World) -> None:
    await world.as_player(
        "mkdir -p .config/retroarch/saves .config/retroarch/states; echo level 9 > "
        + MEMORY_CARD
        + "; for n in 1 2 3; do head -c 110000000 /dev/urandom > .config/retroarch/states/tetris.state$n; done"
    )

    await world.machines.upload_saves(address_of(world.machine), world.slot)
    await world.restored_elsewhere()

    assert (await world.run("sudo", "cat", f"{world.slot.home}/{MEMORY_CARD}")).stdout == "level 9\n"


async def test_a_file_that_the_player_cannot_read_is_named_in_the_report(world: World) -> None:
    await world.as_player(f"mkdir -p .config/retroarch/saves; echo level 1 > {MEMORY_CARD}")
    await world.run(
        "sudo", "sh", "-c", f"chown 0:0 {world.slot.home}/{MEMORY_CARD}; chmod 600 {world.slot.home}/{MEMORY_CARD}"
    )

    report = await world.machines.upload_saves(address_of(world.machine), world.slot)

    assert not report.is_safe
    assert "tetris.srm" in str(report.left_out[0])


async def test_a_look_at_the_saves_that_fails_is_no_empty_slot(world: World) -> None:
    await world.as_player(f"mkdir -p .config/retroarch/saves; echo level 1 > {MEMORY_CARD}")
    rule = "/etc/sudoers.d/zz-zz-refuse"
    refuse = f"echo 'user ALL=(ALL) !ALL' > {rule}; chmod 440 {rule}"
    assert (await run_on(world.machine, world.key.path, "sh", "-c", refuse, user="root")).status == 0
    try:
        with pytest.raises(ProviderError):
            await world.machines.upload_saves(address_of(world.machine), world.slot)
    finally:
        await run_on(world.machine, world.key.path, "rm", rule, user="root")


async def test_a_log_in_of_another_uid_with_a_closed_home_saves_and_restores(world: World) -> None:
    home = "/home/ubuntu"
    made = await world.run(
        "sudo",
        "sh",
        "-euc",
        f"id ubuntu 2>/dev/null || useradd --create-home --uid 1234 --shell /bin/bash ubuntu; chmod 0750 {home}; "
        f"install -d -m 700 -o ubuntu -g ubuntu {home}/.ssh; "
        f"install -m 600 -o ubuntu -g ubuntu /home/user/.ssh/authorized_keys {home}/.ssh/authorized_keys; "
        "echo 'ubuntu ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/91-ubuntu; chmod 440 /etc/sudoers.d/91-ubuntu",
    )
    assert made.status == 0, made.stderr
    await world.as_player(f"mkdir -p .config/retroarch/saves; echo level 3 > {MEMORY_CARD}")
    address = replace(address_of(world.machine), ssh_user="ubuntu")

    report = await world.machines.upload_saves(address, world.slot)
    await world.forget_slot()
    await world.machines.restore_saves(address, world.slot)

    assert report.outcome == "UPLOADED"
    assert (await world.run("sudo", "cat", f"{world.slot.home}/{MEMORY_CARD}")).stdout == "level 3\n"


async def test_a_file_of_twenty_megabytes_is_written_whole_and_leaves_nothing_beside_it(world: World) -> None:
    core = bytes(range(256)) * 81920
    async with Ssh(world.key).shell(address_of(world.machine)) as shell:
        await shell.write_file("/var/lib/gamer/cores/big_libretro.so", core, 0o644)
        await shell.write_file("/var/lib/gamer/cores/big_libretro.so", core, 0o644)

    listed = await world.run(
        "sh", "-c", "ls /var/lib/gamer/cores | grep big; stat -c '%s %a' /var/lib/gamer/cores/big*"
    )
    assert listed.stdout == f"big_libretro.so\n{len(core)} 644\n"


async def test_the_shutdown_timer_keeps_its_moment_across_reloads_of_systemd(world: World) -> None:
    await world.machines.arm_shutdown_timer(address_of(world.machine), 7200)
    moment = "systemctl list-timers gamer-dead-man.timer --no-pager --no-legend | cut -c1-28"
    before = (await world.run("sh", "-c", moment)).stdout
    await asyncio.sleep(2)  # systemd lists whole seconds: a moment that moves with a reload shows only after some

    await world.run("sudo", "systemctl", "daemon-reload")

    assert (await world.run("sh", "-c", moment)).stdout == before


async def test_a_running_game_sees_the_library_again_when_its_mount_has_ended(world: World) -> None:
    await world.player.begin_pairing("1111")
    address = address_of(world.machine)
    await world.machines.pair(address, "1111", world.slot.user_id)
    session = await world.player.play("GB-tetris")
    await world.run("sudo", "pkill", "-KILL", "-x", "rclone")

    await repeated(lambda: world.machines.mount_library(address))
    seen = await world.machines.activity(address)
    inside = await world.run("sudo", "docker", "exec", session["container"], "ls", "/ROMs/gb")
    await world.machines.end_sessions(address)

    assert not seen.library_lost
    assert inside.stdout == (await world.run("ls", "/mnt/games/gb")).stdout == "tetris.gb\n"


async def test_a_machine_that_was_off_serves_its_library_and_stream_again(
    world: World, machine: RealMachine, key: KeyPair
) -> None:
    await machine.power_off()
    await machine.power_on()
    address = address_of(machine)

    await repeated(lambda: world.machines.wake(address))

    assert (await world.run("ls", "/mnt/games/gb")).stdout == "tetris.gb\n"
