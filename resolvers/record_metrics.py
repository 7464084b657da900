"""Figures from the records, for monitoring. They contain no ids of users or machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from billing.reports import Reports
from billing.windows import month_of
from models.audit import AuditEntry, entries_since
from models.database import DESCENDING, Database, Document
from models.launches import OPEN, Launch, LaunchStatus, StepStatus
from models.operator_alerts import OperatorAlert
from models.vms import ENDED, Vm, VmStatus

LATELY: Final = timedelta(hours=24)
_LATEST: Final = 100  # launches that step durations are taken from
_ALIVE: Final = sorted(frozenset(VmStatus) - ENDED)

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordMetrics:
    """Counts by labels.

    `launches` and `audit` cover the last day; `launches` also has open ones. `step_seconds` are the durations of steps
    in the latest launches that became ready, in ascending order.
    """

    machines: Mapping[Labels, int]  # by provider, status
    launches: Mapping[Labels, int]  # by status
    step_seconds: Mapping[Labels, list[float]]  # by provider, step
    audit: Mapping[Labels, int]  # by action, outcome
    usd_this_month: Mapping[Labels, Decimal]  # by provider
    operator_alerts: Mapping[Labels, int] = field(default_factory=dict)  # open ones, by code, level


async def read_record_metrics(db: Database, now: datetime | None = None) -> RecordMetrics:
    """Query the figures; every query is limited to live or recent records. Raise UnavailableError."""
    now = now or datetime.now(UTC)
    report = await Reports(db).spent(month_of(now), now=now)
    return RecordMetrics(
        machines=_counted(
            await db.aggregate(Vm, _grouped({"status": {"$in": _ALIVE}}, "provider", "status")), "provider", "status"
        ),
        launches=await _launches(db, now),
        step_seconds=await _step_seconds(db),
        audit=_counted(
            await db.aggregate(AuditEntry, _grouped(entries_since(now - LATELY), "action", "outcome")),
            "action",
            "outcome",
        ),
        usd_this_month={(line.group,): line.usd for line in report.groups},
        operator_alerts=_counted(
            await db.aggregate(OperatorAlert, _grouped({"cleared_at": None}, "code", "level")), "code", "level"
        ),
    )


async def _launches(db: Database, now: datetime) -> dict[Labels, int]:
    recent = _counted(
        await db.aggregate(Launch, _grouped({"requested_at": {"$gte": now - LATELY}}, "status")), "status"
    )
    still_open = _counted(await db.aggregate(Launch, _grouped({"status": {"$in": sorted(OPEN)}}, "status")), "status")
    return {(status.value,): 0 for status in LaunchStatus} | recent | still_open


async def _step_seconds(db: Database) -> dict[Labels, list[float]]:
    ready: Document = {"status": LaunchStatus.READY}
    seconds: dict[Labels, list[float]] = {}
    launches, _ = await db.find_readable(Launch, ready, sort=[("requested_at", DESCENDING)], limit=_LATEST)
    for launch in launches:
        for step in launch.steps:
            if step.status is StepStatus.DONE and step.started_at and step.finished_at and launch.placed_with:
                taken = seconds.setdefault((launch.placed_with, step.name), [])
                taken.append((step.finished_at - step.started_at).total_seconds())
    return {labels: sorted(taken) for labels, taken in seconds.items()}


def _grouped(match: Document, *names: str) -> list[Document]:
    return [{"$match": match}, {"$group": {"_id": {name: f"${name}" for name in names}, "count": {"$sum": 1}}}]


def _counted(rows: list[Document], *names: str) -> dict[Labels, int]:
    return {tuple(str(row["_id"][name]) for name in names): int(row["count"]) for row in rows}
