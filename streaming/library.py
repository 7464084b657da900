"""The games that can be played: what lies in the bucket under roms/<platform>/.

A file is a game when its extension is one of the console's, whatever its case. Its id comes from its name
(streaming/game_ids.py): the name itself never reaches a command, Wolf or its configuration unless it is an id. What is
passed over is counted, by reason.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from errors import ProviderError, ProviderSilentError
from models.catalog import CONSOLES, ConsoleType, Emulator
from providers.last_known import LastKnown, collect_stale
from providers.single_flight import Depart, SingleFlight
from providers.storage.bucket import Bucket
from streaming.game_ids import ids_of
from streaming.name_checks import is_file_name, is_id

log = logging.getLogger(__name__)

ROOT: Final = "roms"
_EXAMPLES: Final = 20


class PassedOver(StrEnum):
    """Why a file is no game."""

    EXTENSION = "its extension is none of the console's"
    FOLDER = "it lies in a folder of its own"
    HIDDEN = "its name begins with a dot"
    NAME = "its name holds control characters, or is longer than 250 bytes"
    DOUBLE = "another file of that name is played instead"


@dataclass(frozen=True, slots=True)
class Game:
    """`rom_path` is relative to the library: `<platform>/<file>`, where the file's name may be any."""

    console: ConsoleType
    game_id: str
    title: str
    rom_path: str


@dataclass(frozen=True, slots=True)
class SkippedFiles:
    """How many of one console's files are no games for one reason, and the first of them by name."""

    console: ConsoleType
    reason: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shelf:
    """One console's games, by their ids, and what lies beside them."""

    games: tuple[Game, ...]
    passed_over: Mapping[PassedOver, tuple[str, ...]]


class Library:
    """The list of games, read from the bucket and kept for some seconds."""

    def __init__(self, bucket: Bucket, *, keep_s: float = 15.0) -> None:
        self._shelves = {type_: SingleFlight(_Reading(bucket, type_).shelf, keep_s) for type_ in ConsoleType}

    async def games(self, console: ConsoleType | None = None) -> list[Game]:
        """By console, then by id. Raises a ProviderError when the bucket cannot be read."""
        return [game for shelf in await self._read(console) for game in shelf.games]

    async def passed_over(self, console: ConsoleType | None = None) -> dict[str, PassedOver]:
        """Return the files that are no games, by their path in the library, and why."""
        shelves = await self._read(console)
        return {file: why for shelf in shelves for why, files in shelf.passed_over.items() for file in files}

    async def skipped(self, console: ConsoleType | None = None) -> list[SkippedFiles]:
        """Return what is passed over, by console and reason."""
        types = tuple(ConsoleType) if console is None else (console,)
        return [
            SkippedFiles(type_, str(why), len(files), tuple(sorted(files)[:_EXAMPLES]))
            for type_, shelf in zip(types, await self._read(console), strict=True)
            for why, files in sorted(shelf.passed_over.items())
        ]

    async def _read(self, console: ConsoleType | None) -> list[Shelf]:
        shelves = self._shelves.values() if console is None else [self._shelves[console]]
        return list(await asyncio.gather(*(shelf.get() for shelf in shelves)))

    async def find(self, console: ConsoleType, game_id: str) -> Game | None:
        return next((game for game in await self.games(console) if game.game_id == game_id), None)

    async def close(self) -> None:
        await asyncio.gather(*(shelf.close() for shelf in self._shelves.values()))


class PromptLibrary(Library):
    """The list of games, or the last known one when the bucket does not answer within `patience_s`."""

    def __init__(self, library: Library, *, patience_s: float) -> None:
        self._last_known = {
            type_: LastKnown("the game library", shelf.get, patience_s=patience_s)
            for type_, shelf in library._shelves.items()
        }

    async def find(self, console: ConsoleType, game_id: str) -> Game | None:
        """Raises ProviderSilentError when only an old list lacks the game: it may have been added since."""
        with collect_stale() as stale:
            game = await super().find(console, game_id)
        if game is None and stale:
            raise ProviderSilentError("the game library does not answer")
        return game

    async def close(self) -> None:
        await asyncio.gather(*(known.close() for known in self._last_known.values()))

    async def _read(self, console: ConsoleType | None) -> list[Shelf]:
        wanted = self._last_known.values() if console is None else [self._last_known[console]]
        return list(await asyncio.gather(*(known.get() for known in wanted)))


@dataclass(slots=True)
class _Reading:
    """How one console's games are read."""

    bucket: Bucket
    console: ConsoleType
    reported: Mapping[PassedOver, int] = field(default_factory=dict)

    async def shelf(self, _: Depart) -> Shelf:
        emulator = CONSOLES[self.console].emulator
        prefix = f"{ROOT}/{emulator.platform}/"
        try:
            objects = sorted(await self.bucket.list(prefix), key=lambda stored: stored.generation)
        except ProviderError as error:
            error.message = f"the game library cannot be read: {error.message}"
            raise
        shelf = _sorted(self.console, emulator, [stored.name.removeprefix(prefix) for stored in objects])
        self._report(shelf)
        return shelf

    def _report(self, shelf: Shelf) -> None:
        """Log what is passed over when that has changed."""
        counts = {why: len(files) for why, files in shelf.passed_over.items()}
        if counts and counts != self.reported:
            passed_over = {str(why): f"{len(files)}, {files[0]!r}" for why, files in shelf.passed_over.items()}
            log.warning("files of the library are no games", extra={"console": self.console, "why": passed_over})
        self.reported = counts


def _sorted(console: ConsoleType, emulator: Emulator, files: Sequence[str]) -> Shelf:
    """Files come in the order of their age. Of two with one name, the extension that the emulator lists first wins."""
    passed_over: dict[PassedOver, list[str]] = {}
    named: dict[str, str] = {}
    for name in filter(None, files):
        file = name
        stem, _, extension = file.rpartition(".")
        why = _no_game(file, stem, extension.lower(), emulator)
        if why is None and stem in named:
            why = PassedOver.DOUBLE
            if _preference(file, emulator) < _preference(named[stem], emulator):
                named[stem], file = file, named[stem]
        if why is None:
            named[stem] = file
        else:
            passed_over.setdefault(why, []).append(f"{emulator.platform}/{file}")
    ids = ids_of(list(named))
    games = (Game(console, ids[stem], _title(stem), f"{emulator.platform}/{file}") for stem, file in named.items())
    return Shelf(
        tuple(sorted(games, key=lambda game: game.game_id)),
        {why: tuple(found) for why, found in passed_over.items()},
    )


def _no_game(file: str, stem: str, extension: str, emulator: Emulator) -> PassedOver | None:
    if "/" in file:
        return PassedOver.FOLDER
    if file.startswith("."):
        return PassedOver.HIDDEN
    if not stem or extension not in emulator.rom_extensions:
        return PassedOver.EXTENSION
    return None if is_file_name(file) else PassedOver.NAME


def _preference(file: str, emulator: Emulator) -> int:
    return emulator.rom_extensions.index(file.rpartition(".")[2].lower())


def _title(stem: str) -> str:
    """A name that is no id was written for people already."""
    return title_of(stem) if is_id(stem) else stem


def title_of(game_id: str) -> str:
    """Words for people from an id: `mario-odyssey` becomes `Mario Odyssey`."""
    words = game_id.replace("-", " ").replace("_", " ").split()
    return " ".join(word[:1].upper() + word[1:] for word in words) or game_id
