"""The games that can be played: what lies in the bucket under roms/<platform>/.

A file is a game when its extension is one of the console's and its name without it may be an id; others are passed
over, because names end up on machines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from models.catalog import CONSOLES, ConsoleType, Emulator
from providers.sharing import Depart, Shared
from providers.storage.bucket import Bucket
from streaming.names import is_id

ROOT: Final = "roms"


@dataclass(frozen=True, slots=True)
class Game:
    """`rom_path` is relative to the library: `<platform>/<file>`."""

    console: ConsoleType
    game_id: str
    title: str
    rom_path: str


class Library:
    """The list of games, read from the bucket and kept for some seconds."""

    def __init__(self, bucket: Bucket, *, keep_s: float = 15.0) -> None:
        self._shelves = {type_: Shared(_Reading(bucket, type_).games, keep_s) for type_ in ConsoleType}

    async def games(self, console: ConsoleType | None = None) -> list[Game]:
        """By console, then by id. Raises a ProviderError when the bucket cannot be read."""
        shelves = self._shelves.values() if console is None else [self._shelves[console]]
        found = await asyncio.gather(*(shelf.get() for shelf in shelves))
        return [game for games in found for game in games]

    async def find(self, console: ConsoleType, game_id: str) -> Game | None:
        return next((game for game in await self.games(console) if game.game_id == game_id), None)

    async def close(self) -> None:
        await asyncio.gather(*(shelf.close() for shelf in self._shelves.values()))


@dataclass(frozen=True, slots=True)
class _Reading:
    """How one console's games are read."""

    bucket: Bucket
    console: ConsoleType

    async def games(self, _: Depart) -> tuple[Game, ...]:
        emulator = CONSOLES[self.console].emulator
        prefix = f"{ROOT}/{emulator.platform}/"
        objects = await self.bucket.list(prefix)
        return _games(self.console, emulator, (stored.name.removeprefix(prefix) for stored in objects))


def _games(console: ConsoleType, emulator: Emulator, files: Iterable[str]) -> tuple[Game, ...]:
    """One game an id: of two files with one name, the extension that the emulator lists first wins."""
    found: dict[str, tuple[int, Game]] = {}
    for file in files:
        stem, _, extension = file.rpartition(".")
        if extension not in emulator.rom_extensions or not is_id(stem):
            continue
        preference = emulator.rom_extensions.index(extension)
        if stem not in found or preference < found[stem][0]:
            found[stem] = (preference, Game(console, stem, title_of(stem), f"{emulator.platform}/{file}"))
    return tuple(game for _, (_, game) in sorted(found.items()))


def title_of(game_id: str) -> str:
    """Words for people from an id: `mario-odyssey` becomes `Mario Odyssey`."""
    words = game_id.replace("-", " ").replace("_", " ").split()
    return " ".join(word[:1].upper() + word[1:] for word in words) or game_id
