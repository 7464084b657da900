"""Progress of a launch: numbered updates, and the function that writes them.

The workflow assigns the numbers, so that a repeated write repeats its event and adds none. The Launch document is
written before the event, so that a reader of an event finds the launch at least as far.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from errors import ConflictError
from models.database import Database, Document
from models.launches import (
    ENDED,
    MOVES,
    Attempt,
    Launch,
    LaunchEvent,
    LaunchStatus,
    LaunchStepName,
    StepStatus,
)
from providers.base import ProviderName

# The usual share of each step in a launch; they add up to one.
STEP_SHARES: Final = {
    LaunchStepName.CHOOSE_PLACEMENT: 0.02,
    LaunchStepName.CREATE_VM: 0.06,
    LaunchStepName.BOOT: 0.14,
    LaunchStepName.CONNECT: 0.04,
    LaunchStepName.INSTALL_STREAMING: 0.50,
    LaunchStepName.MOUNT_LIBRARY: 0.10,
    LaunchStepName.RESTORE_SAVES: 0.04,
    LaunchStepName.CONFIGURE_GAME: 0.05,
    LaunchStepName.VERIFY_STREAM: 0.05,
}
# At Google Cloud, CloudyPad also sets the machine up within the step that creates it.
_SHARES_AT_GOOGLE: Final = {
    **STEP_SHARES,
    LaunchStepName.CREATE_VM: 0.68,
    LaunchStepName.BOOT: 0.02,
    LaunchStepName.CONNECT: 0.02,
    LaunchStepName.INSTALL_STREAMING: 0.02,
}
# Usual duration of the long steps in seconds.
_USUAL_S: Final = {
    LaunchStepName.CREATE_VM: 30.0,
    LaunchStepName.BOOT: 90.0,
    LaunchStepName.INSTALL_STREAMING: 720.0,
    LaunchStepName.MOUNT_LIBRARY: 60.0,
}
_USUAL_S_AT_GOOGLE: Final = {**_USUAL_S, LaunchStepName.CREATE_VM: 960.0, LaunchStepName.INSTALL_STREAMING: 20.0}
_USUAL_S_OTHERWISE: Final = 30.0
_NEVER_MORE: Final = 0.95  # maximum share of a step that has not ended


@dataclass(frozen=True, slots=True)
class AttemptNote:
    """A site that was tried, and the outcome."""

    provider: ProviderName
    site_id: str
    started_at: datetime
    outcome: str


@dataclass(frozen=True, slots=True)
class ProgressUpdate:
    """One event.

    `begins` starts the step's clock, `attempt` records an attempt, `restart` resets the steps after the choice of a
    placement to PENDING.
    """

    launch_id: str
    sequence: int
    at: datetime
    status: LaunchStatus
    progress: float
    message: str
    step: LaunchStepName | None = None
    step_status: StepStatus | None = None
    begins: bool = False
    vm_id: str | None = None
    placed_with: ProviderName | None = None
    attempt: AttemptNote | None = None
    restart: bool = False
    failure: str | None = None
    trouble: str | None = None  # why a try failed and is repeated; empty when that is over


@dataclass(frozen=True, slots=True)
class WriteResult:
    """State of the record. `accepted` is False if the launch had moved on and the update was not written."""

    status: LaunchStatus
    accepted: bool


async def write(db: Database, note: ProgressUpdate) -> WriteResult:
    """Update the launch and add the event, once even if called repeatedly.

    An earlier cancel takes precedence: progress is then written under CANCELLING, and READY is not accepted.
    """
    launch = await db.update(Launch, _guard(note), _changes(note))
    if launch is None:
        launch = await db.get(Launch, note.launch_id)
        if launch is None:
            raise ConflictError(f"launch {note.launch_id} does not exist")
        if launch.last_sequence < note.sequence:
            return await _write_overtaken(db, note, launch.status)
    await _add_event(db, note, launch)
    return WriteResult(launch.status, accepted=True)


async def _write_overtaken(db: Database, note: ProgressUpdate, status: LaunchStatus) -> WriteResult:
    if status is not LaunchStatus.CANCELLING or note.status is not LaunchStatus.RUNNING:
        return WriteResult(status, accepted=False)
    launch = await db.update(
        Launch,
        {"_id": note.launch_id, "last_sequence": {"$lt": note.sequence}, "status": LaunchStatus.CANCELLING},
        _changes(note, LaunchStatus.CANCELLING),
    )
    if launch is not None:
        await _add_event(db, note, launch)
    return WriteResult(LaunchStatus.CANCELLING, accepted=launch is not None)


def _guard(note: ProgressUpdate) -> Document:
    origins = [origin for origin, targets in MOVES.items() if note.status in targets]
    return {
        "_id": note.launch_id,
        "last_sequence": {"$lt": note.sequence},
        "status": {"$in": [*origins, note.status] if note.status not in ENDED else origins},
    }


def _changes(note: ProgressUpdate, status: LaunchStatus | None = None) -> Document:
    values: Document = {
        "status": status or note.status,
        "progress": note.progress,
        "last_sequence": note.sequence,
    }
    values |= {
        name: value for name in ("vm_id", "placed_with", "failure") if (value := getattr(note, name)) is not None
    }
    if note.trouble is not None:
        values["trouble"] = note.trouble or None
    if note.status in ENDED:
        values["trouble"] = None
        values["ended_at"] = note.at
        values["estimated_ready_at"] = None
    if note.status is LaunchStatus.READY:
        values["ready_at"] = note.at
    values |= _reset_steps() if note.restart else {}
    values |= _step_values(note)
    changes: Document = {"$set": values}
    if note.attempt is not None:
        attempt = Attempt(**{name: getattr(note.attempt, name) for name in AttemptNote.__slots__})
        changes["$push"] = {"attempts": attempt.model_dump_doc()}
    return changes


def _step_values(note: ProgressUpdate) -> Document:
    if note.step is None or note.step_status is None:
        return {}
    key = f"steps.{list(LaunchStepName).index(note.step)}"
    values: Document = {f"{key}.status": note.step_status, f"{key}.detail": note.message}
    if note.begins:
        values[f"{key}.started_at"] = note.at
    if note.step_status in {StepStatus.DONE, StepStatus.FAILED, StepStatus.SKIPPED}:
        values[f"{key}.finished_at"] = note.at
    return values


def _reset_steps() -> Document:
    """Return the steps after the choice of a placement in their initial state."""
    values: Document = {}
    for index, _ in list(enumerate(LaunchStepName))[1:]:
        values[f"steps.{index}.status"] = StepStatus.PENDING
        values |= {f"steps.{index}.{name}": None for name in ("started_at", "finished_at", "detail")}
    return values


async def _add_event(db: Database, note: ProgressUpdate, launch: Launch) -> None:
    event = LaunchEvent(
        id=f"{note.launch_id}:{note.sequence}",
        launch_id=note.launch_id,
        sequence=note.sequence,
        at=note.at,
        status=LaunchStatus.CANCELLING if launch.status is LaunchStatus.CANCELLING else note.status,
        step=note.step,
        step_status=note.step_status,
        progress=note.progress,
        message=_message_for(note, launch),
    )
    try:
        await db.insert(event)
    except ConflictError:
        return  # already written: this is a repetition


def _message_for(note: ProgressUpdate, launch: Launch) -> str:
    """Return the message; for a cancel that was not the player's, with its reason."""
    if note.status in {LaunchStatus.CANCELLING, LaunchStatus.CANCELLED} and launch.failure is not None:
        return f"{launch.failure}. {note.message}"
    return note.message


def shares_at(provider: ProviderName | None) -> Mapping[LaunchStepName, float]:
    """Return the usual share of each step in a launch on this cloud."""
    return _SHARES_AT_GOOGLE if provider is ProviderName.CLOUDYPAD else STEP_SHARES


def expected_share(step: LaunchStepName, elapsed_s: float, provider: ProviderName | None) -> float:
    """Return the usual progress of a step, from 0 to 0.95, after so many seconds."""
    usual = _USUAL_S_AT_GOOGLE if provider is ProviderName.CLOUDYPAD else _USUAL_S
    return min(_NEVER_MORE, max(0.0, elapsed_s) / usual.get(step, _USUAL_S_OTHERWISE))
