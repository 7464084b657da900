"""The warm pool: machines that are set up before launches need them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import strawberry

import models.warm_machines
from billing.amounts import tidy
from billing.reports import CURRENCY
from fleet.warm_pool.settings import PoolOverview
from resolvers import warm_pool
from schema.arguments import Input
from schema.enums import PresetName, ProviderName, WarmMachineStatus
from schema.ids import global_id
from schema.mutation_errors import ERRORS, ErrorsAsData, MutationError
from schema.node import Info


@strawberry.type(
    description="A machine of the warm pool: rented and set up, then kept off until a launch takes it. It is no VM "
    "before that, and no player has used it."
)
class WarmMachine:
    id: strawberry.ID = strawberry.field(description="The id of the machine. The VM that it becomes has another one.")
    status: WarmMachineStatus = strawberry.field(description="How far the machine is.")
    provider: ProviderName = strawberry.field(description="The cloud.")
    provider_id: str | None = strawberry.field(description="The machine's id at the cloud. Null until it is rented.")
    site_key: str = strawberry.field(description="The site's id at the cloud.")
    city: str | None = strawberry.field(description="The city of the site, where it is known.")
    preset: PresetName = strawberry.field(description="The size of the machine.")
    hourly_price: Decimal = strawberry.field(description="The price per hour in USD while the machine is on.")
    hourly_price_stopped: Decimal = strawberry.field(description="The price per hour in USD while the machine is off.")
    created_at: datetime = strawberry.field(description="When the pool decided to rent the machine.")
    ready_at: datetime | None = strawberry.field(description="When the machine was ready. Null until then.")
    detail: str | None = strawberry.field(description="Why the machine is leaving the pool. Null otherwise.")

    @classmethod
    def of(cls, machine: models.warm_machines.WarmMachine) -> WarmMachine:
        return cls(
            id=global_id("WarmMachine", machine.id),
            status=machine.status,
            provider=machine.provider,
            provider_id=machine.provider_id,
            site_key=machine.place.site_id,
            city=machine.place.city or None,
            preset=machine.preset,
            hourly_price=tidy(machine.usd_per_hour),
            hourly_price_stopped=tidy(machine.usd_per_hour_stopped),
            created_at=machine.created_at,
            ready_at=machine.ready_at,
            detail=machine.detail,
        )


@strawberry.type(description="The machines that are ready before launches need them, and what they may cost.")
class WarmPool:
    ceiling_per_day: Decimal = strawberry.field(
        description="What the pool may cost in a day, UTC, in `currency`. 0: the pool is off."
    )
    spent_today: Decimal = strawberry.field(description="What the pool has cost since midnight, UTC.")
    most_today: Decimal = strawberry.field(
        description="The most that the pool can cost today: what it has cost, and all that its machines can still cost."
    )
    currency: str = strawberry.field(description="The currency of all amounts: always USD.")
    machines: list[WarmMachine] = strawberry.field(description="The machines that are in the pool, the oldest first.")

    @classmethod
    def of(cls, pool: PoolOverview) -> WarmPool:
        return cls(
            ceiling_per_day=tidy(pool.ceiling_usd_per_day),
            spent_today=tidy(pool.spent_today_usd),
            most_today=tidy(pool.most_today_usd),
            currency=CURRENCY,
            machines=[WarmMachine.of(machine) for machine in pool.machines],
        )


@strawberry.input(description="The settings of the warm pool.")
class SetWarmPoolInput:
    ceiling_per_day: Decimal = strawberry.field(
        description="What the pool may cost in a day, UTC, in USD: 0 to 10000. 0 switches the pool off and releases "
        "its machines."
    )


@strawberry.type(description="The result of changing the warm pool's settings.")
class WarmPoolPayload:
    warm_pool: WarmPool | None = strawberry.field(
        default=None, description="The pool with its new settings. Null if the change was refused."
    )
    errors: list[MutationError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type
class WarmPoolQuery:
    @strawberry.field(description="Show the warm pool and its machines. Operators only.")
    async def warm_pool(self, info: Info) -> WarmPool:
        return WarmPool.of(await warm_pool.warm_pool(info.context))


@strawberry.type
class WarmPoolMutation:
    @strawberry.mutation(
        description="Set what the warm pool may cost in a day. Operators only.",
        extensions=[ErrorsAsData(WarmPoolPayload)],
    )
    async def set_warm_pool(self, info: Info, input: Input[SetWarmPoolInput]) -> WarmPoolPayload:
        return WarmPoolPayload(
            warm_pool=WarmPool.of(await warm_pool.set_warm_pool(info.context, input.ceiling_per_day))
        )
