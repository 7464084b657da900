"""Messages between workflows, activities and the machine service, and what each VM status answers to a command."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from models.catalog import ConsoleType, PresetName
from models.vms import VmStatus
from providers.base import Offer


class Command(StrEnum):
    START = "START"
    STOP = "STOP"
    RESTART = "RESTART"
    DELETE = "DELETE"


class IncidentKind(StrEnum):
    """What looking at a machine can come to, where something must be done."""

    IDLE = "IDLE"  # nobody streamed for as long as the launch allowed
    LIMIT = "LIMIT"  # the session limit is reached
    GONE = "GONE"  # the cloud does not know it any more
    STOPPED_OUTSIDE = "STOPPED_OUTSIDE"  # its host, its dead-man timer or an empty balance stopped it
    RUNS_OUTSIDE = "RUNS_OUTSIDE"  # it is ours as stopped, but runs and is billed
    RETENTION = "RETENTION"  # it was stopped for longer than stopped machines are kept
    INTERRUPTED = "INTERRUPTED"  # it is between two states, and nothing is being done about it
    ENDED = "ENDED"  # its record was closed, as the sweeper does with what no cloud knows


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """A command, and why, in words for the record. `replace`: when a start finds the machine's hardware given away,
    have another machine set up with its game and saves. `until`: whoever asked waits no longer than that, and is told
    that nothing is done afterwards; None of earlier builds. `discard`: delete it although saves are on it alone."""

    command: Command
    reason: str
    replace: bool = False
    until: datetime | None = None
    discard: bool = False


@dataclass(frozen=True, slots=True)
class CommandResult:
    """`accepted` is False when the machine's `status` does not allow the command, or when it came too `late`; nothing
    was done then. `at` is Temporal's time of a late one."""

    accepted: bool
    status: VmStatus
    late: bool = False
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pin:
    """What the player's Moonlight shows, and whose device it is. `until` as of `ReportQuery`."""

    pin: str
    user_id: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class PairResult:
    """`fault` is the name of our error and None when the device is paired; `message` is for the player."""

    fault: str | None
    message: str
    status: VmStatus


@dataclass(frozen=True, slots=True)
class Incident:
    """What a look found that must be acted on. `detail` is for people; `billed`: it is off, and its hardware is still
    charged; `there_at`: when the cloud still knew it; `seen_at`: when it said what was found."""

    finding: IncidentKind
    detail: str
    billed: bool = False
    there_at: datetime | None = None
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Off:
    """`billed`: its cloud keeps the hardware for it, and goes on charging in full. `since`: when its cloud said that it
    is off."""

    billed: bool
    since: datetime


@dataclass(frozen=True, slots=True)
class MonitorState:
    """What one look leaves for the next: when the cloud knew the machine last, when its saves were looked after, to how
    many looks in a row the machine itself gave no answer, and the counter of what clients send.

    `unmeasured` counts looks in a row that could not say whether the machine is played on, `unmeasured_since` is the
    first of them: those without an answer are among them. `finishes`: the workflow knows Finding.INTERRUPTED, which
    those of earlier builds do not. `abandoned`: the run of the launch that was setting it up has ended without it.
    """

    there_at: datetime | None = None
    cared_at: datetime | None = None
    silent: int = 0
    priced_at: datetime | None = None  # when its provider was last asked what it charges
    unmeasured: int = 0
    unmeasured_since: datetime | None = None
    counter: str | None = None
    packets: int = 0
    finishes: bool = False
    abandoned: bool = False


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`seen` is None where all is as it should be; the next look is due after `again_s` seconds then."""

    seen: Incident | None
    memory: MonitorState
    again_s: float = 0.0


def launch_workflow_id(launch_id: str) -> str:
    """Return the id under which Temporal runs this launch's workflow."""
    return f"launch-{launch_id}"


def machine_workflow_id(vm_id: str) -> str:
    """Return the id under which Temporal runs this VM's workflow."""
    return f"machine-{vm_id}"


# In which statuses a command has work to do, and in which it is done already. Everywhere else it is refused.
ALLOWED_IN: Final = {
    Command.START: frozenset({VmStatus.STOPPED}),
    Command.STOP: frozenset({VmStatus.RUNNING}),
    Command.RESTART: frozenset({VmStatus.RUNNING}),
    # From STOPPING and STARTING too, once nothing is being done: a machine can always be ended.
    Command.DELETE: frozenset(
        {VmStatus.RUNNING, VmStatus.STOPPED, VmStatus.LOST, VmStatus.STOPPING, VmStatus.STARTING}
    ),
}
NO_OP_IN: Final = {
    Command.START: frozenset({VmStatus.RUNNING, VmStatus.STARTING}),
    Command.STOP: frozenset({VmStatus.STOPPED, VmStatus.STOPPING}),
    Command.RESTART: frozenset({VmStatus.STARTING}),
    Command.DELETE: frozenset({VmStatus.DELETING, VmStatus.DELETED}),
}


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """Where an offer stands, as it will be written on the VM."""

    city: str
    region: str
    country: str
    country_code: str | None
    latitude: float | None
    longitude: float | None


@dataclass(frozen=True, slots=True)
class RentOrder:
    """Rent this offer for this launch as the VM `vm_id`; repeated with another offer only when nothing was rented."""

    vm_id: str
    launch_id: str
    user_id: str
    console: ConsoleType
    preset: PresetName
    game_id: str | None
    offer: Offer
    site: SiteFacts
    idle_stop_minutes: int
    max_session_hours: float


@dataclass(frozen=True, slots=True)
class ActivityNote:
    """A line about work in progress, from the activity of this name. `failed`: a try failed and is repeated."""

    activity: str
    line: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """A step's work is done; `message` says so to the player."""

    message: str


@dataclass(frozen=True, slots=True)
class Released:
    """`gone` is the cloud's word that nothing is left; False leaves the VM LOST, for the sweeper."""

    gone: bool
    message: str
