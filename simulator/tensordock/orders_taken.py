"""The record of every order that this cloud took, to compare bills with."""

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
    # What an hour cost, from when, and whether the hardware was "reserved" or "released" then.
    prices: list[dict[str, str]] = field(default_factory=list)

    def note_price(self, since: datetime, usd_per_hour: Decimal, *, released: bool = False) -> None:
        """Note a price unless it is the one that was noted last."""
        noted = {"usd_per_hour": str(usd_per_hour), "hardware": "released" if released else "reserved"}
        if not self.prices or noted.items() - self.prices[-1].items():
            self.prices.append({"from": since.isoformat(), **noted})


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
