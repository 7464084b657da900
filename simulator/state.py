"""What must outlive a kill: one JSON file, replaced in one step."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class DamagedStateError(Exception):
    """The file is not what was saved. It names the file."""


class StateFile:
    """A document on disk. Whoever dies while writing leaves the earlier document, whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Mapping[str, Any] | None:
        """The document saved last; None when there is none yet. Raises DamagedStateError."""
        try:
            document: Mapping[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise DamagedStateError(f"{self._path} is damaged: remove it to begin anew") from error
        return document

    def save(self, document: Mapping[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        # Machines' first-boot scripts can carry keys: this user's eyes only.
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(document, file, ensure_ascii=False)
        draft.replace(self._path)
