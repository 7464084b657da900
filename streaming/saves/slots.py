"""Locations of saves: in the bucket by user, console, game and save; on a machine in the app's home folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from models.catalog import ConsoleType
from streaming.name_checks import app_title, folder_of, is_id, validate_id

DEFAULT_SAVE: Final = "main"
STATE_ROOT: Final = "/var/lib/cloudypad/wolf"
_NO_GAME: Final = "_"  # no game id begins with it


@dataclass(frozen=True, slots=True)
class SaveSlot:
    """One line of progress of a player in a game. `game_id` is None for play without a named game."""

    user_id: str
    console: ConsoleType
    game_id: str | None
    save_id: str = DEFAULT_SAVE

    @property
    def prefix(self) -> str:
        """Return the slot's folder in the bucket."""
        game = _NO_GAME if self.game_id is None else validate_id(self.game_id)
        return f"{user_prefix(self.user_id)}/{self.console.value}/{game}/{validate_id(self.save_id)}"

    @property
    def home(self) -> str:
        """Return the app's home folder on a machine, where Wolf stores what this player's app writes."""
        return f"{STATE_ROOT}/{folder_of(self.user_id)}/{app_title(self.console, self.game_id)}"

    @property
    def key(self) -> str:
        """Return the slot's name among all slots, for ids. The user comes last, because its id may contain slashes."""
        return f"{self.console.value}/{self.game_id or _NO_GAME}/{self.save_id}/{self.user_id}"


def parse_slot_key(key: str) -> SaveSlot | None:
    """Return the slot of a key, or None for an invalid key."""
    console, game, save, user_id = [*key.split("/", 3), "", "", ""][:4]
    return parse_slot(user_id, console, game, save)


def parse_slot(user_id: str, console: str, game: str, save: str) -> SaveSlot | None:
    """Return the slot of the bucket's folder names, or None for invalid names."""
    if console not in set(ConsoleType) or not user_id or not is_id(save) or not (game == _NO_GAME or is_id(game)):
        return None
    return SaveSlot(user_id, ConsoleType(console), None if game == _NO_GAME else game, save)


def user_prefix(user_id: str) -> str:
    """Return the folder of all slots of a user in the bucket."""
    return f"saves/users/{folder_of(user_id)}"
