"""A VM: what we rented, for whom, and what we believe of it. Its legal moves stand beside it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from odmantic import EmbeddedModel, Field, Index, Model

from errors import ConflictError
from models.catalog import ConsoleType, PresetName
from models.database import Database, Document
from providers.base import ProviderName


class VmStatus(StrEnum):
    PROVISIONING = "PROVISIONING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    STARTING = "STARTING"
    DELETING = "DELETING"
    DELETED = "DELETED"  # the cloud said so, not that we asked
    FAILED = "FAILED"  # nothing was ever rented for it
    LOST = "LOST"  # we cannot say that it is gone, or the cloud lost it: the sweeper's until it is settled


_ALIVE = {VmStatus.PROVISIONING, VmStatus.RUNNING, VmStatus.STOPPING, VmStatus.STOPPED, VmStatus.STARTING}
MOVES: Final[dict[VmStatus, set[VmStatus]]] = {
    VmStatus.PROVISIONING: {VmStatus.RUNNING, VmStatus.DELETING, VmStatus.FAILED, VmStatus.LOST},
    VmStatus.RUNNING: {VmStatus.STOPPING, VmStatus.STOPPED, VmStatus.STARTING, VmStatus.DELETING, VmStatus.LOST},
    VmStatus.STOPPING: {VmStatus.STOPPED, VmStatus.RUNNING, VmStatus.DELETING, VmStatus.LOST},
    # Straight to RUNNING when somebody started it at the cloud.
    VmStatus.STOPPED: {VmStatus.STARTING, VmStatus.RUNNING, VmStatus.DELETING, VmStatus.LOST},
    VmStatus.STARTING: {VmStatus.RUNNING, VmStatus.STOPPED, VmStatus.DELETING, VmStatus.LOST},
    # Back to where it was when its saves could not be brought to safety.
    VmStatus.DELETING: {VmStatus.DELETED, VmStatus.FAILED, VmStatus.LOST, VmStatus.RUNNING, VmStatus.STOPPED},
    VmStatus.LOST: {VmStatus.DELETING, VmStatus.DELETED},
    VmStatus.DELETED: set(),
    VmStatus.FAILED: set(),
}
ENDED: Final = frozenset({VmStatus.DELETED, VmStatus.FAILED})


class VmPlace(EmbeddedModel):
    """Where it stands: the host's words, and our geocoding of them where there is one (degrees, WGS 84)."""

    site_id: str = ""
    city: str = ""
    region: str = ""
    country: str = ""
    country_code: str | None = None
    latitude: float | None = None
    longitude: float | None = None


class Vm(Model):
    """One rented machine. `id` is ours; `tag` is its name at the cloud; `provider_id` the cloud's own id."""

    id: str = Field(primary_field=True)
    tag: str
    provider: ProviderName
    provider_id: str | None = None
    status: VmStatus = VmStatus.PROVISIONING
    user_id: str
    launch_id: str  # the launch that rented it
    console: ConsoleType
    game_id: str | None = None
    preset: PresetName
    vcpus: int
    ram_gb: int
    storage_gb: int
    gpu_model: str | None = None
    place: VmPlace = VmPlace()
    ip_address: str | None = None
    ports: dict[str, int] = Field(default_factory=dict)  # internal to external, where the cloud forwards
    ssh_user: str = "user"
    ssh_host_key: str | None = None  # pinned at the first connection, OpenSSH public key format
    paired: bool = False
    usd_per_hour: Decimal  # what its provider says that it charges
    usd_per_hour_offered: Decimal | None = None  # what was ordered
    usd_per_hour_stopped: Decimal = Decimal(0)
    usd_per_hour_egress: Decimal = Decimal(0)  # the part of `usd_per_hour` that is an estimate of its traffic
    idle_stop_minutes: int
    max_session_hours: float
    order_turn: int = 0  # of the newest attempt to rent it, which alone may order; later attempts have greater ones
    ordered_at: datetime | None = None  # intent: written right before an order leaves, while nobody knows its outcome
    order_refused: bool = False  # the cloud said no to that order, so that nothing of it can turn up later
    created_at: datetime
    started_at: datetime | None = None
    start_asked_at: datetime | None = None  # intent: written right before its cloud is asked to turn it on
    stopped_at: datetime | None = None
    deleted_at: datetime | None = None
    deletion_decided_at: datetime | None = None  # its saves are safe, or their loss is accepted: it goes, come what may
    going_since: datetime | None = None  # its cloud was asked to delete it then: it costs until then, once it is gone
    last_activity_at: datetime | None = None
    stops_at: datetime | None = None
    game_launch_id: str | None = None  # the launch whose game, and whose saves, are on it now
    saved_at: datetime | None = None  # when its saves were last brought to safety
    saves_pending: bool = False  # it may hold saves that are nowhere else
    billed_in_full: bool = False  # off, but its cloud keeps the hardware for it, and charges
    warning: str | None = None  # what the player should know now and is not said by those below
    stop_warning: str | None = None  # a stop that is near
    health_warning: str | None = None  # it does not answer, its use cannot be measured, or its account runs dry
    library_warning: str | None = None  # a running game has lost its view of the library
    price_warning: str | None = None  # it costs more than was offered, or than its player allowed
    saves_warning: str | None = None  # what became of the saves; stays until they are well
    replacement_launch_id: str | None = None  # the launch that carries its game over to another machine
    detail: str | None = None

    model_config = {
        "collection": "vms",
        "indexes": lambda: [
            Index(Vm.tag, name="vm_tag", unique=True),
            Index(Vm.user_id, Vm.created_at, name="vms_of_user"),
            Index(Vm.status, Vm.created_at, name="vms_by_status"),
            Index(Vm.launch_id, name="vms_of_launch"),
            Index(Vm.created_at, name="vms_by_age"),
        ],
    }

    @property
    def warnings(self) -> str | None:
        """Everything the player should know now, in one text."""
        told = [
            text
            for text in (
                *(self.saves_warning, self.stop_warning, self.library_warning),
                *(self.health_warning, self.price_warning, self.warning),
            )
            if text is not None
        ]
        return ". ".join(told) or None

    @property
    def deletion_is_decided(self) -> bool:
        """Whether it was decided before that the machine goes. Earlier builds noted only when its cloud was asked."""
        return self.deletion_decided_at is not None or self.going_since is not None

    def port(self, internal: int) -> int:
        """The port under which an internal port is reached from outside."""
        return self.ports.get(str(internal), internal)


async def move_vm(db: Database, vm_id: str, to: VmStatus, changes: Document | None = None) -> Vm:
    """One guarded write along MOVES, with further fields. A VM that is already there is only given the fields,
    so that a repeated activity repeats its write. What has ended has no end before it. ConflictError when the move
    is not legal."""
    over: Document = (
        {"stops_at": None, "stop_warning": None, "health_warning": None, "library_warning": None} if to in ENDED else {}
    )
    origins = [origin for origin, targets in MOVES.items() if to in targets]
    moved = await db.update(
        Vm, {"_id": vm_id, "status": {"$in": [*origins, to]}}, {"$set": {"status": to, **over, **(changes or {})}}
    )
    if moved is None:
        raise ConflictError(f"VM {vm_id} cannot become {to}")
    return moved
