"""Where emulators store saves inside the app's home folder, and the kind of each file.

The places are taken from the emulators' sources; docs/streaming.md lists them. Settings, BIOS files, caches and
installed titles are not saves. States are snapshots of a whole console, large and easily recreated, so they are kept
apart from the games' own saves.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

BESIDE_ROM: Final = "Games"  # links to the games: saves beside a ROM end up beside its link


class SaveKind(StrEnum):
    GAME = "GAME"  # written by a game itself: memory cards, battery memory, and the index and profile files they need
    STATE = "STATE"  # an emulator's snapshots


_SWITCH_FAMILY: Final = ("yuzu", "citron", "eden", "suyu", "sudachi")
_3DS_FAMILY: Final = ("azahar-emu", "lime3ds-emu", "citra-emu")
_DOLPHIN: Final = (".local/share/dolphin-emu", ".dolphin-emu")
SAVE_FOLDERS: Final = (
    ".config/retroarch/saves",
    ".config/retroarch/states",
    ".config/retroarch/system/melonDS DS/wfcsettings.bin",
    *(f"{user}/{folder}" for user in _DOLPHIN for folder in ("GC", "Wii", "GBA/Saves", "StateSaves")),
    *(f"{user}/Load/{folder}" for user in _DOLPHIN for folder in ("WiiSD.raw", "WiiSDSync")),
    *(f".local/share/{user}/{folder}" for user in _3DS_FAMILY for folder in ("sdmc", "nand", "states")),
    *(f".local/share/{user}/nand/user/save" for user in _SWITCH_FAMILY),
    *(f".local/share/{user}/nand/system/save/8000000000000010" for user in _SWITCH_FAMILY),
    ".config/Ryujinx/bis/user/save",
    ".config/Ryujinx/bis/user/saveMeta",
    ".config/Ryujinx/bis/system/save",
    ".config/Ryujinx/system/Profiles.json",
    *(f".config/melonDS/{file}" for file in ("rtc.bin", "wfcsettings.bin", "dldi.bin", "dsisd.bin")),
    ".local/share/Cemu/mlc01/usr/save",
    BESIDE_ROM,
)
_NOT_SAVES: Final = (
    re.compile(r".*/title/[0-9a-f]{8}/[0-9a-f]{8}/content/.*", re.IGNORECASE),  # installed titles of 3DS and Wii
    re.compile(r".*/Wii/(ticket|import|tmp|wfs)/.*"),
    re.compile(r".*/GC/[^/]+/IPL\.bin"),  # the console's own firmware
    re.compile(r".*/nand/user/save/cache/.*"),
    re.compile(rf"{BESIDE_ROM}/.*-\d+\.png"),  # screenshots of mGBA
)
_STATE_FOLDERS: Final = re.compile(r"(.config/retroarch/states|.*/StateSaves|\.local/share/[^/]+-emu/states)/.*")
_STATE_NAMES: Final = re.compile(r".*\.(state(\d+|\.auto)?(\.png)?|ss\d|ml\d|mln|s\d\d)", re.IGNORECASE)


def kind_of(path: str) -> SaveKind | None:
    """Return the kind of a file in a save folder, or None if it is not a save. `path` is relative to the home."""
    if any(pattern.fullmatch(path) for pattern in _NOT_SAVES):
        return None
    is_state = _STATE_FOLDERS.fullmatch(path) or _STATE_NAMES.fullmatch(path)
    return SaveKind.STATE if is_state else SaveKind.GAME
