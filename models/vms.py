"""A VM: the record of a rented machine, its user and its assumed state, with the legal status changes."""

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
    DELETED = "DELETED"  # confirmed by the cloud, not only requested
    FAILED = "FAILED"  # nothing was ever rented for it
    LOST = "LOST"  # its deletion is unconfirmed, or the cloud lost it: the sweeper handles it until it is settled


class Notice(StrEnum):
    """What its cloud has announced about a machine."""

    NONE = "NONE"
    MAINTENANCE = "MAINTENANCE"  # it is stopped within the hour
    PREEMPTED = "PREEMPTED"  # it is taken within 30 seconds


_ALIVE = {VmStatus.PROVISIONING, VmStatus.RUNNING, VmStatus.STOPPING, VmStatus.STOPPED, VmStatus.STARTING}
MOVES: Final[dict[VmStatus, set[VmStatus]]] = {
    VmStatus.PROVISIONING: {VmStatus.RUNNING, VmStatus.DELETING, VmStatus.FAILED, VmStatus.LOST},
    VmStatus.RUNNING: {VmStatus.STOPPING, VmStatus.STOPPED, VmStatus.STARTING, VmStatus.DELETING, VmStatus.LOST},
    VmStatus.STOPPING: {VmStatus.STOPPED, VmStatus.RUNNING, VmStatus.DELETING, VmStatus.LOST},
    # Directly to RUNNING if it was started at the cloud.
    VmStatus.STOPPED: {VmStatus.STARTING, VmStatus.RUNNING, VmStatus.DELETING, VmStatus.LOST},
    VmStatus.STARTING: {VmStatus.RUNNING, VmStatus.STOPPED, VmStatus.DELETING, VmStatus.LOST},
    # Back to its former status if its saves could not be secured.
    VmStatus.DELETING: {VmStatus.DELETED, VmStatus.FAILED, VmStatus.LOST, VmStatus.RUNNING, VmStatus.STOPPED},
    VmStatus.LOST: {VmStatus.DELETING, VmStatus.DELETED},
    VmStatus.DELETED: set(),
    VmStatus.FAILED: set(),
}
ENDED: Final = frozenset({VmStatus.DELETED, VmStatus.FAILED})


class VmPlace(EmbeddedModel):
    """Location of a machine: the host's words, and geocoded coordinates if known (degrees, WGS 84)."""

    site_id: str = ""
    city: str = ""
    region: str = ""
    country: str = ""
    country_code: str | None = None
    latitude: float | None = None
    longitude: float | None = None


class Vm(Model):
    """One rented machine.

    `id` is ours, `tag` its name at the cloud, and `provider_id` the cloud's own id.
    """

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
    ports: dict[str, int] = Field(default_factory=dict)  # internal to external, where the cloud forwards ports
    ssh_user: str = "user"
    ssh_host_key: str | None = None  # pinned at the first connection, in OpenSSH public key format
    paired: bool = False
    usd_per_hour: Decimal  # the provider's current price
    usd_per_hour_offered: Decimal | None = None  # the price that was ordered
    usd_per_hour_stopped: Decimal = Decimal(0)
    usd_per_hour_egress: Decimal = Decimal(0)  # the part of `usd_per_hour` that estimates its traffic
    idle_stop_minutes: int
    max_session_hours: float
    order_turn: int = 0  # of the newest rent attempt, which alone may order; later attempts have larger numbers
    ordered_at: datetime | None = None  # intent: written right before an order is sent, while its outcome is unknown
    order_refused: bool = False  # the cloud rejected that order, so nothing of it can appear later
    created_at: datetime
    started_at: datetime | None = None
    start_asked_at: datetime | None = None  # intent: written right before its start is requested
    stopped_at: datetime | None = None
    deleted_at: datetime | None = None
    deletion_decided_at: datetime | None = None  # its saves are safe or their loss is accepted: the deletion is final
    going_since: datetime | None = None  # when its deletion was requested: it is billed until then, once it is gone
    last_activity_at: datetime | None = None
    planned_for: datetime | None = None  # planned play: it is not idle before this time
    stops_at: datetime | None = None
    game_launch_id: str | None = None  # the launch with the game and saves that are on it now
    saved_at: datetime | None = None  # when its saves were last uploaded
    saves_pending: bool = False  # it may have saves that exist nowhere else
    billed_in_full: bool = False  # off, but its cloud reserves the hardware and bills it
    warning: str | None = None  # what the player should know now, besides the warnings below
    stop_warning: str | None = None  # an imminent stop
    health_warning: str | None = None  # it does not respond, its use cannot be measured, or its account is running out
    library_warning: str | None = None  # a running game has lost access to the library
    price_warning: str | None = None  # it costs more than offered or than its player allowed
    saves_warning: str | None = None  # the fate of the saves; kept until they are safe
    notice: Notice = Notice.NONE
    announced_stop_at: datetime | None = None  # when its cloud stops it for maintenance
    replacement_launch_id: str | None = None  # the launch that moves its game to another machine
    detail: str | None = None
    changed_at: datetime | None = None  # when it was last written; the database sets it

    model_config = {
        "collection": "vms",
        "indexes": lambda: [
            Index(Vm.tag, name="vm_tag", unique=True),
            Index(Vm.user_id, Vm.created_at, name="vms_of_user"),
            Index(Vm.status, Vm.created_at, name="vms_by_status"),
            Index(Vm.launch_id, name="vms_of_launch"),
            Index(Vm.created_at, name="vms_by_age"),
            Index(Vm.changed_at, name="vms_by_change"),
        ],
    }

    @property
    def warnings(self) -> str | None:
        """Return everything the player should know now as one text."""
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
    def is_deletion_decided(self) -> bool:
        """Return whether the deletion is final. Earlier builds recorded only when it was requested."""
        return self.deletion_decided_at is not None or self.going_since is not None

    def port(self, internal: int) -> int:
        """Return the external port of an internal port."""
        return self.ports.get(str(internal), internal)


async def move_vm(db: Database, vm_id: str, to: VmStatus, changes: Document | None = None) -> Vm:
    """Change a VM's status along MOVES in one guarded write, together with further fields.

    A VM that already has the status only gets the fields, so that a repeated activity repeats its write. Ended VMs lose
    their scheduled stop and its warnings. Raises ConflictError if the change is not legal.
    """
    over: Document = (
        {"stops_at": None, "stop_warning": None, "health_warning": None, "library_warning": None} if to in ENDED else {}
    )
    origins = [origin for origin, targets in MOVES.items() if to in targets]
    moved = await db.update(
        Vm, {"_id": vm_id, "status": {"$in": [*origins, to]}}, {"$set": {"status": to, **over, **(changes or {})}}
    )
    if moved is None:
        raise ConflictError(f"VM {vm_id} cannot change to {to}")
    return moved
