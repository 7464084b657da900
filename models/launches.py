"""A launch: a player's request to play, from the request to READY, and its numbered events."""

from __future__ import annotations

import secrets
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from odmantic import EmbeddedModel, Field, Index, Model
from pymongo import ASCENDING, IndexModel

from models.catalog import ConsoleType
from models.launch_times import PlayablePromise
from providers.base import ProviderName, SiteId


class LaunchStatus(StrEnum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    READY = "READY"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"  # the cloud confirmed that nothing remains
    FAILED = "FAILED"


class LaunchStepName(StrEnum):
    CHOOSE_PLACEMENT = "CHOOSE_PLACEMENT"
    CREATE_VM = "CREATE_VM"
    BOOT = "BOOT"
    CONNECT = "CONNECT"
    INSTALL_STREAMING = "INSTALL_STREAMING"
    MOUNT_LIBRARY = "MOUNT_LIBRARY"
    RESTORE_SAVES = "RESTORE_SAVES"
    CONFIGURE_GAME = "CONFIGURE_GAME"
    VERIFY_STREAM = "VERIFY_STREAM"


class StepStatus(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"


MOVES: Final[dict[LaunchStatus, set[LaunchStatus]]] = {
    LaunchStatus.QUEUED: {LaunchStatus.RUNNING, LaunchStatus.CANCELLING, LaunchStatus.CANCELLED, LaunchStatus.FAILED},
    LaunchStatus.RUNNING: {LaunchStatus.READY, LaunchStatus.CANCELLING, LaunchStatus.FAILED},
    LaunchStatus.CANCELLING: {LaunchStatus.CANCELLED, LaunchStatus.FAILED},
    LaunchStatus.READY: set(),
    LaunchStatus.CANCELLED: set(),
    LaunchStatus.FAILED: set(),
}
ENDED: Final = frozenset({LaunchStatus.READY, LaunchStatus.CANCELLED, LaunchStatus.FAILED})
OPEN: Final = frozenset(LaunchStatus) - ENDED


class Step(EmbeddedModel):
    name: LaunchStepName
    status: StepStatus = StepStatus.PENDING
    started_at: datetime | None = None
    finished_at: datetime | None = None
    detail: str | None = None


class Attempt(EmbeddedModel):
    """One site that was tried, and the outcome in words for the player."""

    provider: ProviderName
    site_id: str
    started_at: datetime
    outcome: str


class MeasuredRtt(EmbeddedModel):
    """A round trip that the player measured to a site before the request."""

    provider: ProviderName
    site_id: str
    rtt_ms: float


class Launch(Model):
    """A request to play and its progress. The machine's own state is in the VM."""

    id: str = Field(primary_field=True)
    caller_id: str  # who requested it; unique together with the idempotency key
    idempotency_key: str  # the caller's, or a generated one
    user_id: str  # the player
    console: ConsoleType
    game_id: str | None = None
    save_id: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    measured_rtts: list[MeasuredRtt] = []
    provider: ProviderName | None = None  # if set, only this one is tried
    requested_vm_id: str | None = None
    replaces_vm_id: str | None = None  # the machine that lost its hardware, which is not tried again
    max_usd_per_hour: Decimal | None = None  # limit of the placement's price
    idle_stop_minutes: int
    max_session_hours: float
    status: LaunchStatus = LaunchStatus.QUEUED
    progress: float = 0.0
    steps: list[Step] = Field(default_factory=list)
    attempts: list[Attempt] = Field(default_factory=list)
    last_sequence: int = 0
    vm_id: str | None = None
    placed_with: ProviderName | None = None  # the cloud that it runs on
    requested_at: datetime
    ready_at: datetime | None = None
    ended_at: datetime | None = None
    estimated_ready_at: datetime | None = None
    failure: str | None = None  # also the reason if the service cancelled it
    warning: str | None = None  # what will end it soon
    trouble: str | None = None  # why the running step failed and is being repeated
    promises: list[PlayablePromise] = []  # one, or none where nothing was known
    under_way: str | None = None  # unique among running launches; an ended launch may still have it
    play_at: datetime | None = None  # planned play: the machine is kept until then, and its session begins then
    warm_vm_id: str | None = None  # the VM that it took from the warm pool
    takes_no_warm: bool = False  # it ended or gave up while it was taking one
    shared: bool = False  # returned to a second request, so the request that created it must not undo it
    changed_at: datetime | None = None  # when it was last written; the database sets it

    model_config = {
        "collection": "launches",
        "indexes": lambda: [
            Index(Launch.caller_id, Launch.idempotency_key, name="launch_once", unique=True),
            Index(Launch.user_id, Launch.requested_at, name="launches_of_user"),
            Index(Launch.status, Launch.requested_at, name="launches_by_status"),
            Index(Launch.requested_at, name="launches_by_age"),
            Index(Launch.changed_at, name="launches_by_change"),
            IndexModel(
                [("under_way", ASCENDING)],
                name="launch_under_way_once",
                unique=True,
                partialFilterExpression={"under_way": {"$type": "string"}},
            ),
        ],
    }

    @property
    def promise(self) -> PlayablePromise | None:
        """Return when the game was promised to be playable, from the request on."""
        return self.promises[0] if self.promises else None

    @property
    def measured(self) -> dict[tuple[ProviderName, SiteId], float]:
        """Return the player's own round trips in milliseconds by site."""
        return {(each.provider, SiteId(each.site_id)): each.rtt_ms for each in self.measured_rtts}

    @property
    def warnings(self) -> str | None:
        """Return everything the player should know now as one text."""
        told = [text for text in (self.warning, self.trouble) if text is not None]
        return ". ".join(told) or None


class LaunchEvent(Model):
    """One event of a launch. `sequence` counts 1, 2, 3, ... without gaps."""

    id: str = Field(primary_field=True)  # "<launch>:<sequence>"
    launch_id: str
    sequence: int
    at: datetime
    status: LaunchStatus
    step: LaunchStepName | None = None
    step_status: StepStatus | None = None
    progress: float
    message: str

    model_config = {
        "collection": "launch_events",
        "indexes": lambda: [Index(LaunchEvent.launch_id, LaunchEvent.sequence, name="event_once", unique=True)],
    }


def new_id() -> str:
    """Return an id for a launch or a VM: 18 decimal digits, because CloudyPad's names allow nothing else in a group."""
    return str(secrets.randbelow(9 * 10**17) + 10**17)
