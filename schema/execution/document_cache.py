"""A cache of parsed documents."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, TypeVar

T = TypeVar("T")
# A parsed character takes up to 400 bytes: this is about 50 MB, ten times what graphql/operations/ needs.
_MAX_CHARACTERS: Final = 128 * 1024


class LRUCache(Generic[T]):
    """Values for the most recently used texts, up to a total number of characters."""

    def __init__(self, max_characters: int = _MAX_CHARACTERS) -> None:
        self._max_characters = max_characters
        self._made: OrderedDict[str, T] = OrderedDict()
        self.characters = 0

    def get(self, text: str) -> T | None:
        if text not in self._made:
            return None
        self._made.move_to_end(text)
        return self._made[text]

    def add(self, text: str, made: T) -> None:
        if text not in self._made:
            self.characters += len(text)
        self._made[text] = made
        while self.characters > self._max_characters:
            forgotten, _ = self._made.popitem(last=False)
            self.characters -= len(forgotten)
