"""Verdicts of a sweep on each machine before anything is done, and the brake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

from models.vms import Vm
from providers.base import Machine, ProviderName
from providers.tags import parse_tag

_ALWAYS_ALLOWED: Final = 3
_SHARE: Final = 10  # maximum share of machines deleted in a sweep: one of so many
OLDER: Final = "no record of it, and it is older than this database's knowledge"
TAKEN: Final = "a launch took it from the warm pool, and its record as a VM is lost"
UNSAVED: Final = "its latest saves exist on its disk alone"
UNMANAGED: Final = "it exists at its cloud, but CloudyPad's state of it is lost"
STRANGE: Final = "this version cannot read the sweeper's record of it"
MANY: Final = "the sweep would delete {count} of {total} machines"


class Verdict(StrEnum):
    SPARE = "SPARE"  # without a live record, but not seen for long enough
    DELETE = "DELETE"  # exists at the cloud, and no live record needs it
    HOLD = "HOLD"  # as DELETE, but it waits for an operator
    LOSE = "LOSE"  # on record, but unknown to the cloud: it stops costing
    RESTART = "RESTART"  # on record without a workflow: its workflow was started
    ADOPT = "ADOPT"  # gets a record, because an operator requested it
    FOREIGN = "FOREIGN"  # of another installation: never touched


@dataclass(frozen=True, slots=True)
class Action:
    """One difference between a cloud and our records, and the action taken."""

    verdict: Verdict
    provider: ProviderName
    machine_id: str
    tag: str
    vm_id: str | None
    reason: str
    done: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A machine that no live record needs, with its record if it has one.

    `repeats`: its deletion was already decided, so this sweep does not decide it.
    """

    machine: Machine
    vm: Vm | None
    action: Action
    repeats: bool = False

    def hold(self, reason: str) -> Found:
        return replace(self, action=replace(self.action, verdict=Verdict.HOLD, reason=reason))


class Inventory(Protocol):
    """Lists our machines at a cloud that the managing tool does not know, because its state was lost."""

    @property
    def name(self) -> ProviderName: ...

    async def unmanaged(self) -> Sequence[Machine]:
        """Return the machines with our label or name that cannot be managed from here."""
        ...


def is_foreign(machine: Machine, deployment: str, vm: Vm | None) -> bool:
    """Return whether a machine belongs to another installation.

    Names from former versions do not name the installation; such machines are ours only with a record.
    """
    parts = parse_tag(machine.tag)
    if parts is None or parts.deployment is None:
        return vm is None
    return parts.deployment != deployment


def apply_brake(found: Sequence[Found], total: int) -> list[Found]:
    """Hold all deletions of one sweep if they are too many of our `total` machines."""
    deletions = [each for each in found if each.action.verdict is Verdict.DELETE and not each.repeats]
    if len(deletions) <= max(_ALWAYS_ALLOWED, total // _SHARE):
        return list(found)
    too_many = {(each.action.provider, each.machine.id) for each in deletions}
    reason = MANY.format(count=len(deletions), total=total)
    return [
        each.hold(f"{each.action.reason}; {reason}") if (each.action.provider, each.machine.id) in too_many else each
        for each in found
    ]


def reason_to_hold(machine: Machine, vm: Vm | None, *, predates: bool, taken: bool = False) -> str | None:
    """Return why a machine must not be deleted without an operator; None if it may be."""
    if vm is None and taken:
        return TAKEN
    if vm is None:
        return OLDER if predates else None
    # A deletion that its workflow decided: its saves are safe, or their loss is accepted.
    if vm.saves_pending and vm.provider_id == machine.id and not vm.is_deletion_decided:
        return UNSAVED
    return None
