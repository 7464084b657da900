"""The images of all registries, and the digests of their tags.

Every tag of every repository exists until it is taken away. A tag that moves points to another digest from then on; the
earlier one stays, as it does at real registries.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

DEFAULT_HOST = "docker.io"
DEFAULT_TAG = "latest"


@dataclass(frozen=True, slots=True)
class ImageName:
    """`repository` with its registry's host in front; `reference` is a tag, or a digest."""

    repository: str
    reference: str

    @classmethod
    def read(cls, text: str) -> ImageName:
        """Parse a name. With a tag and a digest the digest counts, as Docker reads it."""
        name, _, digest = text.partition("@")
        first, slash, _ = name.partition("/")
        if not slash or not ("." in first or ":" in first or first == "localhost"):
            name = f"{DEFAULT_HOST}/{name if slash else f'library/{name}'}"
        path, colon, tag = name.rpartition(":")
        repository, tag = (path, tag) if colon and "/" not in tag else (name, "")
        return cls(repository, digest or tag or DEFAULT_TAG)

    @property
    def is_digest(self) -> bool:
        return self.reference.startswith("sha256:")

    def __str__(self) -> str:
        return f"{self.repository}{'@' if self.is_digest else ':'}{self.reference}"


class ImageCatalog:
    """The images of all registries, shared by the registry's API and the machines that pull."""

    def __init__(self) -> None:
        self._moves: dict[ImageName, int] = {}
        self._missing: set[str] = set()

    def digest(self, name: ImageName) -> str | None:
        """Return the digest of a name; None when there is no such image."""
        if name.repository in self._missing or str(name) in self._missing:
            return None
        if name.is_digest:
            return name.reference
        text = f"{name} moved {self._moves.get(name, 0)} times"
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    def move(self, name: ImageName) -> str | None:
        """Have the tag point to another image, as a new release does."""
        self._moves[name] = self._moves.get(name, 0) + 1
        return self.digest(name)

    def set_missing(self, text: str, *, missing: bool) -> None:
        """Take a repository or one image of it away, or bring it back."""
        (self._missing.add if missing else self._missing.discard)(text)
