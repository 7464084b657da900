"""How a game starts on a machine: the Wolf app, and the start script mounted into its container.

Wolf's apps name an image, not a game, and the images of Games on Whales open a menu. For images with a known start-up
(RetroArch for consoles with a libretro core, Pegasus for GameCube and Wii), our script is mounted over it. It starts
the game, or the menu if the game or its core is missing. Any other image starts as its maker intended and gets the game
in GAMER_ROM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from models.catalog import PEGASUS, PEGASUS_PLATFORMS, RETROARCH, Console, repository_of
from streaming.library_mount import MOUNT_OPTIONS, MOUNT_POINT
from streaming.name_checks import app_title, folder_of, is_plain_rom, validate_id, validate_image, validate_rom
from streaming.saves.locations import BESIDE_ROM
from streaming.saves.survey import CONTAINER_HOME

START_FOLDER: Final = "/var/lib/gamer/start"
CORE_FOLDER: Final = "/var/lib/gamer/cores"
ASSETS: Final = ("assets", "autoconfig")  # names of RetroArch's own files at libretro's buildbot
LIBRARY: Final = "/ROMs"  # the library's path in containers
_CORES: Final = "/opt/gamer/cores"
_CREATE_JSON: Final = (
    '{"HostConfig": {"IpcMode": "host", "Privileged": false, '
    '"CapAdd": ["NET_RAW", "MKNOD", "NET_ADMIN", "SYS_ADMIN", "SYS_NICE"], '
    '"DeviceCgroupRules": ["c 13:* rmw", "c 244:* rmw"]}}'
)

# Every value that is inserted has passed a narrow pattern. The images paste the arguments of `launcher` into a line of
# sway's configuration, so none of them may contain a blank.
_RETROARCH_SCRIPT: Final = f"""\
#!/bin/bash
# Starts one game. Where the game or its core is missing, RetroArch's menu comes up instead.
config="$HOME/.config/retroarch"
mkdir -p "$config/cores" "$config/saves" "$config/states"
if [ -f /cfg/retroarch.cfg ]; then cp -u /cfg/retroarch.cfg "$config/retroarch.cfg"; fi
rom={{rom}}
core={_CORES}/{{core}}_libretro.so
if [ ! -f "$core" ]; then core="$config/cores/{{core}}_libretro.so"; fi
starts=""
if [ -f "$rom" ] && [ -f "$core" ]; then starts=yes; fi
for part in {" ".join(ASSETS)}; do
  if [ ! -d "$config/$part" ]; then
    zip={_CORES}/$part.zip
    # A game does not wait for a download: only the menu needs these files.
    if [ ! -f "$zip" ] && [ -z "$starts" ]; then
      zip="/tmp/$part.zip"
      wget -q -T 20 -t 2 -O "$zip" "https://buildbot.libretro.com/assets/frontend/$part.zip"
    fi
    if [ -s "$zip" ]; then 7z x "$zip" -bso0 -bse0 -bsp0 -o"$config/$part"; fi
    rm -f "/tmp/$part.zip"
  fi
done
# Battery saves reach the disk while the game runs: the container gets little time to end.
printf 'autosave_interval = "10"\\n' > "$config/gamer.cfg"
source /opt/gow/launch-comp.sh
if [ -n "$starts" ]; then
  launcher /usr/bin/retroarch --appendconfig "$config/gamer.cfg" -L "$core" "$rom"
else
  launcher /usr/bin/retroarch --appendconfig "$config/gamer.cfg"
fi
"""
_PEGASUS_SCRIPT: Final = """\
#!/bin/bash
# Starts one game. Where it is missing, Pegasus comes up instead.
rom={rom}
if [ -f "$rom" ]; then
  exec /Applications/launchers/rom_launcher.sh {platform} "$rom"
fi
export XDG_SESSION_TYPE=x11
unset WAYLAND_DISPLAY
exec pegasus-fe
"""


@dataclass(frozen=True, slots=True)
class GameToPlay:
    """The game that a machine is set up for.

    `rom` is the game's path in the library; without a game the menu is shown.
    """

    console: Console
    game_id: str | None
    title: str | None
    rom: str | None
    user_id: str


@dataclass(frozen=True, slots=True)
class StartScript:
    """A start script. `path` on the machine is mounted over `over` in the container."""

    path: str
    over: str
    text: str


@dataclass(frozen=True, slots=True)
class GameLink:
    """A link in the app's home folder, with a safe name, to the game's file as the container sees it.

    Files that an emulator saves beside its game thus end up in the home folder, which is kept.
    """

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class App:
    """A game as Wolf and its container need it."""

    title: str
    runner: str
    image: str
    state_folder: str
    script: StartScript | None
    core: str | None
    rom: str | None
    link: GameLink | None = None
    platform: str = ""

    def table(self) -> dict[str, Any]:
        """Return the app's entry in Wolf's configuration."""
        mounts = [f"{MOUNT_POINT}:{LIBRARY}:{MOUNT_OPTIONS}"]
        if self.core is not None:
            mounts.append(f"{CORE_FOLDER}:{_CORES}:ro")
        if self.script is not None:
            mounts.append(f"{self.script.path}:{self.script.over}:ro")
        env = ["RUN_SWAY=true", "GOW_REQUIRED_DEVICES=/dev/input/* /dev/dri/* /dev/nvidia*"]
        if self.rom is not None:
            env += [f"GAMER_ROM={self.rom}", f"GAMER_FIRMWARE={LIBRARY}/firmware/{self.platform}"]
        return {
            "title": self.title,
            "start_virtual_compositor": True,
            "runner": {
                "type": "docker",
                "name": self.runner,
                "image": self.image,
                "mounts": mounts,
                "env": env,
                "devices": [],
                "ports": [],
                "base_create_json": _CREATE_JSON,
            },
        }


def app_of(game: GameToPlay) -> App:
    """Return the app of a game. Raises InvalidInputError for names that must not reach a machine."""
    emulator = game.console.emulator
    image = validate_image(emulator.image)
    core = None if emulator.core is None else validate_id(emulator.core)
    title = app_title(game.console.type, game.game_id)
    is_ours = repository_of(image) in {RETROARCH, PEGASUS}
    link = None if game.rom is None or (is_ours and is_plain_rom(game.rom)) else _link(game)
    rom = f"{CONTAINER_HOME}/{link.path}" if link else None if game.rom is None else f"{LIBRARY}/{game.rom}"
    return App(
        title=title,
        runner=f"gamer-{game.console.type.value.lower()}",
        image=image,
        state_folder=folder_of(game.user_id),
        script=_script(image, emulator.platform, title, rom, core),
        core=core if repository_of(image) == RETROARCH else None,
        rom=rom,
        link=link,
        platform=validate_id(emulator.platform),
    )


def _link(game: GameToPlay) -> GameLink | None:
    """Return a link if the game's name is not safe to paste, or if its emulator may save beside it."""
    if game.rom is None:
        return None
    rom = validate_rom(game.rom)
    extension = rom.rpartition(".")[2].lower()
    name = validate_id(f"{validate_id(game.game_id or 'game')}.{extension}")
    return GameLink(f"{BESIDE_ROM}/{game.console.emulator.platform}/{name}", f"{LIBRARY}/{rom}")


def _script(image: str, platform: str, title: str, rom: str | None, core: str | None) -> StartScript | None:
    if rom is None:
        return None
    path = f"{START_FOLDER}/{title}.sh"
    if repository_of(image) == RETROARCH and core is not None:
        return StartScript(path, "/opt/gow/startup-app.sh", _RETROARCH_SCRIPT.format(rom=rom, core=core))
    if repository_of(image) == PEGASUS and platform in PEGASUS_PLATFORMS:
        return StartScript(path, "/bin/pegasus.sh", _PEGASUS_SCRIPT.format(rom=rom, platform=platform))
    return None
