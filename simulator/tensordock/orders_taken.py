"""Every order this cloud ever took, whatever became of its machine: what a judge compares with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from simulator.tensordock.instances import Instance


@dataclass(slots=True)
class OrderTaken:
    number: int
    at: str
    instance_id: str
    name: str
    hostnode_id: str
    usd_per_hour: str
    foreign: bool
    ended_at: str | None = None
    ended_by: str | None = None
    billed_usd: str | None = None
    prices: list[dict[str, str]] = field(default_factory=list)  # what an hour cost, and from when

    def note_price(self, since: datetime, usd_per_hour: Decimal) -> None:
        """Only a change of it is noted."""
        if not self.prices or Decimal(self.prices[-1]["usd_per_hour"]) != usd_per_hour:
            self.prices.append({"from": since.isoformat(), "usd_per_hour": str(usd_per_hour)})


def order_taken(instance: Instance) -> OrderTaken:
    order = OrderTaken(
        number=instance.number,
        at=instance.created_at.isoformat(),
        instance_id=instance.id,
        name=instance.name,
        hostnode_id=instance.hostnode_id,
        usd_per_hour=str(instance.usd_per_hour),
        foreign=instance.foreign,
    )
    order.note_price(instance.billed_until, instance.usd_per_hour_now)
    return order
