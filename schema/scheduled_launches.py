"""Scheduled launches: types, queries and mutations."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import strawberry

import models.scheduled_launches
from launch.orders import LaunchOrder
from launch.scheduled.service import PlanRequest
from resolvers import catalog, launches, scheduled_launches
from resolvers.context import Context
from resolvers.pagination import Page
from schema.arguments import After, First, Input, UserId
from schema.catalog import Console
from schema.connections import CURSOR, EDGES, NODE, PAGE_INFO, PageInfo
from schema.enums import ScheduledLaunchStatus
from schema.ids import global_id, key_of
from schema.launches import CreateVmInput, Launch
from schema.mutation_errors import ERRORS, ErrorsAsData, MutationError
from schema.node import Info, Node


@strawberry.type(
    description="A player's plan to play at a certain time. Its launch is requested early enough for the game to be "
    "playable then."
)
class ScheduledLaunch(Node):
    at: datetime = strawberry.field(description="When the game is to be playable.")
    status: ScheduledLaunchStatus = strawberry.field(description="The state of the plan.")
    game_id: str = strawberry.field(description="The game to play.")
    save_id: str | None = strawberry.field(description="The save slot to restore. Null: the player's default slot.")
    user_id: str = strawberry.field(description="The user who plays.")
    planned_at: datetime = strawberry.field(description="When the launch was planned.")
    failure: str | None = strawberry.field(description="Why no launch could be requested. Null otherwise.")
    document: strawberry.Private[models.scheduled_launches.ScheduledLaunch]

    @strawberry.field(description="The console to play.")
    async def console(self, info: Info) -> Console:
        return Console.of(await catalog.console(info.context, self.document.console))

    @strawberry.field(description="The launch. Null until it is requested.")
    async def launch(self, info: Info) -> Launch | None:
        if self.document.started_launch_id is None:
            return None
        found = await launches.launch_of(info.context, self.document.started_launch_id)
        return None if found is None else Launch.of(found)

    @classmethod
    def of(cls, plan: models.scheduled_launches.ScheduledLaunch) -> ScheduledLaunch:
        return cls(
            id=global_id("ScheduledLaunch", plan.id),
            at=plan.at,
            status=plan.status,
            game_id=plan.game_id,
            save_id=plan.save_id,
            user_id=plan.user_id,
            planned_at=plan.planned_at,
            failure=plan.failure,
            document=plan,
        )


@strawberry.type(description="One scheduled launch in a page, with its cursor.")
class ScheduledLaunchEdge:
    cursor: str = strawberry.field(description=CURSOR)
    node: ScheduledLaunch = strawberry.field(description=NODE)


@strawberry.type(description="A page of scheduled launches.")
class ScheduledLaunchConnection:
    edges: list[ScheduledLaunchEdge] = strawberry.field(description=EDGES)
    page_info: PageInfo = strawberry.field(description=PAGE_INFO)

    @classmethod
    def of(cls, page: Page[models.scheduled_launches.ScheduledLaunch]) -> ScheduledLaunchConnection:
        edges = [
            ScheduledLaunchEdge(cursor=c, node=ScheduledLaunch.of(one))
            for c, one in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.of(page))


@strawberry.input(description="A game to play at a certain time.")
class ScheduleLaunchInput(CreateVmInput):
    at: datetime = strawberry.field(
        description="When the game is to be playable: in the future, within the next 30 days."
    )
    game_id: str = strawberry.field(description="The id of the game: `Game.gameId`.")
    save_id: str | None = strawberry.field(
        default=None, description="The save slot to restore. If omitted, the player's default slot is used."
    )

    def plan(self, context: Context) -> PlanRequest:
        return PlanRequest(self.order(context), self.at)

    def order(self, context: Context) -> LaunchOrder:
        order = super().order(context)
        return replace(order, game_id=self.game_id, save_id=self.save_id, play_at=self.at)


@strawberry.input(description="The scheduled launch to cancel.")
class CancelScheduledLaunchInput:
    scheduled_launch_id: strawberry.ID = strawberry.field(description="The global id of the scheduled launch.")


@strawberry.type(description="The result of planning a launch, or of cancelling a plan.")
class ScheduledLaunchPayload:
    scheduled_launch: ScheduledLaunch | None = strawberry.field(
        default=None, description="The scheduled launch. Null if the request was refused."
    )
    errors: list[MutationError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type
class ScheduledLaunchQuery:
    @strawberry.field(description="List scheduled launches, the newest plan first. Players see their own.")
    async def scheduled_launches(
        self, info: Info, user_id: UserId = None, first: First = 50, after: After = None
    ) -> ScheduledLaunchConnection:
        found = await scheduled_launches.scheduled_launches(info.context, user_id, first, after)
        return ScheduledLaunchConnection.of(found)


@strawberry.type
class ScheduledLaunchMutation:
    @strawberry.mutation(
        description="Plan to play at a certain time: the machine is set up by then, and kept for its player until the "
        "idle time after it. Refused for what would refuse a launch now.",
        extensions=[ErrorsAsData(ScheduledLaunchPayload)],
    )
    async def schedule_launch(self, info: Info, input: Input[ScheduleLaunchInput]) -> ScheduledLaunchPayload:
        plan = await scheduled_launches.schedule_launch(info.context, input.plan(info.context))
        return ScheduledLaunchPayload(scheduled_launch=ScheduledLaunch.of(plan))

    @strawberry.mutation(
        description="Cancel a scheduled launch that has not begun. Afterwards its launch can be cancelled instead.",
        extensions=[ErrorsAsData(ScheduledLaunchPayload)],
    )
    async def cancel_scheduled_launch(
        self, info: Info, input: Input[CancelScheduledLaunchInput]
    ) -> ScheduledLaunchPayload:
        plan_id = key_of("ScheduledLaunch", input.scheduled_launch_id)
        plan = await scheduled_launches.cancel_scheduled_launch(info.context, plan_id)
        return ScheduledLaunchPayload(scheduled_launch=ScheduledLaunch.of(plan))
