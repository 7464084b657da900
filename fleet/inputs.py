"""Inputs of the activities and workflows of machines and alerts, one for each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fleet.messages import MonitorState, Pin, SentAsArguments
from models.vms import VmStatus


@dataclass(frozen=True, slots=True)
class VmRef(SentAsArguments):
    """The VM that an activity works on."""

    vm_id: str


@dataclass(frozen=True, slots=True)
class MachineInput(SentAsArguments):
    """Input of a MachineWorkflow. `memory` is what an earlier run of the VM's workflow passes on."""

    vm_id: str
    memory: MonitorState | None = None


@dataclass(frozen=True, slots=True)
class CheckInput(SentAsArguments):
    """Check this VM, with the state kept from its last check."""

    vm_id: str
    memory: MonitorState


@dataclass(frozen=True, slots=True)
class StatusChange(SentAsArguments):
    """A VM's new status with its reason, in words for the record.

    `billed`: it is off, and costs as much as when it is on. `found`: the cause if no command requested it, for the
    audit log. `since`: since when the cloud reports the status.
    """

    vm_id: str
    status: VmStatus
    reason: str
    billed: bool = False
    found: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class SavesWarning(SentAsArguments):
    """Why a VM's saves need attention."""

    vm_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Replacement(SentAsArguments):
    """Replace this VM by another one. The same `key` requests the same launch."""

    vm_id: str
    key: str


@dataclass(frozen=True, slots=True)
class PairDevice(SentAsArguments):
    """Pair the device that shows this PIN with this VM."""

    vm_id: str
    pin: Pin


@dataclass(frozen=True, slots=True)
class LostMachine(SentAsArguments):
    """A VM whose machine its cloud no longer knows. `there_at`: when the cloud last knew it."""

    vm_id: str
    detail: str
    there_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AlertRef(SentAsArguments):
    """The alert to deliver."""

    alert_id: str
