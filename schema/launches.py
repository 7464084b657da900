"""Launches: types, queries, mutations and the progress subscription."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import strawberry

import models.launches
from errors import NotFoundError
from launch.orders import LaunchOrder
from resolvers import catalog, changes, launches, vms
from resolvers.context import Context
from resolvers.pagination import Page
from schema.arguments import After, AfterChange, First, Input, UserId
from schema.attempts import PlacementAttempt
from schema.catalog import Console
from schema.connections import CURSOR, EDGES, NODE, PAGE_INFO, PageInfo
from schema.enums import ConsoleType, LaunchStatus, LaunchStepName, ProviderName, StepStatus
from schema.execution.plan import Batch
from schema.ids import global_id, key_of
from schema.launch_times import PlayableIn
from schema.mutation_errors import ERRORS, ErrorsAsData, MutationError
from schema.node import Info, Node
from schema.places import CoordinatesInput, MeasuredRttInput, measured_by_site
from schema.records import made, resolved, same, show, shown_by
from schema.vms import VM


@strawberry.type(description="One of the nine steps of a launch.")
class LaunchStep:
    name: LaunchStepName = strawberry.field(description="The step's name.")
    status: StepStatus = strawberry.field(description="The state of the step.")
    started_at: datetime | None = strawberry.field(description="When the step began. Null if it has not begun.")
    finished_at: datetime | None = strawberry.field(description="When the step ended. Null if it has not ended.")
    detail: str | None = strawberry.field(
        description="More about the step, in words for the player. Null if there is nothing to add."
    )

    @classmethod
    def of(cls, step: models.launches.Step) -> LaunchStep:
        return cls(
            name=step.name,
            status=step.status,
            started_at=step.started_at,
            finished_at=step.finished_at,
            detail=step.detail,
        )


@strawberry.type(description="A player's request to play, from the request until the machine streams.")
class Launch(Node):
    status: LaunchStatus = strawberry.field(description="The state of the launch.")
    game_id: str | None = strawberry.field(
        description="The game to play. Null if a machine without a game was requested."
    )
    save_id: str | None = strawberry.field(description="The save slot to restore. Null: the player's default slot.")
    user_id: str = strawberry.field(description="The user who plays.")
    progress: float = strawberry.field(
        description="The progress from 0 to 1. It never falls within one placement attempt."
    )
    steps: list[LaunchStep] = strawberry.field(description="The steps of the launch, in order.")
    attempts: list[PlacementAttempt] = strawberry.field(description="The attempts to rent a machine, in order.")
    requested_at: datetime = strawberry.field(description="When the launch was requested.")
    ready_at: datetime | None = strawberry.field(
        description="When the machine was ready to stream. Null if it is not or was not."
    )
    estimated_ready_at: datetime | None = strawberry.field(
        description="When the machine is expected to be ready. Null if there is no estimate."
    )
    failure: str | None = strawberry.field(
        description="Why the launch failed, or why the service cancelled it. Null otherwise."
    )
    warning: str | None = strawberry.field(
        description="What will soon end the launch, such as a spending limit, why a step is being retried, or why the "
        "game will not start. Null if there is nothing to warn about."
    )
    playable_in: PlayableIn | None = strawberry.field(
        description="When the game was promised to be playable, from the request on. Null if nothing was known, or the "
        "machine is not chosen yet."
    )
    playable_after_seconds: float | None = strawberry.field(
        description="How long it took from the request until the game could be started. Null before that."
    )
    document: strawberry.Private[models.launches.Launch]

    @strawberry.field(
        description="The console to play.",
        metadata=Batch(lambda launch: launch.document.console, catalog.consoles_of, Console.of).metadata,
    )
    async def console(self, info: Info) -> Console:
        return Console.of(await catalog.console(info.context, self.document.console))

    @strawberry.field(
        description="The machine that the launch uses. Null until it has one.",
        metadata=Batch(lambda launch: launch.document.vm_id, vms.vms_of, VM.of).metadata,
    )
    async def vm(self, info: Info) -> VM | None:
        if self.document.vm_id is None:
            return None
        found = await vms.vm_of(info.context, self.document.vm_id)
        return None if found is None else VM.of(found)

    @classmethod
    def of(cls, launch: models.launches.Launch) -> Launch:
        """Return it as it is shown; a row needs the columns of the fields that are read."""
        return shown_by(cls, launch)


show(
    Launch,
    models.launches.Launch,
    ("id", "user_id", "requested_at"),
    {
        **same("status", "game_id", "save_id", "user_id", "progress", "requested_at", "ready_at"),
        **same("estimated_ready_at", "failure"),
        "id": made(lambda launch: global_id("Launch", launch.id), "id"),
        "steps": made(lambda launch: [LaunchStep.of(step) for step in launch.steps], "steps"),
        "attempts": made(lambda launch: [PlacementAttempt.of(one) for one in launch.attempts], "attempts"),
        "warning": made(lambda launch: launch.warnings, "warning", "trouble"),
        "playable_in": made(
            lambda launch: None if launch.promise is None else PlayableIn.of(launch.promise), "promises"
        ),
        "playable_after_seconds": made(
            lambda launch: None if launch.ready_at is None else (launch.ready_at - launch.requested_at).total_seconds(),
            "ready_at",
            "requested_at",
        ),
        "console": resolved("console"),
        "vm": resolved("vm_id"),
    },
)


@strawberry.type(description="One event of a launch.")
class LaunchProgress:
    launch_id: strawberry.ID = strawberry.field(description="The global id of the launch.")
    sequence: int = strawberry.field(description="The number of the event within its launch: 1, 2, 3, … without gaps.")
    at: datetime = strawberry.field(description="When the event happened.")
    status: LaunchStatus = strawberry.field(description="The launch's status at the event.")
    step: LaunchStepName | None = strawberry.field(
        description="The step that the event is about. Null if it is about the launch as a whole."
    )
    step_status: StepStatus | None = strawberry.field(description="The state of the step. Null if `step` is null.")
    progress: float = strawberry.field(description="The launch's progress from 0 to 1 at the event.")
    message: str = strawberry.field(description="The event in a sentence for the player.")
    event: strawberry.Private[models.launches.LaunchEvent]

    @strawberry.field(description="The launch as it is now.")
    async def launch(self, info: Info) -> Launch:
        found = await launches.launch_of(info.context, self.event.launch_id)
        assert found is not None, "a launch with an event exists"
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


@strawberry.type(description="One launch in a page, with its cursor.")
class LaunchEdge:
    cursor: str = strawberry.field(description=CURSOR)
    node: Launch = strawberry.field(description=NODE)


@strawberry.type(description="A page of launches.")
class LaunchConnection:
    edges: list[LaunchEdge] = strawberry.field(description=EDGES)
    page_info: PageInfo = strawberry.field(description=PAGE_INFO)

    @classmethod
    def of(cls, page: Page[models.launches.Launch]) -> LaunchConnection:
        edges = [LaunchEdge(cursor=c, node=Launch.of(one)) for c, one in zip(page.cursors, page.items, strict=True)]
        return cls(edges=edges, page_info=PageInfo.of(page))


@strawberry.type
class LaunchQuery:
    @strawberry.field(description="Look up a launch. Null if it does not exist or belongs to another user.")
    async def launch(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The global id of the launch.")]
    ) -> Launch | None:
        found = await launches.launch(info.context, key_of("Launch", id))
        return None if found is None else Launch.of(found)

    @strawberry.field(description="List launches, newest first. Players see their own.")
    async def launches(
        self,
        info: Info,
        status: Annotated[
            list[LaunchStatus] | None,
            strawberry.argument(description="Only launches with one of these statuses. Null: all."),
        ] = None,
        user_id: UserId = None,
        first: First = 50,
        after: After = None,
    ) -> LaunchConnection:
        return LaunchConnection.of(await launches.launches(info.context, status, user_id, first, after))


@strawberry.input(description="A machine to rent without a game.")
class CreateVmInput:
    console: ConsoleType = strawberry.field(
        description="The console to play. It decides the machine's size and its emulator."
    )
    location: CoordinatesInput | None = strawberry.field(
        default=None, description="The player's position. If omitted, the cheapest machine that fits is used."
    )
    provider: ProviderName | None = strawberry.field(
        default=None, description="The only cloud to use. If omitted, all clouds that the console enables are used."
    )
    max_hourly_price: Decimal | None = strawberry.field(
        default=None, description="The highest price per hour in USD. If omitted, only the console's own limits apply."
    )
    idle_stop_minutes: int | None = strawberry.field(
        default=None,
        description="How many minutes without play stop the machine: 1 to 1440. If omitted, the console's value is "
        "used.",
    )
    max_session_hours: float | None = strawberry.field(
        default=None,
        description="How many hours the machine may run: more than 0, at most 24. If omitted, the console's value is "
        "used.",
    )
    measured_rtt: list[MeasuredRttInput] | None = strawberry.field(
        default=None,
        description="Round trips that the player's device measured, at most 100. They replace the estimates of these "
        "sites in the ranking. A repeated request may send others.",
    )
    user_id: str | None = strawberry.field(
        default=None, description="The user who plays. Services and operators only; a player always plays as itself."
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="A key that makes the request safe to repeat: the same key from the same caller for the same user "
        "returns the same launch for at least a week. Reusing it with other arguments is refused with the "
        "code IDEMPOTENCY_KEY_REUSED.",
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
            measured=measured_by_site(self.measured_rtt),
        )


@strawberry.input(description="A game to play.")
class LaunchGameInput(CreateVmInput):
    game_id: str = strawberry.field(description="The id of the game: `Game.gameId`.")
    save_id: str | None = strawberry.field(
        default=None, description="The save slot to restore. If omitted, the player's default slot is used."
    )
    vm_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The machine to play on. If omitted, the user's running machine for the console is used, or else "
        "a new one is rented.",
    )

    def order(self, context: Context) -> LaunchOrder:
        vm_key = None if self.vm_id is None else key_of("VM", self.vm_id)
        if self.vm_id is not None and vm_key is None:
            raise NotFoundError("there is no such VM", ("vmId",))
        return replace(super().order(context), game_id=self.game_id, save_id=self.save_id, vm_id=vm_key)


@strawberry.input(description="The launch to cancel.")
class CancelLaunchInput:
    launch_id: strawberry.ID = strawberry.field(description="The global id of the launch.")


@strawberry.type(description="The result of requesting a launch.")
class LaunchGamePayload:
    launch: Launch | None = strawberry.field(default=None, description="The launch. Null if the request was refused.")
    errors: list[MutationError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The result of cancelling a launch.")
class CancelLaunchPayload:
    launch: Launch | None = strawberry.field(default=None, description="The launch. Null if the request was refused.")
    errors: list[MutationError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type
class LaunchMutation:
    @strawberry.mutation(
        description="Start a game on a machine near the player. If the same player already has a launch of the same "
        "console, game and save under way, that launch is returned.",
        extensions=[ErrorsAsData(LaunchGamePayload)],
    )
    async def launch_game(self, info: Info, input: Input[LaunchGameInput]) -> LaunchGamePayload:
        return LaunchGamePayload(launch=Launch.of(await launches.launch_game(info.context, input.order(info.context))))

    @strawberry.mutation(
        description="Rent a machine without a game. The launch ends when the machine is ready to stream.",
        extensions=[ErrorsAsData(LaunchGamePayload)],
    )
    async def create_vm(self, info: Info, input: Input[CreateVmInput]) -> LaunchGamePayload:
        return LaunchGamePayload(launch=Launch.of(await launches.create_vm(info.context, input.order(info.context))))

    @strawberry.mutation(
        description="Cancel a launch. It becomes CANCELLED once the cloud confirms that nothing of it is left.",
        extensions=[ErrorsAsData(CancelLaunchPayload)],
    )
    async def cancel_launch(self, info: Info, input: Input[CancelLaunchInput]) -> CancelLaunchPayload:
        cancelled = await launches.cancel_launch(info.context, key_of("Launch", input.launch_id))
        return CancelLaunchPayload(launch=Launch.of(cancelled))


@strawberry.type(description="One event of `launchChanges`.")
class LaunchChange:
    cursor: str = strawberry.field(
        description="Where to continue after a lost connection: pass it as `after`. Some events may then come twice."
    )
    launch: Launch | None = strawberry.field(
        description="The launch as it is now. Null in the first event, which says that no later change will be missed."
    )

    @classmethod
    def of(cls, seen: changes.Seen[models.launches.Launch]) -> LaunchChange:
        return cls(cursor=seen.cursor, launch=None if seen.record is None else Launch.of(seen.record))


@strawberry.type
class LaunchSubscription:
    @strawberry.subscription(
        description="Follow a launch: replays the events after a sequence, then sends each new event, and completes "
        "after the last."
    )
    async def launch_progress(
        self,
        info: Info,
        launch_id: Annotated[strawberry.ID, strawberry.argument(description="The global id of the launch.")],
        after: Annotated[
            int | None,
            strawberry.argument(
                description="The sequence of the last event that is already known. 0: replay all events."
            ),
        ] = 0,
    ) -> AsyncGenerator[LaunchProgress, None]:
        return _as_graphql(await launches.launch_progress(info.context, key_of("Launch", launch_id), after))

    @strawberry.subscription(
        description="Follow all launches that the caller may see: sends each launch whenever it changes, without an "
        "end. `launchProgress` sends the single events of one launch."
    )
    async def launch_changes(
        self,
        info: Info,
        status: Annotated[
            list[LaunchStatus] | None,
            strawberry.argument(
                description="Only launches with one of these statuses, and each launch once more when it leaves them. "
                "Null: all."
            ),
        ] = None,
        user_id: UserId = None,
        after: AfterChange = None,
    ) -> AsyncGenerator[LaunchChange, None]:
        return _changes_as_graphql(await changes.launch_changes(info.context, status, user_id, after))


async def _changes_as_graphql(
    events: AsyncGenerator[changes.Seen[models.launches.Launch], None],
) -> AsyncGenerator[LaunchChange, None]:
    async with aclosing(events):
        async for seen in events:
            yield LaunchChange.of(seen)


async def _as_graphql(
    events: AsyncGenerator[models.launches.LaunchEvent, None],
) -> AsyncGenerator[LaunchProgress, None]:
    async with aclosing(events):
        async for event in events:
            yield LaunchProgress.of(event)
