"""Booking: the hostnode of a valid order, its hardware there, its price."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from simulator.faults import FaultKind
from simulator.hostnodes.stock import Claim, NoNodeError, NoPublicIpError, Stock, usd_per_hour, with_ports
from simulator.tensordock.instances import Forward, Instance, Order, Status


@dataclass(frozen=True, slots=True)
class OrderedFaults:
    """The ordered faults of a machine that is not made yet."""

    quirks: Mapping[FaultKind, float] = field(default_factory=dict)
    list_lag_s: float = 0.0
    foreign: bool = False


def place(stock: Stock, order: Order) -> Claim:
    """Return the claim on the first hostnode that has the ordered hardware. Raises NoNodeError or NoPublicIpError."""
    there = [order.hostnode_id] if order.hostnode_id else [host.id for host in stock.at(order.location_id or "")]
    refusal: Exception = NoNodeError()
    for hostnode_id in there:
        try:
            return _claim(stock, order, hostnode_id)
        except (NoNodeError, NoPublicIpError) as error:
            refusal = error
    raise refusal


def instance_for(
    order: Order, claim: Claim, stock: Stock, number: int, now: datetime, ordered_faults: OrderedFaults
) -> Instance:
    host = stock.hostnodes[claim.hostnode_id]
    pairs = zip(order.forwards, claim.external_ports, strict=True)
    return Instance(
        id=str(uuid.uuid4()),
        number=number,
        name=order.name,
        status=Status.CREATING,
        image=order.image,
        claim=claim,
        full_claim=claim,
        usd_per_hour=usd_per_hour(host, claim),
        usd_per_hour_released=usd_per_hour(host, claim.storage_only()),
        created_at=now,
        billed_until=now,
        dedicated_ip=order.dedicated_ip,
        forwards=() if host.ignores_port_forwards else tuple(Forward(old.internal, port) for old, port in pairs),
        ssh_key=order.ssh_key,
        cloud_init=order.cloud_init,
        quirks=dict(ordered_faults.quirks),
        foreign=ordered_faults.foreign,
        listed_from=now + timedelta(seconds=ordered_faults.list_lag_s) if ordered_faults.list_lag_s else None,
    )


def reprice(instance: Instance, stock: Stock) -> None:
    """Set the prices of a machine by its full claim."""
    host = stock.hostnodes[instance.hostnode_id]
    instance.usd_per_hour = usd_per_hour(host, instance.full_claim)
    instance.usd_per_hour_released = usd_per_hour(host, instance.full_claim.storage_only())


def _claim(stock: Stock, order: Order, hostnode_id: str) -> Claim:
    claim = order.claim_on(hostnode_id)
    stock.check("", claim)
    wanted = tuple(forward.external for forward in order.forwards)
    return with_ports(claim, wanted, stock.free(hostnode_id).ports)
