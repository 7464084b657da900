"""A game library in memory."""

from __future__ import annotations

from models.catalog import ConsoleType
from streaming.library import Game


class FakeGames:
    """Keeps launch.launches.Games: it has mario-odyssey for the Switch and no other game."""

    async def find(self, console: ConsoleType, game_id: str) -> Game | None:
        if (console, game_id) != (ConsoleType.SWITCH, "mario-odyssey"):
            return None
        return Game(console, game_id, "Mario Odyssey", "roms/switch/mario-odyssey.nsp")
