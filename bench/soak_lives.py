"""Reads from the clouds when each machine that ever existed was on, off and gone, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from models.usage import UsageState
from providers.tags import belongs_to
from tests.e2e.service import Deployment

_STATES: Final = {"reserved": UsageState.RUNNING, "released": UsageState.STOPPED}


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` up to `end` in one state; an `end` of None means until now."""

    start: datetime
    end: datetime | None
    state: UsageState


@dataclass(frozen=True, slots=True)
class Life:
    """One machine. `billed_usd` is the cloud's own bill; None where it keeps none."""

    tag: str
    machine_id: str
    spans: tuple[Span, ...]
    ended_at: datetime | None
    ended_by: str | None
    billed_usd: Decimal | None

    @property
    def began_at(self) -> datetime:
        return self.spans[0].start

    @property
    def vanished_asleep(self) -> bool:
        """Return whether it vanished while it was off."""
        return self.ended_by == "vanished" and self.spans[-1].state is UsageState.STOPPED

    @property
    def state(self) -> UsageState | None:
        """Return its current state, or None if it no longer exists."""
        return None if self.ended_at is not None else self.spans[-1].state


async def lives(deployed: Deployment) -> list[Life]:
    """Return those of all machines of this deployment, at both clouds."""
    found = [*await _at_tensordock(deployed), *await _at_google(deployed)]
    return [life for life in found if belongs_to(life.tag, deployed.name)]


async def _at_tensordock(deployed: Deployment) -> list[Life]:
    # Read bills first: if a machine ends in between, its order has the bill, and a new one owes nothing yet.
    bills = {machine["id"]: machine["billed_usd"] for machine in await deployed.machines()}
    orders = (await _told(deployed, "orders"))["orders"]
    return [_of_order(order, bills) for order in orders if not order["foreign"]]


async def _at_google(deployed: Deployment) -> list[Life]:
    return [_of_google(life) for life in (await _told(deployed, "gcp/lives"))["lives"]]


async def _told(deployed: Deployment, what: str) -> dict[str, Any]:
    async with deployed.http.get(f"{deployed.control_url}/{what}") as reply:
        told: dict[str, Any] = await reply.json()
    return told


def _of_order(order: Mapping[str, Any], bills: Mapping[str, str]) -> Life:
    """Convert an order. A machine with its hardware is on, or off with reserved hardware, which we meter as running."""
    prices = [price for price in order["prices"] if Decimal(price["usd_per_hour"])]
    states = [
        (_time(price["from"]), _STATES[price["hardware"]])
        for before, price in zip([None, *prices], prices, strict=False)
        if before is None or before["hardware"] != price["hardware"]
    ]
    ended_at = _time_or_none(order["ended_at"])
    usd = Decimal(order["billed_usd"] or bills.get(order["instance_id"], "0"))
    return Life(order["name"], order["instance_id"], _spans(states, ended_at), ended_at, order["ended_by"], usd)


def _of_google(life: Mapping[str, Any]) -> Life:
    states = [
        (_time(one["from"]), UsageState.RUNNING if one["state"] == "on" else UsageState.STOPPED)
        for one in life["states"]
    ]
    ended_at = _time_or_none(life["ended_at"])
    by = None if ended_at is None else "deleted"
    return Life(life["name"], life["name"], _spans(states, ended_at), ended_at, by, None)


def _spans(states: Sequence[tuple[datetime, UsageState]], ended_at: datetime | None) -> tuple[Span, ...]:
    ends = [*(start for start, _ in states[1:]), ended_at]
    return tuple(Span(start, end, state) for (start, state), end in zip(states, ends, strict=True))


def apart_s(ours: Sequence[Span], theirs: Sequence[Span], now: datetime) -> float:
    """Return for how many seconds the two differ: in the state, or because only one has a span."""
    moments = sorted({moment for span in (*ours, *theirs) for moment in (span.start, span.end or now)})
    return sum(
        (end - start).total_seconds()
        for start, end in pairwise(moments)
        if _state_at(ours, start, now) is not _state_at(theirs, start, now)
    )


def _state_at(spans: Sequence[Span], moment: datetime, now: datetime) -> UsageState | None:
    return next((span.state for span in spans if span.start <= moment < (span.end or now)), None)


def _time_or_none(text: str | None) -> datetime | None:
    return None if text is None else _time(text)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
