"""Cost reports, estimates and comparisons."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from billing import estimates, reports
from billing.amounts import tidy
from billing.provider_billed import UNATTRIBUTED, ComparisonRow
from billing.reports import CURRENCY
from models.usage import WARM, WARM_USER
from placement.ranking import RankedPlacement
from resolvers import costs, launch_times
from resolvers.costs import ReportGrouping
from schema.arguments import GroupBy, MachineConsole, OneProvider, UserId
from schema.enums import (
    CostBasis,
    CostGranularity,
    CostGroup,
    ProviderName,
)
from schema.execution.chunked_lists import unhurried
from schema.ids import global_id
from schema.launch_times import PlayableIn
from schema.node import Info
from schema.places import FromOrNowhere, Placement


@strawberry.type(description="The share of one group in an amount.")
class CostLine:
    group: str = strawberry.field(
        description="The group: a provider, console, user id or VM id in a report, or `WARM` for the machines of the "
        "warm pool; a part of the price, such as `storage`, in an estimate."
    )
    amount: Decimal = strawberry.field(description="The group's amount in the report's currency.")
    running_hours: float = strawberry.field(description="How many hours the group's machines ran, in total.")

    @classmethod
    def of(cls, line: reports.Line, group_by: CostGroup | None) -> CostLine:
        return cls(group=_group(line.group, group_by), amount=tidy(line.usd), running_hours=line.running_hours)


def _group(name: str, group_by: CostGroup | None) -> str:
    """Return a VM's global id when grouped by VM; every other group keeps its name."""
    if name == (WARM_USER if group_by is CostGroup.USER else WARM):
        return WARM
    return str(global_id("VM", name)) if group_by is CostGroup.VM and name != UNATTRIBUTED else name


@strawberry.type(description="One hour, day or month of a report.")
class CostBucket:
    start: datetime = strawberry.field(description="The beginning of the bucket, inclusive.")
    end: datetime = strawberry.field(description="The end of the bucket, exclusive.")
    amount: Decimal = strawberry.field(description="What the bucket cost.")
    running_hours: float = strawberry.field(description="How many hours machines ran in the bucket, in total.")
    bucket: strawberry.Private[reports.Bucket]
    group_by: strawberry.Private[CostGroup | None]

    @strawberry.field(description="The bucket's amount by group. The lines add up to `amount` exactly.")
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


@strawberry.type(
    description="What machines cost in a period. The buckets and the groups each add up to the total exactly."
)
class CostReport:
    start: datetime = strawberry.field(description="The beginning of the report, inclusive.")
    end: datetime = strawberry.field(description="The end of the report, exclusive.")
    currency: str = strawberry.field(description="The currency of all amounts: always USD.")
    basis: CostBasis = strawberry.field(description="Where the amounts come from.")
    total: Decimal = strawberry.field(description="The total of the period.")
    running_hours: float = strawberry.field(
        description="How many hours machines ran in the period, in total. 0 in PROVIDER_BILLED reports: providers do "
        "not report hours."
    )
    forecast: Decimal | None = strawberry.field(
        description="The expected total at the end of the period if each running machine runs until its `stopsAt`. "
        "Null for a period that is over or has not begun, and in PROVIDER_BILLED reports."
    )
    as_of: datetime | None = strawberry.field(
        description="The time up to which the report has data. Null if there is none yet."
    )
    known_until: datetime | None = strawberry.field(
        description="The time up to which the amounts are complete; a PROVIDER_BILLED report ends there. Null if "
        "nothing is known."
    )
    report: strawberry.Private[reports.Report]
    group_by: strawberry.Private[CostGroup | None]

    @strawberry.field(description="The period by hours, days or months, in order of time.")
    def buckets(self) -> list[CostBucket]:
        return unhurried(self.report.buckets, lambda bucket: CostBucket.of(bucket, self.group_by))

    @strawberry.field(description="The total by group.")
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


@strawberry.type(
    description="What playing would cost at today's prices, at the placement that a launch would try first."
)
class CostEstimate:
    hourly_price: Decimal = strawberry.field(description="The price per hour while the machine runs.")
    total: Decimal = strawberry.field(description="The price of all hours.")
    currency: str = strawberry.field(description="The currency of all amounts: always USD.")
    lines: list[CostLine] = strawberry.field(description="The parts of the total, such as machine and storage.")
    placement: Placement | None = strawberry.field(description="The placement that the prices are for.")
    ranked: strawberry.Private[RankedPlacement]

    @strawberry.field(
        description="When a game would be playable there, on a machine of the warm pool if one is ready, else on a new "
        "one. Null if nothing is known."
    )
    async def playable_in(self, info: Info) -> PlayableIn | None:
        promise = await launch_times.playable_in(info.context, self.ranked)
        return None if promise is None else PlayableIn.of(promise)

    @classmethod
    def of(cls, found: tuple[estimates.Estimate, RankedPlacement], hours: float) -> CostEstimate:
        estimate, ranked = found
        return cls(
            hourly_price=tidy(estimate.usd_per_hour),
            total=tidy(estimate.total_usd),
            currency=CURRENCY,
            lines=[CostLine(group=part.name, amount=tidy(part.usd), running_hours=hours) for part in estimate.parts],
            placement=Placement.of(ranked),
            ranked=ranked,
        )


@strawberry.type(description="One day of a provider as a whole, or of one of its VMs.")
class ComparedCost:
    day: date = strawberry.field(description="The day, UTC.")
    provider: ProviderName = strawberry.field(description="The provider.")
    vm_id: strawberry.ID | None = strawberry.field(
        description="The VM's global id. Null in the row of the provider as a whole."
    )
    metered: Decimal = strawberry.field(description="What our meter recorded, in USD.")
    billed: Decimal | None = strawberry.field(
        description="What the provider billed, in USD. Null if the provider has not reported an amount for this row."
    )
    difference: Decimal | None = strawberry.field(
        description="`billed` minus `metered`, in USD. Null if `billed` is null."
    )

    @classmethod
    def of(cls, row: ComparisonRow) -> ComparedCost:
        difference = row.difference_usd
        return cls(
            day=row.day.date(),
            provider=row.provider,
            vm_id=None if row.vm_id is None else global_id("VM", row.vm_id),
            metered=tidy(row.metered_usd),
            billed=None if row.billed_usd is None else tidy(row.billed_usd),
            difference=None if difference is None else tidy(difference),
        )


@strawberry.type(description="Metered and billed costs side by side.")
class CostComparison:
    currency: str = strawberry.field(description="The currency of all amounts: always USD.")
    as_of: datetime | None = strawberry.field(
        description="The time up to which providers have reported their charges. Null if none has."
    )
    compared: strawberry.Private[list[ComparisonRow]]

    @strawberry.field(description="The days of the period, each by provider and VM.")
    def rows(self) -> list[ComparedCost]:
        return unhurried(self.compared, ComparedCost.of)


@strawberry.type
class CostQuery:
    @strawberry.field(description="Estimate what it would cost to play a console for some hours, starting now.")
    async def cost_estimate(
        self,
        info: Info,
        console: MachineConsole,
        hours: Annotated[float, strawberry.argument(description="How many hours to play: more than 0, at most 8784.")],
        from_: FromOrNowhere = None,
        provider: OneProvider = None,
    ) -> CostEstimate:
        near = None if from_ is None else from_.position("from")
        return CostEstimate.of(await costs.cost_estimate(info.context, console, hours, near, provider), hours)

    @strawberry.field(description="Report what machines cost over whole days, UTC. Players see their own costs.")
    async def cost_report(
        self,
        info: Info,
        start: Annotated[date, strawberry.argument(description="The first day, UTC, inclusive.")],
        end: Annotated[
            date, strawberry.argument(description="The last day, UTC, inclusive; at most 366 days in total.")
        ],
        granularity: Annotated[
            CostGranularity | None, strawberry.argument(description="The length of the buckets. Null: DAY.")
        ] = CostGranularity.DAY,
        group_by: GroupBy = CostGroup.PROVIDER,
        user_id: UserId = None,
        basis: Annotated[
            CostBasis | None, strawberry.argument(description="Where the amounts come from. Null: METERED.")
        ] = CostBasis.METERED,
    ) -> CostReport:
        cut = ReportGrouping(granularity, group_by)
        report = await costs.cost_report(info.context, start, end, cut, user_id, basis)
        return CostReport.of(report, basis or CostBasis.METERED, group_by)

    @strawberry.field(
        description="Report what the machines of players cost over whole days, UTC, by our own meter: without the "
        "group `WARM`, the machines of the warm pool. Players see their own costs."
    )
    async def player_cost_report(
        self,
        info: Info,
        start: Annotated[date, strawberry.argument(description="The first day, UTC, inclusive.")],
        end: Annotated[
            date, strawberry.argument(description="The last day, UTC, inclusive; at most 366 days in total.")
        ],
        granularity: Annotated[
            CostGranularity | None, strawberry.argument(description="The length of the buckets. Null: DAY.")
        ] = CostGranularity.DAY,
        group_by: GroupBy = CostGroup.PROVIDER,
        user_id: UserId = None,
    ) -> CostReport:
        cut = ReportGrouping(granularity, group_by)
        report = await costs.player_cost_report(info.context, start, end, cut, user_id)
        return CostReport.of(report, CostBasis.METERED, group_by)

    @strawberry.field(
        description="Report the current month, UTC, by day, with a forecast. Players see their own costs."
    )
    async def current_month_costs(
        self, info: Info, group_by: GroupBy = CostGroup.PROVIDER, user_id: UserId = None
    ) -> CostReport:
        report = await costs.current_month_costs(info.context, group_by, user_id)
        return CostReport.of(report, CostBasis.METERED, group_by)

    @strawberry.field(description="Compare metered costs with what the providers billed, by day. Operators only.")
    async def cost_comparison(
        self,
        info: Info,
        start: Annotated[date, strawberry.argument(description="The first day, UTC, inclusive.")],
        end: Annotated[
            date, strawberry.argument(description="The last day, UTC, inclusive; at most 31 days in total.")
        ],
    ) -> CostComparison:
        rows, as_of = await costs.cost_comparison(info.context, start, end)
        return CostComparison(currency=CURRENCY, as_of=as_of, compared=rows)
