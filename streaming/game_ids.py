"""Derives game ids from file names.

A name that matches the pattern of ids is its own id. Any other name is reduced to it: letters lose their accents and
become lower case, everything else becomes a hyphen. If two files would share an id, a name that is an id keeps it,
otherwise the older file in the bucket; the others get eight digits of their name's digest appended.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from streaming.name_checks import is_id

_LONGEST: Final = 100
_SUFFIX_DIGITS: Final = 8
_OTHERS: Final = re.compile(r"[^a-z0-9._-]+|-{2,}")
_WITHOUT_PARTS: Final = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "ß": "ss", "þ": "th"})


def ids_of(names: Sequence[str]) -> dict[str, str]:
    """Return an id for each of these names, which are ordered from oldest to newest."""
    taken = {name for name in names if is_id(name)}
    ids = {name: name for name in taken}
    for name in dict.fromkeys(names):
        if name in ids:
            continue
        game_id = derived_id(name)
        if game_id in taken:
            game_id = f"{game_id}-{hashlib.sha256(name.encode()).hexdigest()[:_SUFFIX_DIGITS]}"
        taken.add(game_id)
        ids[name] = game_id
    return ids


def derived_id(name: str) -> str:
    """Return the id that a name is reduced to, or a digest if no letter remains."""
    plain = unicodedata.normalize("NFKD", name.casefold().translate(_WITHOUT_PARTS))
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    reduced = _OTHERS.sub("-", _OTHERS.sub("-", letters))
    reduced = re.sub(r"-?\.-?", ".", reduced).strip("._-")[:_LONGEST].rstrip("._-")
    if len(re.sub(r"[^a-z]", "", reduced)) < 1 <= sum(letter.isalpha() for letter in name):
        return "-".join(filter(None, ("game", reduced, hashlib.sha256(name.encode()).hexdigest()[:_SUFFIX_DIGITS])))
    return reduced or f"game-{hashlib.sha256(name.encode()).hexdigest()[:_SUFFIX_DIGITS]}"
