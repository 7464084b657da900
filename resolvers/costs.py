"""Cost reports, estimates, spending limits and alerts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum

from auth.authorization import owner_filter, require
from auth.callers import validate_user_id
from billing.alerts import Alerts
from billing.estimates import Estimate, estimate, validate_hours
from billing.exports import month_as_csv, parse_month
from billing.limits import SpendingLimits, validate_limit
from billing.provider_billed import Billed, ComparisonRow
from billing.receipts import Receipts, receipts_of
from billing.reports import Report, Reports, WarmUsage
from billing.windows import Granularity, month_of, window_of
from errors import InvalidInputError
from models.catalog import ConsoleType
from models.limits import LimitPeriod, SpendingAlert, SpendingLimit
from models.rollups import RollupKind
from placement.coordinates import Position
from placement.ranking import RankedPlacement
from providers.base import ProviderName
from resolvers.context import Context

_MAX_COMPARED_DAYS = 31


class Basis(StrEnum):
    METERED = "METERED"  # our own meter
    PROVIDER_BILLED = "PROVIDER_BILLED"  # what the provider says it charged


@dataclass(frozen=True, slots=True)
class ReportGrouping:
    """How a report is divided. None means the default."""

    granularity: Granularity | None = None
    group_by: RollupKind | None = None


async def cost_report(
    context: Context, start: date, end: date, cut: ReportGrouping, user_id: str | None, basis: Basis | None
) -> Report:
    """Return a report over whole days, UTC, both inclusive."""
    require(context.caller, "Query.costReport")
    owner = owner_filter(context.caller, user_id)
    window = window_of(start, end)
    by = (cut.granularity or Granularity.DAY, cut.group_by or RollupKind.PROVIDER)
    reports = Billed if basis is Basis.PROVIDER_BILLED else Reports
    return _within_row_limit(context, await reports(context.services.db).report(window, *by, user_id=owner))


async def player_cost_report(
    context: Context, start: date, end: date, cut: ReportGrouping, user_id: str | None
) -> Report:
    """Return a metered report over whole days, UTC, both inclusive, without the machines of the warm pool."""
    require(context.caller, "Query.playerCostReport")
    owner = owner_filter(context.caller, user_id)
    by = (cut.granularity or Granularity.DAY, cut.group_by or RollupKind.PROVIDER)
    reports = Reports(context.services.db)
    report = await reports.report(window_of(start, end), *by, user_id=owner, warm=WarmUsage.LEFT_OUT)
    return _within_row_limit(context, report)


async def current_month_costs(context: Context, group_by: RollupKind | None, user_id: str | None) -> Report:
    """Return a report of the current month, UTC, with a forecast."""
    require(context.caller, "Query.currentMonthCosts")
    owner = owner_filter(context.caller, user_id)
    now = datetime.now(UTC)
    report = await Reports(context.services.db).report(
        month_of(now), group_by=group_by or RollupKind.PROVIDER, user_id=owner, now=now
    )
    return _within_row_limit(context, report)


def _within_row_limit(context: Context, report: Report) -> Report:
    lines = sum(len(bucket.lines) for bucket in report.buckets)
    context.count_rows(len(report.buckets) + lines + len(report.groups), ("groupBy",))
    return report


async def receipts(context: Context, start: date, end: date, user_id: str | None) -> Receipts:
    """Return the receipts of whole days, UTC, both inclusive."""
    require(context.caller, "Query.receipts")
    owner = owner_filter(context.caller, user_id)
    window = window_of(start, end)
    if (end - start).days >= _MAX_COMPARED_DAYS:
        raise InvalidInputError(f"receipts cover at most {_MAX_COMPARED_DAYS} days", ("end",))
    found = await receipts_of(context.services.db, window, owner)
    context.count_rows(sum(1 + len(receipt.lines) for receipt in found.receipts), ("end",))
    return found


async def cost_comparison(context: Context, start: date, end: date) -> tuple[list[ComparisonRow], datetime | None]:
    """Return metered and billed costs side by side, and the time up to which providers have reported."""
    require(context.caller, "Query.costComparison")
    window = window_of(start, end)
    if (end - start).days >= _MAX_COMPARED_DAYS:
        raise InvalidInputError(f"a comparison covers at most {_MAX_COMPARED_DAYS} days", ("end",))
    billed = Billed(context.services.db)
    compared = await billed.compare(window)
    context.count_rows(len(compared), ("end",))
    return compared, await billed.as_of()


async def cost_estimate(
    context: Context, console: ConsoleType, hours: float, near: Position | None, provider: ProviderName | None
) -> tuple[Estimate, RankedPlacement]:
    """Estimate at the placement that a launch would try first. Raise NoPlacementError when there is none."""
    require(context.caller, "Query.costEstimate")
    wanted_hours = validate_hours(hours)
    placements, wanted = context.services.placements, await context.loaders.console.load(console)
    ranked = await placements.rank(wanted, near, provider=provider, limit=1)
    if not ranked:
        raise await placements.explain_empty(wanted, provider=provider)
    return estimate(ranked[0].offer, wanted_hours), ranked[0]


async def set_spending_limit(
    context: Context, period: LimitPeriod, amount: Decimal, user_id: str | None, *, hard: bool
) -> SpendingLimit:
    """Set or change a spending limit; `user_id` None is the whole platform."""
    require(context.caller, "Mutation.setSpendingLimit")
    if user_id is not None:
        validate_user_id(user_id, ("userId",))
    by = (context.caller.id, context.caller.role)
    return await SpendingLimits(context.services.db).set(period, amount, user_id, hard=hard, by=by)


async def remove_spending_limit(context: Context, period: LimitPeriod, user_id: str | None) -> SpendingLimit:
    """Remove a spending limit and return it as it was."""
    require(context.caller, "Mutation.removeSpendingLimit")
    by = (context.caller.id, context.caller.role)
    return await SpendingLimits(context.services.db).remove(period, user_id, by=by)


async def spending_limits(context: Context, user_id: str | None) -> list[SpendingLimit]:
    """Return the spending limits that the caller may see."""
    require(context.caller, "Query.spendingLimits")
    return await SpendingLimits(context.services.db).all(owner_filter(context.caller, user_id))


async def spending_alerts(
    context: Context, daily_limit: Decimal | None, monthly_limit: Decimal | None, user_id: str | None
) -> list[SpendingAlert]:
    """Return the alerts of the current periods. A limit given for a period replaces the one that is set."""
    require(context.caller, "Query.spendingAlerts")
    owner, now = owner_filter(context.caller, user_id), datetime.now(UTC)
    given = {LimitPeriod.DAILY: (daily_limit, "dailyLimit"), LimitPeriod.MONTHLY: (monthly_limit, "monthlyLimit")}
    supposed = {period: validate_limit(usd, name) for period, (usd, name) in given.items() if usd is not None}
    alerts = Alerts(context.services.db)
    raised = await alerts.current(owner, everybody=owner is None, now=now)
    return [
        *await alerts.preview(supposed, owner, now),
        *(alert for alert in raised if alert.period not in supposed),
    ]


async def spending_alerts_raised(context: Context) -> AsyncGenerator[SpendingAlert, None]:
    """Follow alerts from now on: players receive their own, services and operators all."""
    require(context.caller, "Subscription.spendingAlerts")
    return _follow(context, owner_filter(context.caller, None))


async def _follow(context: Context, owner: str | None) -> AsyncGenerator[SpendingAlert, None]:
    async with aclosing(context.services.alerts.follow(owner)) as alerts:
        async for alert in alerts:
            yield alert


async def month_export(
    context: Context, month: str | None, name_vm: Callable[[str], str]
) -> tuple[str, AsyncGenerator[str, None]]:
    """Return the name of a month's file, and its text in pieces. Raise InvalidInputError for an invalid month.

    `name_vm` turns the own id of a VM into the one that is shown.
    """
    require(context.caller, "Route.exportCosts")
    window = parse_month(month)
    name = f"costs-{window.start:%Y-%m}.csv"
    return name, month_as_csv(context.services.db, window, datetime.now(UTC), name_vm=name_vm)
