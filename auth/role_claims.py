"""Reads a role from a token: a claim of any name or depth, in the identity provider's own terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from models.roles import Role

OUR_NAMES: Final[Mapping[str, Role]] = MappingProxyType({role.value.lower(): role for role in Role})
_ABSENT: Final = object()
_STRONGEST_FIRST: Final = (Role.OPERATOR, Role.SERVICE, Role.PLAYER)


class RoleError(ValueError):
    """The claim contains an unknown role."""


@dataclass(frozen=True, slots=True)
class RoleClaim:
    """Where a token has the role, and how its values map to ours.

    `path` is a claim's name, or several names joined by dots for a nested claim (`realm_access.roles`). A name may
    contain dots itself (`https://example.com/roles`). `names` maps the provider's terms to our roles. With `lists`, the
    claim may be a list; unknown entries are ignored, because providers put their own roles there.
    """

    path: str = "role"
    names: Mapping[str, Role] = field(default_factory=lambda: OUR_NAMES)
    lists: bool = False

    def role_in(self, claims: Mapping[str, Any]) -> Role:
        """Return the role, or PLAYER if the claim is absent. Raises RoleError for an unknown role."""
        found = next(_values(claims, self.path), _ABSENT)
        if found is _ABSENT:
            return Role.PLAYER
        if isinstance(found, str) and found in self.names:
            return self.names[found]
        if self.lists and isinstance(found, list):
            roles = {self.names[word] for word in found if isinstance(word, str) and word in self.names}
            return next((role for role in _STRONGEST_FIRST if role in roles), Role.PLAYER)
        raise RoleError(f"the claim {self.path} contains no known role")


def _values(claims: Mapping[str, Any], path: str) -> Iterator[Any]:
    """Yield the values under the path, for every reading of its dots, the longest names first."""
    if path in claims:
        yield claims[path]
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        inner = claims.get(".".join(parts[:length]))
        if isinstance(inner, Mapping):
            yield from _values(inner, ".".join(parts[length:]))
