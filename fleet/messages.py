"""Messages between workflows, activities and the machine service, and the commands that each VM status allows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from models.catalog import ConsoleType, PresetName
from models.vms import VmStatus
from providers.base import Offer

PAIRING_WINDOW: Final = timedelta(seconds=120)  # how long a PIN is handed over
AFTER_PAIRING_WINDOW: Final = timedelta(seconds=30)  # for the handshake of a device that asked in time


class SentAsArguments:
    """Marks a message that is sent as one argument for each field, as earlier builds understand it.

    If it has one field, that is no object. See docs/decisions/one-message-each.md.
    """

    __slots__ = ()


class Command(StrEnum):
    START = "START"
    STOP = "STOP"
    RESTART = "RESTART"
    DELETE = "DELETE"


class IncidentKind(StrEnum):
    """Results of a check that require action."""

    IDLE = "IDLE"  # no client connected for as long as the launch allows
    LIMIT = "LIMIT"  # the session limit is reached
    GONE = "GONE"  # the cloud no longer knows it
    STOPPED_OUTSIDE = "STOPPED_OUTSIDE"  # stopped by its host, its shutdown timer or an empty balance
    RUNS_OUTSIDE = "RUNS_OUTSIDE"  # recorded as stopped, but it runs and is billed
    RETENTION = "RETENTION"  # stopped for longer than stopped machines are kept
    PREEMPTED = "PREEMPTED"  # its cloud takes it within seconds
    MAINTENANCE = "MAINTENANCE"  # its cloud stops it soon, as announced an hour before
    INTERRUPTED = "INTERRUPTED"  # between two states, with no work in progress
    ENDED = "ENDED"  # its record was closed, as the sweeper does for machines that no cloud knows


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """A command with its reason, in words for the record.

    `replace`: if a start finds that the machine's hardware is gone, set up another machine with its game and saves.
    `until`: the caller waits no longer than that, and reports afterwards that nothing was done; None from earlier
    builds. `discard`: delete it even if it has the only copy of saves.
    """

    command: Command
    reason: str
    replace: bool = False
    until: datetime | None = None
    discard: bool = False


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Result of a command.

    `accepted` is False if the machine's `status` does not allow the command, or if it came too `late`; nothing was done
    then. `at` is Temporal's time of a late one.
    """

    accepted: bool
    status: VmStatus
    late: bool = False
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pin:
    """The PIN that the player's Moonlight shows, and the player. `until` as in `CommandRequest`."""

    pin: str
    user_id: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class PairingInput:
    """A pairing window of a VM, by its number. Its PIN is in the database alone."""

    vm_id: str
    number: str


@dataclass(frozen=True, slots=True)
class PairResult:
    """Result of pairing.

    `fault` is the name of our error, None if the device is paired; `message` is for the player.
    """

    fault: str | None
    message: str
    status: VmStatus


@dataclass(frozen=True, slots=True)
class Incident:
    """A finding that requires action.

    `detail` is for people. `billed`: it is off, and its hardware is still charged. `there_at`: when the cloud last knew
    it. `seen_at`: when the cloud reported the finding.
    """

    finding: IncidentKind
    detail: str
    billed: bool = False
    there_at: datetime | None = None
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Off:
    """A machine that is off.

    `billed`: its cloud reserves the hardware and continues to charge in full. `since`: when its cloud reported it as
    off.
    """

    billed: bool
    since: datetime


@dataclass(frozen=True, slots=True)
class MonitorState:
    """State kept from one check to the next.

    It has when the cloud last knew the machine, when its saves were last secured, how many consecutive checks got no
    response from the machine, and the counter of clients' packets. `unmeasured` counts consecutive checks that could
    not determine whether the machine is in use, including those without a response; `unmeasured_since` is the first of
    them. `finishes`: the workflow knows IncidentKind.INTERRUPTED, which those of earlier builds do not. `abandoned`:
    the run of the launch that was setting it up ended before it was done.
    """

    there_at: datetime | None = None
    cared_at: datetime | None = None
    silent: int = 0
    priced_at: datetime | None = None  # when its provider's price was last read
    unmeasured: int = 0
    unmeasured_since: datetime | None = None
    counter: str | None = None
    packets: int = 0
    finishes: bool = False
    abandoned: bool = False


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of a check.

    `seen` is None if nothing requires action; the next check is due after `again_s` seconds. `gives_notices`: the
    machine's cloud announces when it stops the machine.
    """

    seen: Incident | None
    memory: MonitorState
    again_s: float = 0.0
    gives_notices: bool = False


def launch_workflow_id(launch_id: str) -> str:
    """Return the id under which Temporal runs this launch's workflow."""
    return f"launch-{launch_id}"


def machine_workflow_id(vm_id: str) -> str:
    """Return the id under which Temporal runs this VM's workflow."""
    return f"machine-{vm_id}"


# Statuses in which a command has work to do, and in which it is already done. All others reject it.
ALLOWED_IN: Final = {
    Command.START: frozenset({VmStatus.STOPPED}),
    Command.STOP: frozenset({VmStatus.RUNNING}),
    Command.RESTART: frozenset({VmStatus.RUNNING}),
    # From STOPPING and STARTING too, when no work is in progress: a machine can always be ended.
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
    """Location of an offer, as written to the VM."""

    city: str
    region: str
    country: str
    country_code: str | None
    latitude: float | None
    longitude: float | None


@dataclass(frozen=True, slots=True)
class RentOrder:
    """Rent this offer for this launch as the VM `vm_id`.

    Repeated with another offer only if nothing was rented.
    """

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
    """A progress line of the activity with this name. `failed`: a try failed and is repeated."""

    activity: str
    line: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """A finished step; `message` is for the player."""

    message: str


@dataclass(frozen=True, slots=True)
class Released:
    """Result of a release. `gone`: the cloud confirmed the deletion; if False, the VM stays LOST, for the sweeper."""

    gone: bool
    message: str
