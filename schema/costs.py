"""Money: reports, estimates, limits and alerts."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import date, datetime
from decimal import Decimal

import strawberry

import models.limits
from billing import estimates, reports
from billing.amounts import tidy
from billing.provider_billed import UNATTRIBUTED, Compared
from billing.reports import CURRENCY
from placement.ranking import RankedPlacement
from resolvers import costs
from resolvers.costs import ReportGrouping
from schema.enums import (
    AlertLevel,
    ConsoleType,
    CostBasis,
    CostGranularity,
    CostGroup,
    LimitPeriod,
    ProviderName,
)
from schema.execution.chunked_lists import unhurried
from schema.ids import global_id
from schema.mutation_errors import ErrorsAsData, MutationError
from schema.node import Info
from schema.places import FromOrNowhere, Placement


@strawberry.type(description="One group's part.")
class CostLine:
    group: str = strawberry.field(description="A provider, console, user id or VM id, as it was grouped.")
    amount: Decimal
    running_hours: float

    @classmethod
    def of(cls, line: reports.Line, group_by: CostGroup | None) -> CostLine:
        return cls(group=_group(line.group, group_by), amount=tidy(line.usd), running_hours=line.running_hours)


def _group(name: str, group_by: CostGroup | None) -> str:
    """A VM by the id that `vm(id:)` takes; what belongs to no VM keeps its word."""
    return str(global_id("VM", name)) if group_by is CostGroup.VM and name != UNATTRIBUTED else name


@strawberry.type(description="From `start` up to, not including, `end`.")
class CostBucket:
    start: datetime
    end: datetime
    amount: Decimal
    running_hours: float
    bucket: strawberry.Private[reports.Bucket]
    group_by: strawberry.Private[CostGroup | None]

    @strawberry.field
    def lines(self) -> list[CostLine]:
        return unhurried(self.bucket.lines, lambda line: CostLine.of(line, self.group_by))

    @classmethod
    def of(cls, bucket: reports.Bucket, group_by: CostGroup | None) -> CostBucket:
        return cls(
            start=bucket.window.start,
            end=bucket.window.end,
            amount=tidy(bucket.usd),
            running_hours=bucket.running_hours,
            bucket=bucket,
            group_by=group_by,
        )


@strawberry.type(description="The buckets, and the groups, add up to the total to the last digit.")
class CostReport:
    start: datetime
    end: datetime
    currency: str
    basis: CostBasis
    total: Decimal
    running_hours: float
    forecast: Decimal | None = strawberry.field(
        description="To the end of the running period; each machine runs until its `stopsAt`."
    )
    as_of: datetime | None = strawberry.field(description="How far it knows. Null: nothing is known yet.")
    known_until: datetime | None = strawberry.field(
        description="Up to where its amounts are whole; PROVIDER_BILLED ends there. Null: nothing is known."
    )
    report: strawberry.Private[reports.Report]
    group_by: strawberry.Private[CostGroup | None]

    @strawberry.field
    def buckets(self) -> list[CostBucket]:
        return unhurried(self.report.buckets, lambda bucket: CostBucket.of(bucket, self.group_by))

    @strawberry.field
    def groups(self) -> list[CostLine]:
        return unhurried(self.report.groups, lambda line: CostLine.of(line, self.group_by))

    @classmethod
    def of(cls, report: reports.Report, basis: CostBasis, group_by: CostGroup | None) -> CostReport:
        return cls(
            start=report.window.start,
            end=report.window.end,
            currency=CURRENCY,
            basis=basis,
            total=tidy(report.total_usd),
            running_hours=report.running_hours,
            forecast=None if report.forecast_usd is None else tidy(report.forecast_usd),
            as_of=report.as_of,
            known_until=report.known_until,
            report=report,
            group_by=group_by,
        )


@strawberry.type(description="At today's prices, at the placement that a launch would try first.")
class CostEstimate:
    hourly_price: Decimal
    total: Decimal
    currency: str
    lines: list[CostLine]
    placement: Placement | None

    @classmethod
    def of(cls, found: tuple[estimates.Estimate, RankedPlacement], hours: float) -> CostEstimate:
        estimate, ranked = found
        return cls(
            hourly_price=tidy(estimate.usd_per_hour),
            total=tidy(estimate.total_usd),
            currency=CURRENCY,
            lines=[CostLine(group=part.name, amount=tidy(part.usd), running_hours=hours) for part in estimate.parts],
            placement=Placement.of(ranked),
        )


@strawberry.type(description="One day of a provider as a whole, or of one of its VMs.")
class ComparedCost:
    day: date
    provider: ProviderName
    vm_id: strawberry.ID | None = strawberry.field(description="Null: the provider as a whole.")
    metered: Decimal
    billed: Decimal | None = strawberry.field(description="Null: the provider says nothing about this, or not yet.")
    difference: Decimal | None = strawberry.field(description="Billed less metered.")

    @classmethod
    def of(cls, row: Compared) -> ComparedCost:
        difference = row.difference_usd
        return cls(
            day=row.day.date(),
            provider=row.provider,
            vm_id=None if row.vm_id is None else global_id("VM", row.vm_id),
            metered=tidy(row.metered_usd),
            billed=None if row.billed_usd is None else tidy(row.billed_usd),
            difference=None if difference is None else tidy(difference),
        )


@strawberry.type(description="Our meter and the providers' word, side by side.")
class CostComparison:
    currency: str
    as_of: datetime | None = strawberry.field(description="How far the providers' word goes.")
    compared: strawberry.Private[list[Compared]]

    @strawberry.field
    def rows(self) -> list[ComparedCost]:
        return unhurried(self.compared, ComparedCost.of)


@strawberry.type
class SpendingLimit:
    period: LimitPeriod
    amount: Decimal
    currency: str
    hard: bool = strawberry.field(description="Whether it refuses launches and stops machines once it is reached.")
    user_id: str | None = strawberry.field(description="Null: the whole platform.")

    @classmethod
    def of(cls, limit: models.limits.SpendingLimit) -> SpendingLimit:
        return cls(period=limit.period, amount=limit.usd, currency=CURRENCY, hard=limit.hard, user_id=limit.user_id)


@strawberry.type
class SpendingAlert:
    level: AlertLevel
    period: LimitPeriod
    limit: Decimal
    spent: Decimal
    forecast: Decimal
    currency: str
    message: str
    user_id: str | None
    raised_at: datetime

    @classmethod
    def of(cls, alert: models.limits.SpendingAlert) -> SpendingAlert:
        return cls(
            level=alert.level,
            period=alert.period,
            limit=alert.limit_usd,
            spent=tidy(alert.spent_usd),
            forecast=tidy(alert.forecast_usd),
            currency=CURRENCY,
            message=alert.message,
            user_id=alert.user_id,
            raised_at=alert.raised_at,
        )


@strawberry.input
class SetSpendingLimitInput:
    period: LimitPeriod
    amount: Decimal = strawberry.field(description="USD.")
    hard: bool | None = False
    user_id: str | None = strawberry.field(default=None, description="Without it: the whole platform.")


@strawberry.input
class RemoveSpendingLimitInput:
    period: LimitPeriod
    user_id: str | None = strawberry.field(default=None, description="Without it: the whole platform.")


@strawberry.type
class SpendingLimitPayload:
    limit: SpendingLimit | None = None
    errors: list[MutationError] = strawberry.field(default_factory=list)


@strawberry.type
class CostQuery:
    @strawberry.field(description="What `hours` of a console would cost now.")
    async def cost_estimate(
        self,
        info: Info,
        console: ConsoleType,
        hours: float,
        from_: FromOrNowhere = None,
        provider: ProviderName | None = None,
    ) -> CostEstimate:
        near = None if from_ is None else from_.position("from")
        return CostEstimate.of(await costs.cost_estimate(info.context, console, hours, near, provider), hours)

    @strawberry.field(description="Whole days, UTC, both included; at most 366.")
    async def cost_report(
        self,
        info: Info,
        start: date,
        end: date,
        granularity: CostGranularity | None = CostGranularity.DAY,
        group_by: CostGroup | None = CostGroup.PROVIDER,
        user_id: str | None = None,
        basis: CostBasis | None = CostBasis.METERED,
    ) -> CostReport:
        report = await costs.cost_report(
            info.context, start, end, ReportGrouping(granularity, group_by), user_id, basis
        )
        return CostReport.of(report, basis or CostBasis.METERED, group_by)

    @strawberry.field(description="The running month, UTC, by days, with its forecast.")
    async def current_month_costs(
        self, info: Info, group_by: CostGroup | None = CostGroup.PROVIDER, user_id: str | None = None
    ) -> CostReport:
        report = await costs.current_month_costs(info.context, group_by, user_id)
        return CostReport.of(report, CostBasis.METERED, group_by)

    @strawberry.field(description="For operators: our meter against the providers' word, by day; at most 31 days.")
    async def cost_comparison(self, info: Info, start: date, end: date) -> CostComparison:
        rows, as_of = await costs.cost_comparison(info.context, start, end)
        return CostComparison(currency=CURRENCY, as_of=as_of, compared=rows)

    @strawberry.field(description="One user's; for services and operators without `userId` all there are.")
    async def spending_limits(self, info: Info, user_id: str | None = None) -> list[SpendingLimit]:
        return [SpendingLimit.of(limit) for limit in await costs.spending_limits(info.context, user_id)]

    @strawberry.field(
        description="Of the running day and month. A limit in the question stands in for the one that is set."
    )
    async def spending_alerts(
        self,
        info: Info,
        daily_limit: Decimal | None = None,
        monthly_limit: Decimal | None = None,
        user_id: str | None = None,
    ) -> list[SpendingAlert]:
        found = await costs.spending_alerts(info.context, daily_limit, monthly_limit, user_id)
        return [SpendingAlert.of(alert) for alert in found]


@strawberry.type
class CostMutation:
    @strawberry.mutation(
        description="Set or change a limit. For operators.", extensions=[ErrorsAsData(SpendingLimitPayload)]
    )
    async def set_spending_limit(self, info: Info, input: SetSpendingLimitInput) -> SpendingLimitPayload:
        limit = await costs.set_spending_limit(
            info.context, input.period, input.amount, input.user_id, hard=bool(input.hard)
        )
        return SpendingLimitPayload(limit=SpendingLimit.of(limit))

    @strawberry.mutation(
        description="End a limit; the answer is the limit as it was. For operators.",
        extensions=[ErrorsAsData(SpendingLimitPayload)],
    )
    async def remove_spending_limit(self, info: Info, input: RemoveSpendingLimitInput) -> SpendingLimitPayload:
        limit = await costs.remove_spending_limit(info.context, input.period, input.user_id)
        return SpendingLimitPayload(limit=SpendingLimit.of(limit))


@strawberry.type
class CostSubscription:
    @strawberry.subscription(description="Each alert as it is raised: a player's own, for the others all.")
    async def spending_alerts(self, info: Info) -> AsyncGenerator[SpendingAlert, None]:
        return _told(await costs.spending_alerts_raised(info.context))


async def _told(alerts: AsyncGenerator[models.limits.SpendingAlert, None]) -> AsyncGenerator[SpendingAlert, None]:
    async with aclosing(alerts):
        async for alert in alerts:
            yield SpendingAlert.of(alert)
