"""What a launch sets a machine up with: its console, its game, and the image that plays it, by its digest."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from errors import ProviderRefusedError
from models.catalog import ConsoleType, console
from models.database import Database
from models.launches import Launch
from streaming.emulator_images import EmulatorImages
from streaming.library import Game
from streaming.machine import GameToPlay


class Games(Protocol):
    """The games that can be launched. streaming.library.Library implements it."""

    async def find(self, console: ConsoleType, game_id: str) -> Game | None: ...


class GameSource:
    """Without `images`, images keep the tags that the catalog gives them."""

    def __init__(self, db: Database, games: Games, images: EmulatorImages | None = None) -> None:
        self._db = db
        self._games = games
        self._images = images or EmulatorImages(db)

    async def game_to_play(self, launch: Launch, *, missing: str | None = None) -> tuple[GameToPlay, str | None]:
        """Return the game, and a remark about its image for the player, if there is one.

        `missing` is an image that its registry does not have: another one is looked for.

        Raises ProviderRefusedError if the library has the game no longer.
        """
        wanted = await console(self._db, launch.console)
        tag = wanted.emulator.image
        pinned = await (self._images.pinned(tag) if missing is None else self._images.replace_missing(tag, missing))
        wanted = replace(wanted, emulator=replace(wanted.emulator, image=pinned.name))
        if launch.game_id is None:
            return GameToPlay(wanted, game_id=None, title=None, rom=None, user_id=launch.user_id), pinned.remark
        game = await self._games.find(launch.console, launch.game_id)
        if game is None:
            raise ProviderRefusedError(f"the game {launch.game_id} is no longer in the library")
        to_play = GameToPlay(wanted, game.game_id, game.title, game.rom_path, launch.user_id)
        return to_play, pinned.remark
