"""Machines of the warm pool: rented and set up before a launch needs them, then kept off until one takes them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from odmantic import Field, Index, Model

from models.catalog import ConsoleType, PresetName
from models.usage import WARM_USER
from models.vms import VmPlace
from providers.base import ProviderName

POOL_ID: Final = "pool"


class WarmStatus(StrEnum):
    PREPARING = "PREPARING"  # being rented and set up
    READY = "READY"  # set up, and off at its cloud
    TAKEN = "TAKEN"  # a VM has its id, tag and machine; it never returns to the pool
    RELEASING = "RELEASING"  # being deleted at its cloud
    RELEASED = "RELEASED"  # the cloud confirmed that nothing remains


OPEN: Final = frozenset({WarmStatus.PREPARING, WarmStatus.READY, WarmStatus.RELEASING})


class WarmMachine(Model):
    """A machine of the pool. `id` is also the id of the VM that it becomes, so that its tag names both."""

    id: str = Field(primary_field=True)
    tag: str
    status: WarmStatus = WarmStatus.PREPARING
    provider: ProviderName
    provider_id: str | None = None
    preset: PresetName
    console: ConsoleType  # the one that the setup of its preset was chosen for
    vcpus: int
    ram_gb: int
    storage_gb: int
    gpu_model: str | None = None
    place: VmPlace = VmPlace()
    ip_address: str | None = None
    ports: dict[str, int] = Field(default_factory=dict)
    ssh_user: str = "user"
    ssh_host_key: str | None = None
    usd_per_hour: Decimal  # while it is on, without traffic
    usd_per_hour_stopped: Decimal
    usd_per_hour_egress: Decimal = Decimal(0)  # is added when a player uses it
    order_turn: int = 0  # of the newest rent attempt, which alone may order
    ordered_at: datetime | None = None  # intent: written right before an order is sent
    order_refused: bool = False
    created_at: datetime
    prepare_until: datetime  # it is released if it is not ready by then
    ready_at: datetime | None = None
    there_at: datetime | None = None  # when its cloud last had it, while it is READY; a few minutes old
    taken_at: datetime | None = None
    launch_id: str | None = None  # the launch that took it
    going_since: datetime | None = None  # when its deletion was requested
    released_at: datetime | None = None
    detail: str | None = None  # why it left the pool

    model_config = {
        "collection": "warm_machines",
        "indexes": lambda: [
            Index(WarmMachine.status, WarmMachine.created_at, name="warm_machines_by_status"),
            Index(WarmMachine.created_at, name="warm_machines_by_age"),
            Index(WarmMachine.launch_id, name="warm_machines_of_launch"),
        ],
    }

    @property
    def user_id(self) -> str:
        """Return the user of its usage, which no player can be."""
        return WARM_USER


class WarmPool(Model):
    """The settings of the pool. `revision` changes with every decision that costs money, so that two never add up."""

    id: str = Field(primary_field=True)
    ceiling_usd_per_day: Decimal = Decimal(0)  # 0: the pool is off
    revision: int = 0

    model_config = {"collection": "warm_pool"}
