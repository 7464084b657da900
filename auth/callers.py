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

# User ids become folder names of saves and labels of machines: nothing in them may mean something to a shell or a path.
_USER_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)

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
    return _USER_ID.fullmatch(text) is not None


def checked_user_id(text: str, path: Sequence[str] = ()) -> str:
    """The same text. Raises InvalidInputError when it cannot be anybody's id."""
    if not is_user_id(text):
        raise InvalidInputError("a user id is 1 to 128 letters, digits, dots, underscores and dashes", path)
    return text
