"""What a sweep finds and what it may do about it, before anything is done: verdicts, and the brake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

from models.vms import Vm
from providers.base import Machine, ProviderName
from providers.tags import parse_tag

_ALWAYS_ALLOWED: Final = 3
_SHARE: Final = 10  # one of so many may be deleted in a sweep
OLDER: Final = "no record of it, and it is older than what this database knows"
UNSAVED: Final = "what was saved on it last is on its disk alone"
UNMANAGED: Final = "at its cloud, and CloudyPad's state of it is lost"
STRANGE: Final = "what the sweeper noted of it cannot be read by this version"
MANY: Final = "the sweep would delete {count} of {total} machines"


class Verdict(StrEnum):
    SPARE = "SPARE"  # no live record, but not seen for long enough
    DELETE = "DELETE"  # at the cloud, and no live record needs it
    HOLD = "HOLD"  # as DELETE, but it waits for an operator
    LOSE = "LOSE"  # on record, and unknown to the cloud: it stops costing
    RESTART = "RESTART"  # on record, and no workflow ran for it: it has got one again
    ADOPT = "ADOPT"  # it gets a record again, because an operator said so
    FOREIGN = "FOREIGN"  # of another installation: never touched


@dataclass(frozen=True, slots=True)
class Action:
    """One difference between a cloud and our records, and what is done about it."""

    verdict: Verdict
    provider: ProviderName
    machine_id: str
    tag: str
    vm_id: str | None
    reason: str
    done: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A machine that no live record needs, with its record if it has one. `repeats`: its deletion was decided before,
    so that it is no decision of this sweep."""

    machine: Machine
    vm: Vm | None
    action: Action
    repeats: bool = False

    def held(self, reason: str) -> Found:
        return replace(self, action=replace(self.action, verdict=Verdict.HOLD, reason=reason))


class Inventory(Protocol):
    """What a cloud has of us without the tool that made it knowing: after its state was lost with the database."""

    @property
    def name(self) -> ProviderName: ...

    async def unmanaged(self) -> Sequence[Machine]:
        """Return the machines that carry our label or name and that cannot be managed from here."""
        ...


def is_foreign(machine: Machine, deployment: str, vm: Vm | None) -> bool:
    """Return whether a machine belongs to another installation. Names of former versions, which do not say whose they
    are, are ours with a record alone."""
    parts = parse_tag(machine.tag)
    if parts is None or parts.deployment is None:
        return vm is None
    return parts.deployment != deployment


def braked(found: Sequence[Found], total: int) -> list[Found]:
    """Hold all deletions of one sweep when they are too many of the `total` machines that are ours."""
    deletions = [each for each in found if each.action.verdict is Verdict.DELETE and not each.repeats]
    if len(deletions) <= max(_ALWAYS_ALLOWED, total // _SHARE):
        return list(found)
    too_many = {(each.action.provider, each.machine.id) for each in deletions}
    reason = MANY.format(count=len(deletions), total=total)
    return [
        each.held(f"{each.action.reason}; {reason}") if (each.action.provider, each.machine.id) in too_many else each
        for each in found
    ]


def reason_to_hold(machine: Machine, vm: Vm | None, *, predates: bool) -> str | None:
    """Return why a machine is not deleted without an operator, however few there are; None when it may be."""
    if vm is None:
        return OLDER if predates else None
    # A deletion that its workflow decided: its saves are safe, or their loss is accepted.
    if vm.saves_pending and vm.provider_id == machine.id and not vm.is_deletion_decided:
        return UNSAVED
    return None
