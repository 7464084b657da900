"""The catalog: consoles, presets and emulators.

The defaults are defined here; an operator's changes are documents applied over them. Emulator images and ROM formats
are those that Games on Whales publishes (repository games-on-whales/gow, May 2026). It publishes no image for Nintendo
3DS or Switch games: their default is its Pegasus front end, which streams but starts no game of these consoles until an
operator configures an image that does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final

from odmantic import EmbeddedModel, Field, Model

from errors import UnreadableRecordError
from models.database import Database
from models.unreadable import Unreadable, report_unreadable
from providers.base import ProviderName, Shape


class ConsoleType(StrEnum):
    NES = "NES"
    SNES = "SNES"
    GB = "GB"
    GBA = "GBA"
    DS = "DS"
    N3DS = "N3DS"
    GC = "GC"
    WII = "WII"
    SWITCH = "SWITCH"


class PresetName(StrEnum):
    RETRO = "RETRO"
    ADVANCED = "ADVANCED"
    PREMIUM = "PREMIUM"


@dataclass(frozen=True, slots=True)
class Preset:
    """The size of a machine.

    `shape.gpu_models` are lower-case parts of GPU model ids that encode video in hardware.
    """

    name: PresetName
    shape: Shape


_HIGH_END_GPUS: Final = (
    *("geforcertx3090", "geforcertx4090", "geforcertx5090", "rtxa4000", "rtxa5000", "rtxa6000"),
    *("rtx4000ada", "rtx4000sffada", "rtx4500ada", "rtx5000ada", "rtx6000ada", "l4-pcie", "l40", "a40-pcie"),
    *("nvidia-l4", "nvidia-tesla-t4", "nvidia-rtx-pro-6000"),
)
_BASIC_GPUS: Final = (*_HIGH_END_GPUS, "geforcertx30", "geforcegtx10", "quadrortx")

PRESETS: Final = {
    PresetName.RETRO: Preset(PresetName.RETRO, Shape(vcpus=2, ram_gb=4, storage_gb=100)),
    PresetName.ADVANCED: Preset(
        PresetName.ADVANCED, Shape(vcpus=4, ram_gb=8, storage_gb=100, min_vram_gb=6, gpu_models=_BASIC_GPUS)
    ),
    PresetName.PREMIUM: Preset(
        PresetName.PREMIUM, Shape(vcpus=8, ram_gb=16, storage_gb=200, min_vram_gb=16, gpu_models=_HIGH_END_GPUS)
    ),
}


@dataclass(frozen=True, slots=True)
class Emulator:
    """The emulator of a console.

    `platform` is the folder of its games in the library; `core` is the libretro core, if any.
    """

    name: str
    image: str
    rom_extensions: tuple[str, ...]
    platform: str
    core: str | None = None


RETROARCH: Final = "ghcr.io/games-on-whales/retroarch"
PEGASUS: Final = "ghcr.io/games-on-whales/pegasus"
PEGASUS_PLATFORMS: Final = frozenset({"gc", "wii"})  # what the emulators inside that image play


def repository_of(image: str) -> str:
    """Return an image's name without its tag and digest."""
    name = image.partition("@")[0]
    path, colon, tag = name.rpartition(":")
    return path if colon and "/" not in tag else name


@dataclass(frozen=True, slots=True)
class ProviderPreference:
    provider: ProviderName
    enabled: bool = True
    max_usd_per_hour: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Console:
    type: ConsoleType
    name: str
    preset: Preset
    emulator: Emulator
    providers: tuple[ProviderPreference, ...] = (
        ProviderPreference(ProviderName.TENSORDOCK),
        ProviderPreference(ProviderName.CLOUDYPAD),
    )
    max_session_hours: float = 8.0
    idle_stop_minutes: int = 30

    @property
    def unplayable_reason(self) -> str | None:
        """Return why no game of the console starts, or None if games do according to the configuration."""
        repository, emulator = repository_of(self.emulator.image), self.emulator
        if repository == PEGASUS and emulator.platform not in PEGASUS_PLATFORMS:
            return f"No emulator is configured for {self.name}: {repository} opens a menu and starts none of its games"
        if repository == RETROARCH and emulator.core is None:
            return f"No emulator is configured for {self.name}: {repository} has no core for its games"
        return None


_RETROARCH: Final = f"{RETROARCH}:edge"
_PEGASUS: Final = f"{PEGASUS}:edge"
_RETRO, _ADVANCED, _PREMIUM = (PRESETS[name] for name in PresetName)

CONSOLES: Final = {
    console.type: console
    for console in (
        Console(
            ConsoleType.NES,
            "Nintendo Entertainment System",
            _RETRO,
            Emulator("RetroArch (FCEUmm)", _RETROARCH, ("nes", "unf", "fds", "zip", "unif", "7z"), "nes", "fceumm"),
        ),
        Console(
            ConsoleType.SNES,
            "Super Nintendo Entertainment System",
            _RETRO,
            Emulator(
                "RetroArch (Snes9x)",
                _RETROARCH,
                ("sfc", "smc", "zip", "swc", "fig", "bs", "st", "7z"),
                "snes",
                "snes9x",
            ),
        ),
        Console(
            ConsoleType.GB,
            "Game Boy",
            _RETRO,
            Emulator("RetroArch (Gambatte)", _RETROARCH, ("gb", "gbc", "zip", "dmg", "7z"), "gb", "gambatte"),
        ),
        Console(
            ConsoleType.GBA,
            "Game Boy Advance",
            _RETRO,
            Emulator("RetroArch (mGBA)", _RETROARCH, ("gba", "zip", "7z"), "gba", "mgba"),
        ),
        Console(
            ConsoleType.DS,
            "Nintendo DS",
            _ADVANCED,
            Emulator("RetroArch (melonDS DS)", _RETROARCH, ("nds", "dsi", "zip", "7z"), "nds", "melondsds"),
        ),
        Console(
            ConsoleType.N3DS,
            "Nintendo 3DS",
            _ADVANCED,
            Emulator(
                "Pegasus (no 3DS emulator; configure an image)",
                _PEGASUS,
                ("3ds", "cci", "cxi", "cia", "3dsx", "app", "z3ds", "zcci", "zcxi", "z3dsx"),
                "n3ds",
            ),
        ),
        Console(
            ConsoleType.GC,
            "Nintendo GameCube",
            _PREMIUM,
            Emulator(
                "Dolphin", _PEGASUS, ("iso", "gcm", "gcz", "rvz", "ciso", "wia", "tgc", "m3u", "dol", "elf"), "gc"
            ),
        ),
        Console(
            ConsoleType.WII,
            "Nintendo Wii",
            _PREMIUM,
            Emulator(
                "Dolphin", _PEGASUS, ("iso", "wbfs", "rvz", "gcz", "wad", "ciso", "wia", "m3u", "dol", "elf"), "wii"
            ),
        ),
        Console(
            ConsoleType.SWITCH,
            "Nintendo Switch",
            _PREMIUM,
            Emulator(
                "Pegasus (no Switch emulator; configure an image)",
                _PEGASUS,
                ("nsp", "xci", "nca", "nro", "nso"),
                "switch",
            ),
        ),
    )
}


class StoredPreference(EmbeddedModel):
    provider: ProviderName
    enabled: bool
    max_usd_per_hour: Decimal | None = None


class ConsoleSettings(Model):
    """An operator's changes to a console. None or an empty list means the default."""

    id: ConsoleType = Field(primary_field=True)
    preset: PresetName | None = None
    emulator_image: str | None = None
    providers: list[StoredPreference] = Field(default_factory=list)
    max_session_hours: float | None = None
    idle_stop_minutes: int | None = None

    model_config = {"collection": "console_settings"}


async def consoles(db: Database, types: Sequence[ConsoleType] = tuple(ConsoleType)) -> dict[ConsoleType, Console]:
    """Return the current consoles in the given order, with one query.

    A console with settings that this version cannot read is left out and reported.
    """
    read = await read_consoles(db, types)
    for type_, each in read.items():
        if isinstance(each, UnreadableRecordError):
            report_unreadable(Unreadable(ConsoleSettings.__name__, type_, each.message))
    return {type_: each for type_, each in read.items() if isinstance(each, Console)}


async def read_consoles(
    db: Database, types: Sequence[ConsoleType]
) -> dict[ConsoleType, Console | UnreadableRecordError]:
    """Return consoles like `consoles`; an UnreadableRecordError for settings that this version cannot read."""
    stored = await db.read_many(ConsoleSettings, types)
    return {type_: _read(type_, stored.get(type_)) for type_ in types}


async def console(db: Database, type_: ConsoleType) -> Console:
    """Return one console. Raises UnreadableRecordError."""
    read = (await read_consoles(db, [type_]))[type_]
    if isinstance(read, UnreadableRecordError):
        raise read
    return read


def _read(
    type_: ConsoleType, stored: ConsoleSettings | UnreadableRecordError | None
) -> Console | UnreadableRecordError:
    return stored if isinstance(stored, UnreadableRecordError) else _apply_changes(CONSOLES[type_], stored)


def _apply_changes(default: Console, changes: ConsoleSettings | None) -> Console:
    if changes is None:
        return default
    emulator = default.emulator
    if changes.emulator_image is not None:
        emulator = replace(emulator, image=changes.emulator_image)
    preferences = tuple(ProviderPreference(p.provider, p.enabled, p.max_usd_per_hour) for p in changes.providers)
    return replace(
        default,
        preset=default.preset if changes.preset is None else PRESETS[changes.preset],
        emulator=emulator,
        providers=preferences or default.providers,
        max_session_hours=default.max_session_hours if changes.max_session_hours is None else changes.max_session_hours,
        idle_stop_minutes=default.idle_stop_minutes if changes.idle_stop_minutes is None else changes.idle_stop_minutes,
    )
