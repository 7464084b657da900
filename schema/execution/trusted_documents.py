"""Documents that clients may name by their SHA-256 instead of sending them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / "graphql" / "operations"


class TrustedDocuments:
    """Documents by the hash of their exact text. The set does not change while the service runs."""

    def __init__(self, texts: Iterable[str] = (), names: Mapping[str, str] | None = None) -> None:
        """`names` maps texts to names."""
        self._texts = {sha256_of(text): text for text in texts}
        self._names = dict(names or {})

    @classmethod
    def of_folder(cls, folder: Path = FOLDER) -> TrustedDocuments:
        """Load every file in graphql/operations/."""
        names = {file.read_text(encoding="utf-8"): file.stem for file in sorted(folder.glob("*.graphql"))}
        return cls(names, names)

    def get(self, sha256: str) -> str | None:
        return self._texts.get(sha256.lower())

    def name_of(self, text: str) -> str | None:
        """Return the name of a trusted document, or None for any other text."""
        return self._names.get(text)


def text_of(name: str) -> str:
    """Return the text of an operation in graphql/operations/, by its file name without the extension."""
    return (FOLDER / f"{name}.graphql").read_text(encoding="utf-8")


def sha256_of(text: str) -> str:
    """Return the SHA-256 of a text in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()
