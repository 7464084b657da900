"""State that outlives a kill: one JSON file, replaced in one step."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson


class DamagedStateError(Exception):
    """The file is not what was saved. The message names it."""


class StateFile:
    """A document on disk. A kill while it is written leaves the earlier document whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Mapping[str, Any] | None:
        """Return the document that was saved last; None when there is none. Raises DamagedStateError."""
        try:
            document: Mapping[str, Any] = orjson.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise DamagedStateError(f"{self._path} is damaged: remove it to begin anew") from error
        return document

    def save(self, document: Mapping[str, Any]) -> None:
        """Save a document of JSON's types, dataclasses, times, and amounts of money, which become texts."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        # Machines' first-boot scripts can carry keys: this user's eyes only.
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(orjson.dumps(document, default=_as_text, option=orjson.OPT_NON_STR_KEYS))
        draft.replace(self._path)


def _as_text(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(type(value).__name__)
