"""A game library in memory."""

from __future__ import annotations

from models.catalog import ConsoleType
from streaming.library import Game


class FakeGames:
    """Keeps launch.launches.Games: it has two games for the Switch and no others."""

    async def find(self, console: ConsoleType, game_id: str) -> Game | None:
        titles = {"mario-odyssey": "Mario Odyssey", "splatoon": "Splatoon"}
        if console is not ConsoleType.SWITCH or game_id not in titles:
            return None
        return Game(console, game_id, titles[game_id], f"roms/switch/{game_id}.nsp")
