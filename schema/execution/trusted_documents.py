"""The documents that clients may name by their SHA-256 instead of sending them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / "graphql" / "operations"


class TrustedDocuments:
    """Known by the hash of their exact text. Nothing is added while the service runs."""

    def __init__(self, texts: Iterable[str] = (), names: Mapping[str, str] | None = None) -> None:
        """`names` are those of texts."""
        self._texts = {sha256_of(text): text for text in texts}
        self._names = dict(names or {})

    @classmethod
    def of_folder(cls, folder: Path = FOLDER) -> TrustedDocuments:
        """Every file in graphql/operations/."""
        names = {file.read_text(encoding="utf-8"): file.stem for file in sorted(folder.glob("*.graphql"))}
        return cls(names, names)

    def get(self, sha256: str) -> str | None:
        return self._texts.get(sha256.lower())

    def name_of(self, text: str) -> str | None:
        """Of a trusted document; None for any other text."""
        return self._names.get(text)


def text_of(name: str) -> str:
    """Of the file of this name, without its ending, in graphql/operations/."""
    return (FOLDER / f"{name}.graphql").read_text(encoding="utf-8")


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
