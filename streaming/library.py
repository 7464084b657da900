"""Lists the playable games: the files in the bucket under roms/<platform>/.

A file is a game if its extension, in any case, is one of the console's. Its id is derived from its name
(streaming/game_ids.py); the name itself never reaches a command, Wolf or its configuration unless it is an id. Skipped
files are counted by reason.
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


class SkipReason(StrEnum):
    """Reason why a file is not a game."""

    EXTENSION = "its extension is not one of the console's"
    FOLDER = "it is in a subfolder"
    HIDDEN = "its name begins with a dot"
    NAME = "its name contains control characters, or is longer than 250 bytes"
    DOUBLE = "another file with that name is used instead"


@dataclass(frozen=True, slots=True)
class Game:
    """A game. `rom_path` is relative to the library: `<platform>/<file>`, with any file name."""

    console: ConsoleType
    game_id: str
    title: str
    rom_path: str


@dataclass(frozen=True, slots=True)
class SkippedFiles:
    """Files of one console that are not games for one reason: their number, and the first by name."""

    console: ConsoleType
    reason: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shelf:
    """One console's games, sorted by id, and its skipped files."""

    games: tuple[Game, ...]
    skipped: Mapping[SkipReason, tuple[str, ...]]


class Library:
    """The list of games, read from the bucket and cached for seconds."""

    def __init__(self, bucket: Bucket, *, keep_s: float = 15.0) -> None:
        self._shelves = {type_: SingleFlight(_Reading(bucket, type_).shelf, keep_s) for type_ in ConsoleType}

    async def games(self, console: ConsoleType | None = None) -> list[Game]:
        """Return games by console and id. Raises a ProviderError if the bucket cannot be read."""
        return [game for shelf in await self._read(console) for game in shelf.games]

    async def skip_reasons(self, console: ConsoleType | None = None) -> dict[str, SkipReason]:
        """Return the reasons of skipped files by their paths in the library."""
        shelves = await self._read(console)
        return {file: why for shelf in shelves for why, files in shelf.skipped.items() for file in files}

    async def skipped_files(self, console: ConsoleType | None = None) -> list[SkippedFiles]:
        """Return skipped files by console and reason."""
        types = tuple(ConsoleType) if console is None else (console,)
        return [
            SkippedFiles(type_, str(why), len(files), tuple(sorted(files)[:_EXAMPLES]))
            for type_, shelf in zip(types, await self._read(console), strict=True)
            for why, files in sorted(shelf.skipped.items())
        ]

    async def _read(self, console: ConsoleType | None) -> list[Shelf]:
        shelves = self._shelves.values() if console is None else [self._shelves[console]]
        return list(await asyncio.gather(*(shelf.get() for shelf in shelves)))

    async def find(self, console: ConsoleType, game_id: str) -> Game | None:
        return next((game for game in await self.games(console) if game.game_id == game_id), None)

    async def close(self) -> None:
        await asyncio.gather(*(shelf.close() for shelf in self._shelves.values()))


class PromptLibrary(Library):
    """The list of games, or the last known one if the bucket does not respond within `patience_s`."""

    def __init__(self, library: Library, *, patience_s: float) -> None:
        self._last_known = {
            type_: LastKnown("the game library", shelf.get, patience_s=patience_s)
            for type_, shelf in library._shelves.items()
        }

    async def find(self, console: ConsoleType, game_id: str) -> Game | None:
        """Return the game, or None.

        Raises ProviderSilentError if only an old list lacks the game, because it may have been added since.
        """
        with collect_stale() as stale:
            game = await super().find(console, game_id)
        if game is None and stale:
            raise ProviderSilentError("the game library does not respond")
        return game

    async def close(self) -> None:
        await asyncio.gather(*(known.close() for known in self._last_known.values()))

    async def _read(self, console: ConsoleType | None) -> list[Shelf]:
        wanted = self._last_known.values() if console is None else [self._last_known[console]]
        return list(await asyncio.gather(*(known.get() for known in wanted)))


@dataclass(slots=True)
class _Reading:
    """Reads one console's games."""

    bucket: Bucket
    console: ConsoleType
    reported: Mapping[SkipReason, int] = field(default_factory=dict)

    async def shelf(self, _: Depart) -> Shelf:
        emulator = CONSOLES[self.console].emulator
        prefix = f"{ROOT}/{emulator.platform}/"
        try:
            objects = sorted(await self.bucket.list(prefix), key=lambda stored: stored.generation)
        except ProviderError as error:
            error.message = f"the game library cannot be read: {error.message}"
            raise
        shelf = _sort_files(self.console, emulator, [stored.name.removeprefix(prefix) for stored in objects])
        self._report(shelf)
        return shelf

    def _report(self, shelf: Shelf) -> None:
        """Log skipped files if they have changed."""
        counts = {why: len(files) for why, files in shelf.skipped.items()}
        if counts and counts != self.reported:
            skipped = {str(why): f"{len(files)}, {files[0]!r}" for why, files in shelf.skipped.items()}
            log.warning("skipping files that are not games", extra={"console": self.console, "why": skipped})
        self.reported = counts


def _sort_files(console: ConsoleType, emulator: Emulator, files: Sequence[str]) -> Shelf:
    """Sort files, given in order of age, into games and skipped files.

    Of two files with the same name, the extension that the emulator lists first wins.
    """
    skipped: dict[SkipReason, list[str]] = {}
    named: dict[str, str] = {}
    for name in filter(None, files):
        file = name
        stem, _, extension = file.rpartition(".")
        why = _skip_reason(file, stem, extension.lower(), emulator)
        if why is None and stem in named:
            why = SkipReason.DOUBLE
            if _preference(file, emulator) < _preference(named[stem], emulator):
                named[stem], file = file, named[stem]
        if why is None:
            named[stem] = file
        else:
            skipped.setdefault(why, []).append(f"{emulator.platform}/{file}")
    ids = ids_of(list(named))
    games = (Game(console, ids[stem], _title(stem), f"{emulator.platform}/{file}") for stem, file in named.items())
    return Shelf(
        tuple(sorted(games, key=lambda game: game.game_id)),
        {why: tuple(found) for why, found in skipped.items()},
    )


def _skip_reason(file: str, stem: str, extension: str, emulator: Emulator) -> SkipReason | None:
    if "/" in file:
        return SkipReason.FOLDER
    if file.startswith("."):
        return SkipReason.HIDDEN
    if not stem or extension not in emulator.rom_extensions:
        return SkipReason.EXTENSION
    return None if is_file_name(file) else SkipReason.NAME


def _preference(file: str, emulator: Emulator) -> int:
    return emulator.rom_extensions.index(file.rpartition(".")[2].lower())


def _title(stem: str) -> str:
    """Return a title. A name that is not an id was already written for people."""
    return title_of(stem) if is_id(stem) else stem


def title_of(game_id: str) -> str:
    """Return a title for an id: `mario-odyssey` becomes `Mario Odyssey`."""
    words = game_id.replace("-", " ").replace("_", " ").split()
    return " ".join(word[:1].upper() + word[1:] for word in words) or game_id
