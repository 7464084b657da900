"""Callers. A Caller exists only after its credentials were verified."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from errors import InvalidInputError
from models.golden_images import BUILDER
from models.roles import Role

__all__ = ["API_KEY_CALLER_PREFIX", "Caller", "Role", "is_user_id", "validate_user_id"]

# User ids of identity providers: `auth0|5f7c8ec7`, `f:4a1c:name` (Keycloak), digits, e-mail addresses. Printable ASCII
# without spaces, quotation marks, brackets, semicolons and backslashes. An id is never used directly as the name of a
# file, a container or an object: streaming.name_checks.folder_of encodes it, and no two ids share a name.
_USER_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._|:@+=/,!#$%&'*?^`{}~-]{0,254}", re.ASCII)
_ALLOWED: Final = (
    "a user id is 1 to 255 letters, digits and signs of ._-|:@+=/,!#$%&'*?^`{}~ and begins with a letter, a digit or "
    f"an underscore; {BUILDER} and what begins with gamer: or address: are reserved"
)

# Names of the service's own parts in the audit log, and of addresses for rate limits.
_RESERVED_PREFIXES: Final = ("gamer:", "address:")
_RESERVED: Final = frozenset({BUILDER})

# The prefix names callers with an API key. No token may claim such a name.
API_KEY_CALLER_PREFIX: Final = "key-"


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller. The credentials expire at `expires_at`, if set."""

    id: str
    role: Role
    expires_at: datetime | None = None

    def can_act_for(self, user_id: str) -> bool:
        """Return whether this caller may read and change objects of `user_id`. A player may only for itself."""
        return self.role is not Role.PLAYER or self.id == user_id


def is_user_id(text: str) -> bool:
    """Return whether an identity provider may use this text as a user id."""
    if text in _RESERVED or text.startswith(_RESERVED_PREFIXES):
        return False
    return _USER_ID.fullmatch(text) is not None


def validate_user_id(text: str, path: Sequence[str] = ()) -> str:
    """Return the text if it can be a user id; raise InvalidInputError otherwise."""
    if not is_user_id(text):
        raise InvalidInputError(_ALLOWED, path)
    return text
