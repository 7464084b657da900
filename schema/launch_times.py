"""How long launches take: what is promised, and what came of it."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import strawberry

import launch.launch_times
import models.launch_times
from resolvers import launch_times
from schema.enums import PlayableBasis, ProviderName
from schema.node import Info


@strawberry.type(description="In how many seconds after the request a game can be started.")
class PlayableIn:
    p50_seconds: float = strawberry.field(description="Half of the launches are playable within this time.")
    p90_seconds: float = strawberry.field(description="Nine of ten launches are playable within this time.")
    samples: int = strawberry.field(
        description="The number of our own launches that were looked at. With too few of them, `basis` is "
        "PUBLIC_FIGURES."
    )
    basis: PlayableBasis = strawberry.field(description="Where the times come from.")
    warm: bool = strawberry.field(description="Whether the machine is there already.")

    @classmethod
    def of(cls, promise: models.launch_times.PlayablePromise) -> PlayableIn:
        return cls(
            p50_seconds=promise.p50_seconds,
            p90_seconds=promise.p90_seconds,
            samples=promise.samples,
            basis=promise.basis,
            warm=promise.warm,
        )


@strawberry.type(description="The launches at one site that became playable in one month.")
class LaunchTimes:
    month: date = strawberry.field(description="The first day of the month, UTC.")
    provider: ProviderName = strawberry.field(description="The cloud.")
    site_key: str = strawberry.field(description="The site's id at the cloud.")
    warm: bool = strawberry.field(description="Whether the machines were there already.")
    launches: int = strawberry.field(description="The number of launches.")
    median_seconds: float = strawberry.field(description="The median time from the request to a playable game.")
    p90_seconds: float = strawberry.field(description="The 90th percentile of that time; of few launches the slowest.")
    promises: int = strawberry.field(description="The number of these launches for which a time was promised.")
    kept_share: float | None = strawberry.field(
        description="The share of promises that were kept, playable within `p90Seconds`, 0 to 1. Null without promises."
    )

    @classmethod
    def of(cls, found: launch.launch_times.MonthOfLaunches) -> LaunchTimes:
        return cls(
            month=found.month,
            provider=found.provider,
            site_key=found.site_id,
            warm=found.warm,
            launches=found.launches,
            median_seconds=found.median_seconds,
            p90_seconds=found.p90_seconds,
            promises=found.promises,
            kept_share=found.kept_share,
        )


@strawberry.type
class LaunchTimesQuery:
    @strawberry.field(
        description="List how long launches took and how many promises were kept, by month, cloud and site, the newest "
        "month first. Operators only."
    )
    async def launch_times(
        self,
        info: Info,
        months: Annotated[
            int | None, strawberry.argument(description="How many months, this one included: 1 to 24. Null: 3.")
        ] = 3,
    ) -> list[LaunchTimes]:
        found = await launch_times.launch_times(info.context, 3 if months is None else months)
        return [LaunchTimes.of(each) for each in found]
