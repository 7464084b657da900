"""Where a player's saves lie: in the bucket by user, console, game and save; on a machine in the app's home folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from models.catalog import ConsoleType
from streaming.name_checks import app_title, checked_id, folder_of

DEFAULT_SAVE: Final = "main"
STATE_ROOT: Final = "/var/lib/cloudypad/wolf"
_NO_GAME: Final = "_"  # no game's id begins so


@dataclass(frozen=True, slots=True)
class SaveSlot:
    """One line of progress in one game of one player. `game_id` of None: what is played without naming a game."""

    user_id: str
    console: ConsoleType
    game_id: str | None
    save_id: str = DEFAULT_SAVE

    @property
    def prefix(self) -> str:
        """The slot's folder in the bucket."""
        game = _NO_GAME if self.game_id is None else checked_id(self.game_id)
        return f"saves/users/{folder_of(self.user_id)}/{self.console.value}/{game}/{checked_id(self.save_id)}"

    @property
    def home(self) -> str:
        """The app's home folder on a machine: where Wolf keeps what this player's app writes."""
        return f"{STATE_ROOT}/{folder_of(self.user_id)}/{app_title(self.console, self.game_id)}"
