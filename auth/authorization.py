"""Who may call what: one table, printed into docs/access.md by `python -m auth.authorization`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from auth.callers import Caller, Role, checked_user_id
from errors import ForbiddenError


class Scope(StrEnum):
    """Whose things a role reaches through a field."""

    SHARED = "shared"  # belongs to nobody: the same answer for all
    OWN = "own"  # only the caller's; what is somebody else's answers as if it did not exist
    ANY = "any"  # everybody's


@dataclass(frozen=True, slots=True)
class Rule:
    """The roles that may use a field, each with its scope. A role that is not named may not."""

    scopes: Mapping[Role, Scope] = field(hash=False)

    def scope(self, role: Role) -> Scope | None:
        return self.scopes.get(role)


def _rule(player: Scope | None, service: Scope | None, operator: Scope) -> Rule:
    scopes = {Role.PLAYER: player, Role.SERVICE: service, Role.OPERATOR: operator}
    return Rule(MappingProxyType({role: scope for role, scope in scopes.items() if scope is not None}))


SHARED: Final = _rule(Scope.SHARED, Scope.SHARED, Scope.SHARED)
OWNED: Final = _rule(Scope.OWN, Scope.ANY, Scope.ANY)
OPERATORS: Final = _rule(None, None, Scope.ANY)
STAFF: Final = _rule(None, Scope.ANY, Scope.ANY)

# Fields of the three roots by `Type.field`; and by name the types that `node` may answer with.
RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "Query.node": SHARED,  # what it finds follows the rule of its type, below
        "Query.viewer": SHARED,
        "Query.service": SHARED,
        "Query.consoles": SHARED,
        "Query.console": SHARED,
        "Query.games": SHARED,
        "Query.providers": SHARED,
        "Query.hostnodes": SHARED,
        "Query.regions": SHARED,
        "Query.locations": SHARED,
        "Query.closestHostnodes": SHARED,
        "Query.closestRegions": SHARED,
        "Query.placements": SHARED,
        "Query.vm": OWNED,
        "Query.vms": OWNED,
        "Query.launch": OWNED,
        "Query.launches": OWNED,
        "Query.costEstimate": SHARED,
        "Query.costReport": OWNED,
        "Query.costComparison": OPERATORS,
        "Query.currentMonthCosts": OWNED,
        "Query.spendingLimits": OWNED,
        "Query.spendingAlerts": OWNED,
        "Query.auditLog": OPERATORS,
        "Query.operatorAlerts": OPERATORS,
        "Query.skippedLibraryFiles": OPERATORS,
        "Mutation.launchGame": OWNED,
        "Mutation.cancelLaunch": OWNED,
        "Mutation.createVm": OWNED,
        "Mutation.startVm": OWNED,
        "Mutation.stopVm": OWNED,
        "Mutation.restartVm": OWNED,
        "Mutation.deleteVm": OWNED,
        "Mutation.deleteVmWithoutSaves": OWNED,
        "Mutation.pairClient": OWNED,
        "Mutation.configureConsole": OPERATORS,
        "Mutation.setSpendingLimit": OPERATORS,
        "Mutation.removeSpendingLimit": OPERATORS,
        "Mutation.createApiKey": OPERATORS,
        "Mutation.revokeApiKey": OPERATORS,
        "Subscription.launchProgress": OWNED,
        "Subscription.vmStatus": OWNED,
        "Subscription.spendingAlerts": OWNED,
        "Subscription.operatorAlerts": OPERATORS,
        "Route.exportCosts": OPERATORS,  # GET /exports/costs
        "Route.metrics": STAFF,  # GET /metrics, where not everybody may
        "ApiKey": OPERATORS,
        "AuditEntry": OPERATORS,
        "Console": SHARED,
        "Game": SHARED,
        "Hostnode": SHARED,
        "Launch": OWNED,
        "Region": SHARED,
        "VM": OWNED,
    }
)


def require(caller: Caller, name: str) -> Scope:
    """The caller's scope in a field (`Query.vm`) or a type that `node` found (`VM`).

    Raises ForbiddenError when its role may not use it, and for whatever the table does not name.
    """
    rule = RULES.get(name)
    scope = rule.scope(caller.role) if rule else None
    if scope is None:
        raise ForbiddenError(f"the role {caller.role} may not use {name}")
    return scope


def acting_for(caller: Caller, user_id: str | None) -> str:
    """The user an order is for: the one it names, else the caller. ForbiddenError when a player names another."""
    if user_id is None:
        return caller.id
    return _permitted(caller, user_id)


def owner_filter(caller: Caller, user_id: str | None) -> str | None:
    """Whose things a list shows: one user's, or everybody's for None, which no player gets. Raises as `acting_for`."""
    if user_id is None:
        return None if caller.role is not Role.PLAYER else caller.id
    return _permitted(caller, user_id)


def without_rule(names: Iterable[str]) -> list[str]:
    """Those of these fields and types that the table forgot."""
    return sorted(name for name in names if name not in RULES)


def table() -> str:
    """The table as Markdown."""
    roles = (Role.PLAYER, Role.SERVICE, Role.OPERATOR)
    lines = [_HEAD]
    for name, rule in RULES.items():
        scopes = " | ".join(rule.scope(role) or "no" for role in roles)
        lines.append(f"| `{name}` | {scopes} |")
    return "\n".join(lines) + "\n"


def _permitted(caller: Caller, user_id: str) -> str:
    checked_user_id(user_id, ("userId",))
    if not caller.may_act_for(user_id):
        raise ForbiddenError("a player may only act for itself")
    return user_id


_HEAD: Final = """# Who may call what

Made by `python -m auth.access`; a test keeps it true.

- **shared**: belongs to nobody, the same answer for all.
- **own**: only what is the caller's; somebody else's answers exactly as if it did not exist.
- **any**: everybody's.
- **no**: refused with `FORBIDDEN`.

Names without a dot are types: what `node` finds follows the rule of its type.

| | PLAYER | SERVICE | OPERATOR |
|---|---|---|---|"""


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "docs/access.md").write_text(table(), encoding="utf-8")
