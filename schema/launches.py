"""Launches."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import strawberry

import models.launches
from errors import NotFoundError
from launch.service import LaunchOrder
from resolvers import catalog, launches, vms
from resolvers.context import Context
from resolvers.pagination import Page
from schema.attempts import PlacementAttempt
from schema.catalog import Console
from schema.connections import PageInfo
from schema.enums import ConsoleType, LaunchStatus, LaunchStepName, ProviderName, StepStatus
from schema.ids import global_id, key_of
from schema.mutation_errors import ErrorsAsData, MutationError
from schema.node import Info, Node
from schema.places import CoordinatesInput
from schema.vms import VM


@strawberry.type
class LaunchStep:
    name: LaunchStepName
    status: StepStatus
    started_at: datetime | None
    finished_at: datetime | None
    detail: str | None

    @classmethod
    def of(cls, step: models.launches.Step) -> LaunchStep:
        return cls(
            name=step.name,
            status=step.status,
            started_at=step.started_at,
            finished_at=step.finished_at,
            detail=step.detail,
        )


@strawberry.type(description="A wish to play, from the request until the machine streams.")
class Launch(Node):
    status: LaunchStatus
    game_id: str | None
    save_id: str | None
    user_id: str
    progress: float = strawberry.field(description="0 to 1. Never falls within an attempt.")
    steps: list[LaunchStep]
    attempts: list[PlacementAttempt]
    requested_at: datetime
    ready_at: datetime | None
    estimated_ready_at: datetime | None
    failure: str | None = strawberry.field(description="Why it failed, or why the service cancelled it.")
    warning: str | None = strawberry.field(
        description="What will end it soon, such as a spending limit, or why a step is tried again."
    )
    document: strawberry.Private[models.launches.Launch]

    @strawberry.field
    async def console(self, info: Info) -> Console:
        return Console.of(await catalog.console(info.context, self.document.console))

    @strawberry.field
    async def vm(self, info: Info) -> VM | None:
        if self.document.vm_id is None:
            return None
        found = await vms.vm_of(info.context, self.document.vm_id)
        return None if found is None else VM.of(found)

    @classmethod
    def of(cls, launch: models.launches.Launch) -> Launch:
        return cls(
            id=global_id("Launch", launch.id),
            status=launch.status,
            game_id=launch.game_id,
            save_id=launch.save_id,
            user_id=launch.user_id,
            progress=launch.progress,
            steps=[LaunchStep.of(step) for step in launch.steps],
            attempts=[PlacementAttempt.of(attempt) for attempt in launch.attempts],
            requested_at=launch.requested_at,
            ready_at=launch.ready_at,
            estimated_ready_at=launch.estimated_ready_at,
            failure=launch.failure,
            warning=launch.warnings,
            document=launch,
        )


@strawberry.type(description="An event of a launch. `sequence` is 1, 2, 3, ... without gaps.")
class LaunchProgress:
    launch_id: strawberry.ID
    sequence: int
    at: datetime
    status: LaunchStatus
    step: LaunchStepName | None
    step_status: StepStatus | None
    progress: float
    message: str
    event: strawberry.Private[models.launches.LaunchEvent]

    @strawberry.field(description="The launch as it is now.")
    async def launch(self, info: Info) -> Launch:
        found = await launches.launch_of(info.context, self.event.launch_id)
        assert found is not None, "a launch that tells of itself exists"
        return Launch.of(found)

    @classmethod
    def of(cls, event: models.launches.LaunchEvent) -> LaunchProgress:
        return cls(
            launch_id=global_id("Launch", event.launch_id),
            sequence=event.sequence,
            at=event.at,
            status=event.status,
            step=event.step,
            step_status=event.step_status,
            progress=event.progress,
            message=event.message,
            event=event,
        )


@strawberry.type
class LaunchEdge:
    cursor: str
    node: Launch


@strawberry.type
class LaunchConnection:
    edges: list[LaunchEdge]
    page_info: PageInfo

    @classmethod
    def of(cls, page: Page[models.launches.Launch]) -> LaunchConnection:
        edges = [LaunchEdge(cursor=c, node=Launch.of(one)) for c, one in zip(page.cursors, page.items, strict=True)]
        return cls(edges=edges, page_info=PageInfo.of(page))


@strawberry.type
class LaunchQuery:
    @strawberry.field(description="Null alike for an unknown launch and somebody else's.")
    async def launch(self, info: Info, id: strawberry.ID) -> Launch | None:
        found = await launches.launch(info.context, key_of("Launch", id))
        return None if found is None else Launch.of(found)

    @strawberry.field(description="Newest first. `userId` is for services and operators.")
    async def launches(
        self,
        info: Info,
        status: list[LaunchStatus] | None = None,
        user_id: str | None = None,
        first: int | None = 50,
        after: str | None = None,
    ) -> LaunchConnection:
        return LaunchConnection.of(await launches.launches(info.context, status, user_id, first, after))


@strawberry.input
class CreateVmInput:
    console: ConsoleType
    location: CoordinatesInput | None = strawberry.field(
        default=None, description="Where the player is. Without it the cheapest machine that fits is taken."
    )
    provider: ProviderName | None = strawberry.field(default=None, description="Only this cloud.")
    max_hourly_price: Decimal | None = strawberry.field(default=None, description="USD.")
    idle_stop_minutes: int | None = None
    max_session_hours: float | None = None
    user_id: str | None = strawberry.field(
        default=None, description="Who plays. For services and operators; a player is always itself."
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="The same key from the same caller for the same user gives back the same launch, for a week at "
        "least. With other arguments it is refused with the code IDEMPOTENCY_KEY_REUSED.",
    )

    def order(self, context: Context) -> LaunchOrder:
        return LaunchOrder(
            caller_id=context.caller.id,
            user_id=launches.user_to_play(context, self.user_id),
            console=self.console,
            game_id=None,
            near=self.location.position("location") if self.location else None,
            provider=self.provider,
            max_usd_per_hour=self.max_hourly_price,
            idle_stop_minutes=self.idle_stop_minutes,
            max_session_hours=self.max_session_hours,
            idempotency_key=self.idempotency_key,
        )


@strawberry.input
class LaunchGameInput(CreateVmInput):
    game_id: str
    save_id: str | None = strawberry.field(default=None, description="The save slot to restore.")
    vm_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="On this machine. Without it: the caller's running machine for the console, else a new one.",
    )

    def order(self, context: Context) -> LaunchOrder:
        vm_key = None if self.vm_id is None else key_of("VM", self.vm_id)
        if self.vm_id is not None and vm_key is None:
            raise NotFoundError("there is no such machine", ("vmId",))
        return replace(super().order(context), game_id=self.game_id, save_id=self.save_id, vm_id=vm_key)


@strawberry.input
class CancelLaunchInput:
    launch_id: strawberry.ID


@strawberry.type
class LaunchGamePayload:
    launch: Launch | None = None
    errors: list[MutationError] = strawberry.field(default_factory=list)


@strawberry.type
class CancelLaunchPayload:
    launch: Launch | None = None
    errors: list[MutationError] = strawberry.field(default_factory=list)


@strawberry.type
class LaunchMutation:
    @strawberry.mutation(
        description="Start a game near the player. While a launch of the same player, console, game and save is under "
        "way, the answer is that launch.",
        extensions=[ErrorsAsData(LaunchGamePayload)],
    )
    async def launch_game(self, info: Info, input: LaunchGameInput) -> LaunchGamePayload:
        return LaunchGamePayload(launch=Launch.of(await launches.launch_game(info.context, input.order(info.context))))

    @strawberry.mutation(
        description="Rent a machine without a game: the launch ends when it streams.",
        extensions=[ErrorsAsData(LaunchGamePayload)],
    )
    async def create_vm(self, info: Info, input: CreateVmInput) -> LaunchGamePayload:
        return LaunchGamePayload(launch=Launch.of(await launches.create_vm(info.context, input.order(info.context))))

    @strawberry.mutation(
        description="Ask for the end of a launch. It is CANCELLED when the cloud confirms that nothing is left.",
        extensions=[ErrorsAsData(CancelLaunchPayload)],
    )
    async def cancel_launch(self, info: Info, input: CancelLaunchInput) -> CancelLaunchPayload:
        cancelled = await launches.cancel_launch(info.context, key_of("Launch", input.launch_id))
        return CancelLaunchPayload(launch=Launch.of(cancelled))


@strawberry.type
class LaunchSubscription:
    @strawberry.subscription(
        description="Replays what came after a sequence, then follows; completes after the last event."
    )
    async def launch_progress(
        self, info: Info, launch_id: strawberry.ID, after: int | None = 0
    ) -> AsyncGenerator[LaunchProgress, None]:
        return _told(await launches.launch_progress(info.context, key_of("Launch", launch_id), after))


async def _told(events: AsyncGenerator[models.launches.LaunchEvent, None]) -> AsyncGenerator[LaunchProgress, None]:
    async with aclosing(events):
        async for event in events:
            yield LaunchProgress.of(event)
