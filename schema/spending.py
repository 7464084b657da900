"""Spending limits and the alerts that they raise."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import strawberry

import models.limits
from billing.amounts import tidy
from billing.reports import CURRENCY
from resolvers import costs
from schema.arguments import Input, UserId
from schema.enums import AlertLevel, LimitPeriod
from schema.mutation_errors import ERRORS, ErrorsAsData, MutationError
from schema.node import Info


@strawberry.type(description="A limit on what one user, or the whole platform, may spend in a period.")
class SpendingLimit:
    period: LimitPeriod = strawberry.field(description="The period that the limit applies to.")
    amount: Decimal = strawberry.field(description="The limit in `currency`.")
    currency: str = strawberry.field(description="The currency of the amount: always USD.")
    hard: bool = strawberry.field(
        description="Whether reaching the limit refuses launches and stops machines. A soft limit only raises alerts."
    )
    user_id: str | None = strawberry.field(description="The user. Null if the limit applies to the whole platform.")

    @classmethod
    def of(cls, limit: models.limits.SpendingLimit) -> SpendingLimit:
        return cls(period=limit.period, amount=limit.usd, currency=CURRENCY, hard=limit.hard, user_id=limit.user_id)


@strawberry.type(
    description="A spending limit that is close or reached. Each level is raised once per limit and period."
)
class SpendingAlert:
    level: AlertLevel = strawberry.field(description="How close the limit is.")
    period: LimitPeriod = strawberry.field(description="The period of the limit.")
    limit: Decimal = strawberry.field(description="The limit in `currency`.")
    spent: Decimal = strawberry.field(description="What was spent in the period when the alert was raised.")
    forecast: Decimal = strawberry.field(
        description="The expected total at the end of the period when the alert was raised."
    )
    currency: str = strawberry.field(description="The currency of all amounts: always USD.")
    message: str = strawberry.field(description="The alert in a sentence.")
    user_id: str | None = strawberry.field(description="The user. Null if the limit applies to the whole platform.")
    raised_at: datetime = strawberry.field(description="When the alert was raised.")

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


@strawberry.input(description="A spending limit to set.")
class SetSpendingLimitInput:
    period: LimitPeriod = strawberry.field(description="The period that the limit applies to, UTC.")
    amount: Decimal = strawberry.field(description="The limit in USD.")
    hard: bool | None = strawberry.field(
        default=False,
        description="Whether reaching the limit refuses launches and stops machines. A soft limit only raises alerts.",
    )
    user_id: str | None = strawberry.field(
        default=None, description="The user to limit. If omitted, the limit applies to the whole platform."
    )


@strawberry.input(description="The spending limit to remove.")
class RemoveSpendingLimitInput:
    period: LimitPeriod = strawberry.field(description="The period of the limit.")
    user_id: str | None = strawberry.field(
        default=None, description="The user of the limit. If omitted, the limit of the whole platform is removed."
    )


@strawberry.type(description="The result of setting or removing a spending limit.")
class SpendingLimitPayload:
    limit: SpendingLimit | None = strawberry.field(
        default=None,
        description="The limit: as it is now after it was set, or as it was before it was removed. Null if the change "
        "was refused.",
    )
    errors: list[MutationError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type
class SpendingQuery:
    @strawberry.field(
        description="List spending limits. Players see their own; services and operators see all limits unless they "
        "name a user."
    )
    async def spending_limits(self, info: Info, user_id: UserId = None) -> list[SpendingLimit]:
        return [SpendingLimit.of(limit) for limit in await costs.spending_limits(info.context, user_id)]

    @strawberry.field(
        description="List the alerts of the current day and month. Given a limit, list the alert that this limit "
        "would raise instead."
    )
    async def spending_alerts(
        self,
        info: Info,
        daily_limit: Annotated[
            Decimal | None,
            strawberry.argument(description="A daily limit in USD to suppose instead of the one that is set."),
        ] = None,
        monthly_limit: Annotated[
            Decimal | None,
            strawberry.argument(description="A monthly limit in USD to suppose instead of the one that is set."),
        ] = None,
        user_id: UserId = None,
    ) -> list[SpendingAlert]:
        found = await costs.spending_alerts(info.context, daily_limit, monthly_limit, user_id)
        return [SpendingAlert.of(alert) for alert in found]


@strawberry.type
class SpendingMutation:
    @strawberry.mutation(
        description="Set or change a spending limit. Operators only.", extensions=[ErrorsAsData(SpendingLimitPayload)]
    )
    async def set_spending_limit(self, info: Info, input: Input[SetSpendingLimitInput]) -> SpendingLimitPayload:
        limit = await costs.set_spending_limit(
            info.context, input.period, input.amount, input.user_id, hard=bool(input.hard)
        )
        return SpendingLimitPayload(limit=SpendingLimit.of(limit))

    @strawberry.mutation(
        description="Remove a spending limit. Operators only.", extensions=[ErrorsAsData(SpendingLimitPayload)]
    )
    async def remove_spending_limit(self, info: Info, input: Input[RemoveSpendingLimitInput]) -> SpendingLimitPayload:
        limit = await costs.remove_spending_limit(info.context, input.period, input.user_id)
        return SpendingLimitPayload(limit=SpendingLimit.of(limit))


@strawberry.type
class SpendingSubscription:
    @strawberry.subscription(
        description="Follow spending alerts as they are raised. Players receive their own, services and operators all."
    )
    async def spending_alerts(self, info: Info) -> AsyncGenerator[SpendingAlert, None]:
        return _as_graphql(await costs.spending_alerts_raised(info.context))


async def _as_graphql(alerts: AsyncGenerator[models.limits.SpendingAlert, None]) -> AsyncGenerator[SpendingAlert, None]:
    async with aclosing(alerts):
        async for alert in alerts:
            yield SpendingAlert.of(alert)
