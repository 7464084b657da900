"""Where a token says which role its bearer has: a claim of any name or depth, in the identity provider's own words."""

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
    """The claim says a role that is none."""


@dataclass(frozen=True, slots=True)
class RoleClaim:
    """`path` is a claim's name, or names with dots between them for a claim inside others (`realm_access.roles`). A
    name may have dots itself (`https://example.com/roles`). `names` maps the provider's words to our roles.

    `lists`: the claim may be a list, whose other words do not count, because providers put roles of their own there.
    """

    path: str = "role"
    names: Mapping[str, Role] = field(default_factory=lambda: OUR_NAMES)
    lists: bool = False

    def role_in(self, claims: Mapping[str, Any]) -> Role:
        """Return the role; PLAYER where the claim is absent. Raises RoleError for a word that is no role."""
        found = next(_values(claims, self.path), _ABSENT)
        if found is _ABSENT:
            return Role.PLAYER
        if isinstance(found, str) and found in self.names:
            return self.names[found]
        if self.lists and isinstance(found, list):
            roles = {self.names[word] for word in found if isinstance(word, str) and word in self.names}
            return next((role for role in _STRONGEST_FIRST if role in roles), Role.PLAYER)
        raise RoleError(f"the claim {self.path} has no role that is known here")


def _values(claims: Mapping[str, Any], path: str) -> Iterator[Any]:
    """Yield what stands under the path, however its dots are read; the longest names first."""
    if path in claims:
        yield claims[path]
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        inner = claims.get(".".join(parts[:length]))
        if isinstance(inner, Mapping):
            yield from _values(inner, ".".join(parts[length:]))
