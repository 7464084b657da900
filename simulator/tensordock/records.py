"""The cloud's state file: conversion to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from simulator.faults import FaultKind
from simulator.hostnodes.stock import Claim
from simulator.tensordock.cloud import Cloud
from simulator.tensordock.instances import Forward, Instance, Status
from simulator.tensordock.orders_taken import OrderTaken

_AMOUNTS = ("usd_per_hour", "usd_per_hour_released", "billed_usd")
_TIMES = ("created_at", "billed_until", "listed_from")


def to_record(cloud: Cloud) -> dict[str, Any]:
    """Return the record for `StateFile`, which writes dataclasses, times and amounts."""
    return {
        "balance_usd": cloud.ledger.balance_usd,
        "spent_usd": cloud.ledger.spent_usd,
        "ordered_in_all": cloud.ordered_in_all,
        "instances": list(cloud.instances.values()),
        "orders": cloud.orders,
        "others": cloud.others,
        "secrets": cloud.secrets,
    }


def load_record(cloud: Cloud, record: Mapping[str, Any]) -> None:
    """Fill an empty cloud. The machines' tasks start with `resume`."""
    instances = [_instance(instance) for instance in record["instances"]]
    cloud.ledger.balance_usd = Decimal(record["balance_usd"])
    cloud.ledger.spent_usd = Decimal(record["spent_usd"])
    cloud.ordered_in_all = record["ordered_in_all"]
    cloud.instances.update({instance.id: instance for instance in instances})
    cloud.orders.extend(OrderTaken(**order) for order in record["orders"])
    cloud.others.extend(_claim(claim) for claim in record["others"])
    cloud.secrets.update(record["secrets"])


def _instance(record: Mapping[str, Any]) -> Instance:
    amounts = {name: Decimal(record[name]) for name in _AMOUNTS}
    times = {name: record[name] and datetime.fromisoformat(record[name]) for name in _TIMES}
    parsed = {
        "status": Status(record["status"]),
        "stops_into": Status(record["stops_into"]),
        "claim": _claim(record["claim"]),
        "full_claim": _claim(record["full_claim"]),
        "forwards": tuple(Forward(**forward) for forward in record["forwards"]),
        "quirks": {FaultKind(kind): seconds for kind, seconds in record["quirks"].items()},
        "ports": {int(internal): external for internal, external in record["ports"].items()},
    }
    return Instance(**{**record, **amounts, **times, **parsed})


def _claim(record: Mapping[str, Any]) -> Claim:
    return Claim(**{**record, "external_ports": tuple(record["external_ports"])})
