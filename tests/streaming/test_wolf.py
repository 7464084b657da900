from __future__ import annotations

import json
import stat
import subprocess
import tomllib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from errors import InvalidInputError, ProviderBusyError
from models.catalog import CONSOLES, ConsoleType
from providers.storage.bucket import Bucket
from streaming import wolf
from streaming.apps import GameToPlay, app_of
from streaming.keys import KeyPair
from streaming.ssh import Shell, Ssh
from tests.providers.games_bucket import bucket, server
from tests.providers.gcs_stand_in import BucketServer
from tests.streaming.box import Box, running_box

__all__ = ["bucket", "server"]

CONFIG = "/home/user/wolf/config.toml"
TETRIS = GameToPlay(CONSOLES[ConsoleType.GB], "tetris", "Tetris", "gb/tetris.gb", "player-1")
ODYSSEY = GameToPlay(CONSOLES[ConsoleType.SWITCH], "mario-odyssey", "Odyssey", "switch/mario-odyssey.nsp", "player-1")
FRESH = """\
# written by CloudyPad
hostname = "gamer-1"
config_version = 6
paired_clients = []

[[profiles]]
id = "moonlight-profile-id"
name = "Moonlight"

[[profiles.apps]]
title = "Test ball"
[profiles.apps.runner]
type = "process"
un_cmd = "sh -c \\"while :; do sleep 10; done\\""

[[profiles]]
id = "user"
name = "User"

[gstreamer.video]
default_source = "interpipesrc"
"""
PAIRED = """\
uuid = "6d0f4f0e-6a55-4f0b-9a3d-2f6a7c1b9e10"
hostname = "gamer-1"
config_version = 7

[[paired_clients]]
client_cert = '''-----BEGIN CERTIFICATE-----
one
-----END CERTIFICATE-----'''
app_state_folder = "1234567890123456789"
[paired_clients.settings]
run_uid = 1000
controllers_override = ["XBOX"]

[[profiles]]
id = "moonlight-profile-id"
apps = []
"""


@pytest.fixture
async def box(tmp_path: Path, key: KeyPair) -> AsyncIterator[Box]:
    async with running_box(tmp_path, key) as box:
        box.programs["docker"] = lambda argv, given: (0, "wolf\n")
        box.write(CONFIG, FRESH)
        yield box


@pytest.fixture
async def shell(box: Box, ssh: Ssh) -> AsyncIterator[Shell]:
    async with ssh.shell(box.address) as shell:
        yield shell


async def test_moonlight_lists_the_game_and_nothing_else(box: Box, shell: Shell, bucket: Bucket) -> None:
    await wolf.configure(shell, bucket, app_of(ODYSSEY))

    config = tomllib.loads(box.path(CONFIG).read_text())
    assert config["config_version"] == 6
    assert [profile["id"] for profile in config["profiles"]] == ["moonlight-profile-id"]
    assert config["profiles"][0]["apps"] == [
        {
            "title": "SWITCH-mario-odyssey",
            "start_virtual_compositor": True,
            "runner": {
                "type": "docker",
                "name": "gamer-switch",
                "image": "ghcr.io/games-on-whales/pegasus:edge",
                "mounts": ["/mnt/games:/ROMs:ro,rslave"],
                "env": [
                    "RUN_SWAY=true",
                    "GOW_REQUIRED_DEVICES=/dev/input/* /dev/dri/* /dev/nvidia*",
                    "GAMER_ROM=/ROMs/switch/mario-odyssey.nsp",
                    "GAMER_FIRMWARE=/ROMs/firmware/switch",
                ],
                "devices": [],
                "ports": [],
                "base_create_json": config["profiles"][0]["apps"][0]["runner"]["base_create_json"],
            },
        }
    ]
    created = json.loads(config["profiles"][0]["apps"][0]["runner"]["base_create_json"])
    assert created["HostConfig"]["DeviceCgroupRules"] == ["c 13:* rmw", "c 244:* rmw"]
    assert "docker restart wolf" in box.commands


async def test_the_file_is_written_in_place_because_a_container_has_bound_it(
    box: Box, shell: Shell, bucket: Bucket
) -> None:
    before = box.path(CONFIG).stat().st_ino

    await wolf.configure(shell, bucket, app_of(TETRIS))

    assert box.path(CONFIG).stat().st_ino == before


async def test_paired_devices_and_identity_stay_and_devices_share_the_players_folder(
    box: Box, shell: Shell, bucket: Bucket
) -> None:
    box.write(CONFIG, PAIRED)

    await wolf.configure(shell, bucket, app_of(TETRIS))

    old, new = tomllib.loads(PAIRED), tomllib.loads(box.path(CONFIG).read_text())
    assert new["paired_clients"] == [{**old["paired_clients"][0], "app_state_folder": "player-1"}]
    assert (new["uuid"], new["hostname"], new["config_version"]) == (old["uuid"], "gamer-1", 7)


async def test_what_is_not_ours_to_change_stays(box: Box, shell: Shell, bucket: Bucket) -> None:
    await wolf.configure(shell, bucket, app_of(TETRIS))

    assert tomllib.loads(box.path(CONFIG).read_text())["gstreamer"] == {"video": {"default_source": "interpipesrc"}}


async def test_a_game_that_is_listed_already_interrupts_no_stream(box: Box, shell: Shell, bucket: Bucket) -> None:
    await wolf.configure(shell, bucket, app_of(TETRIS))
    box.commands.clear()

    await wolf.configure(shell, bucket, app_of(TETRIS))

    assert "docker restart wolf" not in box.commands


async def test_a_restart_whose_end_nobody_saw_is_made_up_for(box: Box, shell: Shell, bucket: Bucket) -> None:
    box.programs["docker"] = lambda argv, given: (137, "killed\n")
    with pytest.raises(ProviderBusyError):
        await wolf.configure(shell, bucket, app_of(TETRIS))
    box.programs["docker"] = lambda argv, given: (0, "wolf\n")
    box.commands.clear()

    await wolf.configure(shell, bucket, app_of(TETRIS))
    made_up_for = box.commands.count("docker restart wolf")
    await wolf.configure(shell, bucket, app_of(TETRIS))

    assert (made_up_for, box.commands.count("docker restart wolf")) == (1, 1)


async def test_a_damaged_configuration_is_written_anew(box: Box, shell: Shell, bucket: Bucket) -> None:
    box.write(CONFIG, 'hostname = "gamer-1"\n[[paired_cl')

    await wolf.configure(shell, bucket, app_of(TETRIS))

    config = tomllib.loads(box.path(CONFIG).read_text())
    assert config["paired_clients"] == []
    assert config["profiles"][0]["apps"][0]["title"] == "GB-tetris"


async def test_a_machine_without_wolf_is_asked_again_later(box: Box, shell: Shell, bucket: Bucket) -> None:
    box.path(CONFIG).unlink()

    with pytest.raises(ProviderBusyError, match="not installed"):
        await wolf.configure(shell, bucket, app_of(TETRIS))


async def test_without_its_core_a_game_is_configured_and_what_is_lacking_is_named(
    box: Box, shell: Shell, bucket: Bucket, server: BucketServer
) -> None:
    lacking = await wolf.configure(shell, bucket, app_of(TETRIS))
    server.put("cores/gambatte_libretro.so", b"\x7fELF core")

    assert lacking == "RetroArch opens its menu instead of the game: the library has no cores/gambatte_libretro.so"
    assert await wolf.configure(shell, bucket, app_of(TETRIS)) is None


async def test_the_files_of_the_menu_come_with_the_core(
    box: Box, shell: Shell, bucket: Bucket, server: BucketServer
) -> None:
    server.put("cores/gambatte_libretro.so", b"\x7fELF core")
    server.put("cores/assets.zip", b"PK assets")

    await wolf.configure(shell, bucket, app_of(TETRIS))

    assert box.path("/var/lib/gamer/cores/assets.zip").read_bytes() == b"PK assets"
    assert not box.path("/var/lib/gamer/cores/autoconfig.zip").exists()


async def test_the_core_is_brought_from_the_bucket_once(
    box: Box, shell: Shell, bucket: Bucket, server: BucketServer
) -> None:
    server.put("cores/gambatte_libretro.so", b"\x7fELF core")

    await wolf.configure(shell, bucket, app_of(TETRIS))
    server.requests.clear()
    await wolf.configure(shell, bucket, app_of(TETRIS))

    assert box.path("/var/lib/gamer/cores/gambatte_libretro.so").read_bytes() == b"\x7fELF core"
    assert server.requests == []


async def test_a_retroarch_game_starts_from_a_script_over_the_images_own(
    box: Box, shell: Shell, bucket: Bucket
) -> None:
    await wolf.configure(shell, bucket, app_of(TETRIS))

    script = box.path("/var/lib/gamer/start/GB-tetris.sh")
    app = tomllib.loads(box.path(CONFIG).read_text())["profiles"][0]["apps"][0]
    assert app["runner"]["mounts"] == [
        "/mnt/games:/ROMs:ro,rslave",
        "/var/lib/gamer/cores:/opt/gamer/cores:ro",
        "/var/lib/gamer/start/GB-tetris.sh:/opt/gow/startup-app.sh:ro",
    ]
    assert stat.S_IMODE(script.stat().st_mode) == 0o755
    assert "rom=/ROMs/gb/tetris.gb\n" in script.read_text()
    assert "gambatte_libretro.so" in script.read_text()


@pytest.mark.parametrize("console", [ConsoleType.GB, ConsoleType.NES, ConsoleType.DS, ConsoleType.GC, ConsoleType.WII])
def test_every_start_script_is_one_that_bash_reads(console: ConsoleType, tmp_path: Path) -> None:
    platform = CONSOLES[console].emulator.platform
    app = app_of(GameToPlay(CONSOLES[console], "game", "Game", f"{platform}/game.iso", "player-1"))
    assert app.script is not None

    checked = subprocess.run(["bash", "-n"], input=app.script.text, text=True, check=False)

    assert checked.returncode == 0


@pytest.mark.parametrize(("has_rom", "has_core"), [(True, True), (True, False), (False, True), (False, False)])
def test_without_game_or_core_the_menu_comes_up(tmp_path: Path, has_rom: bool, has_core: bool) -> None:
    app = app_of(TETRIS)
    assert app.script is not None
    text = app.script.text.replace("/ROMs", f"{tmp_path}/ROMs").replace("/opt/gow", f"{tmp_path}/gow")
    for folder in ("ROMs/gb", "gow", "home/.config/retroarch/cores", "home/.config/retroarch/assets"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "home/.config/retroarch/autoconfig").mkdir()
    (tmp_path / "gow/launch-comp.sh").write_text('function launcher() { echo "$@"; }')
    if has_rom:
        (tmp_path / "ROMs/gb/tetris.gb").touch()
    if has_core:
        (tmp_path / "home/.config/retroarch/cores/gambatte_libretro.so").touch()

    started = subprocess.run(
        ["bash", "-s"], input=text, text=True, check=True, capture_output=True, env={"HOME": f"{tmp_path}/home"}
    ).stdout.split()

    config = f"{tmp_path}/home/.config/retroarch"
    game = ["-L", f"{config}/cores/gambatte_libretro.so", f"{tmp_path}/ROMs/gb/tetris.gb"]
    assert started == [
        "/usr/bin/retroarch",
        "--appendconfig",
        f"{config}/gamer.cfg",
        *(game if has_rom and has_core else []),
    ]
    assert (tmp_path / "home/.config/retroarch/gamer.cfg").read_text() == 'autosave_interval = "10"\n'


def test_an_image_that_we_do_not_know_is_told_the_game_and_starts_as_it_is() -> None:
    emulator = replace(CONSOLES[ConsoleType.SWITCH].emulator, image="registry.example.net/switch:1")
    game = replace(ODYSSEY, console=replace(ODYSSEY.console, emulator=emulator))

    runner = app_of(game).table()["runner"]

    assert runner["image"] == "registry.example.net/switch:1"
    assert runner["mounts"] == ["/mnt/games:/ROMs:ro,rslave"]
    assert "GAMER_ROM=/home/retro/Games/switch/mario-odyssey.nsp" in runner["env"]


@pytest.mark.parametrize("file", ["a b.gb", "a;reboot.gb", "$(reboot).gb", "Pokémon - 'A' (USA) [!].GB"])
def test_a_files_own_name_is_in_nothing_but_where_our_link_leads(file: str) -> None:
    app = app_of(replace(TETRIS, rom=f"gb/{file}"))

    assert app.link is not None
    assert app.script is not None
    assert (app.link.path, app.link.target) == ("Games/gb/tetris.gb", f"/ROMs/gb/{file}")
    assert file not in f"{app.table()}{app.script.text}"


def test_a_machine_without_a_game_shows_the_menu() -> None:
    app = app_of(replace(TETRIS, game_id=None, title=None, rom=None))

    assert (app.title, app.script, app.rom) == ("GB", None, None)


@pytest.mark.parametrize(
    "hostile",
    [
        replace(TETRIS, game_id="$(reboot)"),
        replace(TETRIS, game_id="../x"),
        replace(TETRIS, rom="gb/a\nb.gb"),
        replace(TETRIS, rom="../../etc/passwd"),
        replace(TETRIS, rom="gb/sub/a.gb"),
        replace(TETRIS, console=replace(TETRIS.console, emulator=replace(TETRIS.console.emulator, image="x y"))),
    ],
)
def test_hostile_names_never_reach_a_machine(hostile: GameToPlay) -> None:
    with pytest.raises(InvalidInputError):
        app_of(hostile)
