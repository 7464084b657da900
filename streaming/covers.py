"""Lists and reads the cover pictures of games: `covers/<platform>/<name of the game's file>.<png|jpg|webp>`.

They are beside the library in the bucket and not in it, so that machines do not mount them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from errors import ProviderError
from models.catalog import CONSOLES, ConsoleType
from providers.last_known import LastKnown
from providers.single_flight import Depart, SingleFlight
from providers.storage.bucket import Bucket
from streaming.library import Game

log = logging.getLogger(__name__)

ROOT: Final = "covers"
LIMIT_BYTES: Final = 1024 * 1024
MEDIA_TYPES: Final = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp"}


@dataclass(frozen=True, slots=True)
class Cover:
    """A picture of at most LIMIT_BYTES. Another content has another generation."""

    name: str
    media_type: str
    generation: int


class Covers:
    """The cover pictures of a bucket. Lists are cached for a minute."""

    def __init__(self, bucket: Bucket, *, keep_s: float = 60.0, patience_s: float = 1.0) -> None:
        self._bucket = bucket
        self._listings = {type_: SingleFlight(_Listing(bucket, type_).read, keep_s) for type_ in ConsoleType}
        self._known = {
            type_: LastKnown("the cover pictures", listing.get, patience_s=patience_s)
            for type_, listing in self._listings.items()
        }

    async def find(self, game: Game) -> Cover | None:
        """Return the cover of a game. None if it has none, or if that cannot be found out now."""
        try:
            covers = await self._known[game.console].get()
        except ProviderError as error:
            log.warning("cover pictures cannot be listed", extra={"console": game.console, "why": error.message})
            return None
        return covers.get(game.rom_path.rpartition("/")[2].rpartition(".")[0])

    async def read(self, cover: Cover) -> bytes | None:
        """Return a picture; None if it was removed. Raise ProviderError if the bucket cannot be read."""
        found = await self._bucket.read(cover.name, LIMIT_BYTES)
        return None if found is None else found[1]

    async def close(self) -> None:
        """Cancel running reads."""
        await asyncio.gather(*(known.close() for known in self._known.values()))
        await asyncio.gather(*(listing.close() for listing in self._listings.values()))


@dataclass(frozen=True, slots=True)
class _Listing:
    bucket: Bucket
    console: ConsoleType

    async def read(self, _depart: Depart) -> Mapping[str, Cover]:
        """Return covers by the names of their games' files. Pictures that are too large are left out."""
        prefix = f"{ROOT}/{CONSOLES[self.console].emulator.platform}/"
        found: dict[str, Cover] = {}
        for stored in await self.bucket.list(prefix):
            stem, _, extension = stored.name.removeprefix(prefix).rpartition(".")
            media_type = MEDIA_TYPES.get(extension.lower())
            if stem and media_type is not None and stored.size_bytes <= LIMIT_BYTES:
                found[stem] = Cover(stored.name, media_type, stored.generation)
        return found
