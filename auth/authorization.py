"""Access rules: one table of fields and roles, written to docs/access.md by `python -m auth.authorization`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from auth.callers import Caller, Role, validate_user_id
from errors import ForbiddenError


class Scope(StrEnum):
    """The objects that a role can reach through a field."""

    SHARED = "shared"  # owned by no user: the same result for all
    OWN = "own"  # only the caller's own; an object of another user looks as if it did not exist
    ANY = "any"  # objects of every user


@dataclass(frozen=True, slots=True)
class Rule:
    """The roles that may use a field, each with its scope. Other roles may not."""

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

# Fields of the three roots as `Type.field`, and the types that `node` may return by name.
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
        "Query.rttProbes": SHARED,
        "Query.vm": OWNED,
        "Query.vms": OWNED,
        "Query.pairing": OWNED,
        "Query.launch": OWNED,
        "Query.launches": OWNED,
        "Query.scheduledLaunches": OWNED,
        "Query.saves": OWNED,
        "Query.costEstimate": SHARED,
        "Query.costReport": OWNED,
        "Query.playerCostReport": OWNED,
        "Query.receipts": OWNED,
        "Query.costComparison": OPERATORS,
        "Query.currentMonthCosts": OWNED,
        "Query.spendingLimits": OWNED,
        "Query.spendingAlerts": OWNED,
        "Query.apiKeys": OPERATORS,
        "Query.auditLog": OPERATORS,
        "Query.sweeps": OPERATORS,
        "Query.operatorAlerts": OPERATORS,
        "Query.emulatorImages": OPERATORS,
        "Query.launchTimes": OPERATORS,
        "Query.skippedLibraryFiles": OPERATORS,
        "Query.warmPool": OPERATORS,
        "Mutation.launchGame": OWNED,
        "Mutation.cancelLaunch": OWNED,
        "Mutation.scheduleLaunch": OWNED,
        "Mutation.cancelScheduledLaunch": OWNED,
        "Mutation.createVm": OWNED,
        "Mutation.startVm": OWNED,
        "Mutation.stopVm": OWNED,
        "Mutation.restartVm": OWNED,
        "Mutation.deleteVm": OWNED,
        "Mutation.deleteVmWithoutSaves": OWNED,
        "Mutation.pairClient": OWNED,
        "Mutation.startPairing": OWNED,
        "Mutation.restoreSave": OWNED,
        "Mutation.keepSave": OWNED,
        "Mutation.renameSave": OWNED,
        "Mutation.deleteSave": OWNED,
        "Mutation.undeleteSave": OWNED,
        "Mutation.downloadSave": OWNED,
        "Mutation.configureConsole": OPERATORS,
        "Mutation.refreshEmulatorImages": OPERATORS,
        "Mutation.setSpendingLimit": OPERATORS,
        "Mutation.removeSpendingLimit": OPERATORS,
        "Mutation.setWarmPool": OPERATORS,
        "Mutation.createApiKey": OPERATORS,
        "Mutation.revokeApiKey": OPERATORS,
        "Subscription.launchProgress": OWNED,
        "Subscription.vmStatus": OWNED,
        "Subscription.vmChanges": OWNED,
        "Subscription.launchChanges": OWNED,
        "Subscription.spendingAlerts": OWNED,
        "Subscription.operatorAlerts": OPERATORS,
        "Route.exportCosts": OPERATORS,  # GET /exports/costs
        "Route.metrics": STAFF,  # GET /metrics, where it is not public
        "ApiKey": OPERATORS,
        "AuditEntry": OPERATORS,
        "Console": SHARED,
        "Game": SHARED,
        "Hostnode": SHARED,
        "Launch": OWNED,
        "Region": SHARED,
        "SaveSlot": OWNED,
        "SaveVersion": OWNED,
        "ScheduledLaunch": OWNED,
        "VM": OWNED,
    }
)


def require(caller: Caller, name: str) -> Scope:
    """Return the caller's scope for a field (`Query.vm`) or a type that `node` found (`VM`).

    Raises ForbiddenError if the role may not use it or the table does not list it.
    """
    rule = RULES.get(name)
    scope = rule.scope(caller.role) if rule else None
    if scope is None:
        raise ForbiddenError(f"the role {caller.role} may not use {name}")
    return scope


def resolve_user(caller: Caller, user_id: str | None) -> str:
    """Return the user an order is for: `user_id`, or else the caller.

    Raises ForbiddenError if a player names another user.
    """
    if user_id is None:
        return caller.id
    return _check_may_act_for(caller, user_id)


def owner_filter(caller: Caller, user_id: str | None) -> str | None:
    """Return the user that a list is limited to; None for all users, which no player gets.

    Raises as `resolve_user` does.
    """
    if user_id is None:
        return None if caller.role is not Role.PLAYER else caller.id
    return _check_may_act_for(caller, user_id)


def missing_rules(names: Iterable[str]) -> list[str]:
    """Return the fields and types that the table lacks."""
    return sorted(name for name in names if name not in RULES)


def render_table() -> str:
    """Return the table as Markdown."""
    roles = (Role.PLAYER, Role.SERVICE, Role.OPERATOR)
    lines = [_HEAD]
    for name, rule in RULES.items():
        scopes = " | ".join(rule.scope(role) or "no" for role in roles)
        lines.append(f"| `{name}` | {scopes} |")
    return "\n".join(lines) + "\n"


def _check_may_act_for(caller: Caller, user_id: str) -> str:
    validate_user_id(user_id, ("userId",))
    if not caller.can_act_for(user_id):
        raise ForbiddenError("a player may act only for itself")
    return user_id


_HEAD: Final = """# Access

Generated by `python -m auth.authorization`; a test checks that it is current.

- **shared**: owned by no user, with the same response for all callers.
- **own**: only the caller's own objects; those of other users look as if they did not exist.
- **any**: objects of all users.
- **no**: refused with `FORBIDDEN`.

Names without a dot are types: objects that `node` finds follow the rule of their type.

| | PLAYER | SERVICE | OPERATOR |
|---|---|---|---|"""


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "docs/access.md").write_text(render_table(), encoding="utf-8")
