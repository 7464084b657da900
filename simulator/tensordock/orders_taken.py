"""Every order this cloud ever took, whatever became of its machine: what a judge compares with."""

from __future__ import annotations

from dataclasses import dataclass

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


def order_taken(instance: Instance) -> OrderTaken:
    return OrderTaken(
        number=instance.number,
        at=instance.created_at.isoformat(),
        instance_id=instance.id,
        name=instance.name,
        hostnode_id=instance.hostnode_id,
        usd_per_hour=str(instance.usd_per_hour),
        foreign=instance.foreign,
    )
