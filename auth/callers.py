"""Who is asking. A Caller exists only when its credentials were checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from errors import InvalidInputError
from models.roles import Role

__all__ = ["API_KEY_CALLER_PREFIX", "Caller", "Role", "checked_user_id", "is_user_id"]

# What identity providers call their users: `auth0|5f7c8ec7`, `f:4a1c:name` (Keycloak), digits, e-mail addresses.
# Printable ASCII without spaces, quotation marks, brackets, semicolons and backslashes. An id is no name of a file, a
# container or an object as it is: streaming.names.folder_of encodes it, and no two ids get one name.
_USER_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._|:@+=/,!#$%&'*?^`{}~-]{0,254}", re.ASCII)
_ALLOWED: Final = (
    "a user id is 1 to 255 letters, digits and signs of ._-|:@+=/,!#$%&'*?^`{}~ and begins with a letter, a digit or "
    "an underscore"
)

# Names of the service's own parts in the audit log, and of addresses where requests are counted.
_RESERVED: Final = ("gamer:", "address:")

# Callers with an API key are called by it. No token may claim such a name.
API_KEY_CALLER_PREFIX: Final = "key-"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whose credentials were checked. They are no longer good at `expires_at`, when that is set."""

    id: str
    role: Role
    expires_at: datetime | None = None

    def may_act_for(self, user_id: str) -> bool:
        """Whether this caller may see and touch what belongs to `user_id`. A player may only for itself."""
        return self.role is not Role.PLAYER or self.id == user_id


def is_user_id(text: str) -> bool:
    """Return whether an identity provider may call a user so."""
    return _USER_ID.fullmatch(text) is not None and not text.startswith(_RESERVED)


def checked_user_id(text: str, path: Sequence[str] = ()) -> str:
    """The same text. Raises InvalidInputError when it cannot be anybody's id."""
    if not is_user_id(text):
        raise InvalidInputError(_ALLOWED, path)
    return text
