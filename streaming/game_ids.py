"""Ids of games from the names of their files.

A name that follows the pattern of ids already is its own id. Any other is reduced to it: letters lose their accents and
become small, everything else becomes a hyphen. Of two files that would have one id, a name that is an id keeps it, then
the file that is in the bucket for longer; the others get eight digits of their name's digest behind it.
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
    """Return an id for each of these names, which come in the order of their age, the oldest first."""
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
    """Return the id that a name is reduced to; of a name without any such letter a digest."""
    plain = unicodedata.normalize("NFKD", name.casefold().translate(_WITHOUT_PARTS))
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    reduced = _OTHERS.sub("-", _OTHERS.sub("-", letters))
    reduced = re.sub(r"-?\.-?", ".", reduced).strip("._-")[:_LONGEST].rstrip("._-")
    if len(re.sub(r"[^a-z]", "", reduced)) < 1 <= sum(letter.isalpha() for letter in name):
        return "-".join(filter(None, ("game", reduced, hashlib.sha256(name.encode()).hexdigest()[:_SUFFIX_DIGITS])))
    return reduced or f"game-{hashlib.sha256(name.encode()).hexdigest()[:_SUFFIX_DIGITS]}"
