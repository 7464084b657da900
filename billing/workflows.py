"""Temporal schedules and activities for billing. A schedule makes one of several replicas do the work."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from billing.amounts import DAY, midnight
    from billing.google_billing import GoogleBillingImport
    from billing.rollups import SETTLED, Rollups
    from billing.tensordock_billing import BalanceSampler

ROLL_UP: Final = "RollUpCosts"
CHECK: Final = "CheckCosts"
LOOK_AT_BALANCE: Final = "LookAtBalance"
FETCH_EXPORT: Final = "FetchBillingExport"
INTERVALS: Final[Mapping[str, timedelta]] = {
    ROLL_UP: timedelta(minutes=10),
    CHECK: timedelta(hours=1),
    LOOK_AT_BALANCE: timedelta(minutes=5),
    FETCH_EXPORT: timedelta(hours=1),
}
_RETRY: Final = RetryPolicy(initial_interval=timedelta(seconds=5), maximum_interval=timedelta(minutes=1))
_BEAT: Final = timedelta(seconds=30)
_LAST_DAYS: Final = 2


class BillingActivities:
    """Billing activities. Without a sampler or an import, nothing is fetched from that provider."""

    def __init__(
        self, rollups: Rollups, balance: BalanceSampler | None = None, export: GoogleBillingImport | None = None
    ) -> None:
        self._rollups = rollups
        self._balance = balance
        self._export = export

    @activity.defn(name="roll_up")
    async def roll_up(self) -> int:
        """Sum days that have no valid sums; return the number of days."""
        return await self._rollups.roll_up(datetime.now(UTC))

    @activity.defn(name="check")
    async def check_sums(self) -> int:
        """Compare the last closed days and one random older day with their intervals; return how many sums differ."""
        days = await self._days_to_check(datetime.now(UTC))
        return sum([len(await self._rollups.differences(day)) for day in days])

    @activity.defn(name="look_at_balance")
    async def sample_balance(self) -> str | None:
        """Sample the account's balance."""
        usd = None if self._balance is None else await self._balance.sample(datetime.now(UTC))
        return None if usd is None else str(usd)

    @activity.defn(name="fetch_export")
    async def fetch_export(self) -> int:
        return 0 if self._export is None else await self._export.fetch(datetime.now(UTC))

    async def _days_to_check(self, now: datetime) -> list[datetime]:
        last = midnight(now - SETTLED)
        first = await self._rollups.first_day() or last
        days = {last - number * DAY for number in range(1, _LAST_DAYS + 1)}
        if older := max(0, (last - first) // DAY - _LAST_DAYS):
            days.add(first + random.randrange(older) * DAY)  # noqa: S311 - not a secret
        return sorted(days)


@workflow.defn(name=ROLL_UP)
class RollUpWorkflow:
    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(
            BillingActivities.roll_up,
            schedule_to_close_timeout=timedelta(hours=6),
            heartbeat_timeout=_BEAT,
            retry_policy=_RETRY,
        )


@workflow.defn(name=CHECK)
class CheckWorkflow:
    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(
            BillingActivities.check_sums,
            schedule_to_close_timeout=timedelta(minutes=50),
            heartbeat_timeout=_BEAT,
            retry_policy=_RETRY,
        )


@workflow.defn(name=LOOK_AT_BALANCE)
class LookAtBalanceWorkflow:
    """Samples the balance. A failed sample is not repeated, because the next one is near."""

    @workflow.run
    async def run(self) -> str | None:
        return await workflow.execute_activity_method(
            BillingActivities.sample_balance, schedule_to_close_timeout=timedelta(minutes=4), retry_policy=_RETRY
        )


@workflow.defn(name=FETCH_EXPORT)
class FetchExportWorkflow:
    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(
            BillingActivities.fetch_export,
            schedule_to_close_timeout=timedelta(minutes=50),
            heartbeat_timeout=_BEAT,
            retry_policy=_RETRY,
        )


async def ensure_cost_schedules(
    client: Client, task_queue: str, intervals: Mapping[str, timedelta] = INTERVALS
) -> None:
    """Create the billing schedules, which begin at once. Every worker may call it at every start."""
    await asyncio.gather(*(ensure_schedule(client, task_queue, name, every) for name, every in intervals.items()))


async def ensure_schedule(
    client: Client, task_queue: str, workflow_name: str, every: timedelta, *, at_once: bool = True
) -> None:
    """Create a schedule that runs one workflow at a time and skips missed runs.

    With `at_once`, the first run begins immediately. Every worker may call it at every start; the interval of an older
    version is updated.
    """
    schedule_id = schedule_name(workflow_name, task_queue)
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(workflow_name, id=schedule_id, task_queue=task_queue),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
    )

    def renew(asked: ScheduleUpdateInput) -> ScheduleUpdate | None:
        kept = asked.description.schedule
        if [each.every for each in kept.spec.intervals] == [every]:
            return None
        return ScheduleUpdate(replace(kept, spec=schedule.spec))

    try:
        await client.create_schedule(schedule_id, schedule, trigger_immediately=at_once)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(schedule_id).update(renew)


def schedule_name(workflow_name: str, task_queue: str) -> str:
    """Return a schedule's id, which contains the task queue.

    A schedule that another deployment left behind waits forever for its own workers; under a shared name, nothing would
    run here either.
    """
    return f"{workflow_name}-{task_queue}"
