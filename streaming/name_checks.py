"""Validates names before they become paths, titles or container names on a machine.

Emulator images paste such names into their own shell lines; these narrow patterns keep that harmless.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from errors import InvalidInputError
from models.catalog import ConsoleType

_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_PLAIN_USER: Final = re.compile(r"(?!u-)[a-z0-9][a-z0-9_-]{0,63}")
_IMAGE: Final = re.compile(r"[a-z0-9][a-zA-Z0-9._/:@-]{0,254}")
_ROM: Final = re.compile(r"[a-z0-9]{1,16}/[a-z0-9][a-z0-9._-]{0,127}\.[a-z0-9]{1,8}")
_PLATFORM: Final = re.compile(r"[a-z0-9]{1,16}")
_NAME_BYTES: Final = 250
_PIN: Final = re.compile(r"[0-9]{4,8}")


def is_id(text: str) -> bool:
    """Return whether this can be the id of a game or of a save."""
    return _ID.fullmatch(text) is not None


def validate_id(text: str) -> str:
    """Return the text if it is an id; raise InvalidInputError otherwise."""
    return _validate(_ID, text, "an id")


def validate_image(text: str) -> str:
    """Return the text if it is the name of a container image; raise InvalidInputError otherwise."""
    return _validate(_IMAGE, text, "the name of a container image")


def is_plain_rom(text: str) -> bool:
    """Return whether a game's path in the library is safe to paste: its platform's folder and its file."""
    return _ROM.fullmatch(text) is not None


def validate_rom(text: str) -> str:
    """Return the path of a game inside the library, with any file name.

    Such a path is data only: it appears in no command and no configuration.
    """
    platform, _, file = text.partition("/")
    if not _PLATFORM.fullmatch(platform) or not is_file_name(file):
        raise InvalidInputError(f"{text[:40]!r} is not the path of a game")
    return text


def is_file_name(text: str) -> bool:
    """Return whether this can be a file name: no folders, no control characters, not too long for a disk."""
    harmless = text.isprintable() and "/" not in text and text not in ("", ".", "..")
    return harmless and len(text.encode(errors="replace")) <= _NAME_BYTES


def validate_pin(text: str) -> str:
    """Return the text if it is a PIN; raise InvalidInputError otherwise."""
    return _validate(_PIN, text, "a PIN of digits")


def folder_of(user_id: str) -> str:
    """Return the user's folder name on machines and in the bucket. Ids that are unsuitable become a digest."""
    if _PLAIN_USER.fullmatch(user_id):
        return user_id
    return f"u-{hashlib.sha256(user_id.encode()).hexdigest()[:40]}"


def app_title(console: ConsoleType, game_id: str | None) -> str:
    """Return the title in Moonlight, which is also Wolf's folder for the app's files: one per game and console."""
    return console.value if game_id is None else f"{console.value}-{validate_id(game_id)}"


def _validate(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise InvalidInputError(f"{text[:40]!r} is not {what}")
    return text
