"""Activities of a launch: one for each step that is not the fleet's, and one that writes progress.

Each may run again at any point, because another worker takes over the step of one that was killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from temporalio import activity

from errors import (
    ImageMissingError,
    MachineLostError,
    NoCapacityError,
    NotFoundError,
    ProviderBusyError,
    ProviderDownError,
    ProviderRefusedError,
)
from fleet.inputs import VmRef
from fleet.machine_operations import OnBoard, address_of, find_slot, slot_for
from fleet.messages import Command, CommandRequest, Done, RentOrder, SiteFacts
from fleet.power_state import while_on
from fleet.progress_signals import signal_progress
from fleet.save_upload import secure_saves
from fleet.service import MachineCommandClient
from launch.game_source import GameSource
from launch.messages import Candidate, FullOffer, LaunchInput, OrderInput, Plan, StepInput
from launch.playable_time import PlayableTimes
from launch.progress import ProgressUpdate, WriteResult, write
from launch.ready_estimate import Estimator
from launch.warm_choice import WarmChoice
from launch.warnings import add_warning
from models.catalog import Console, console
from models.database import Database
from models.launch_times import PlayablePromise
from models.launches import Launch, LaunchStatus, LaunchStepName, StepStatus
from models.vms import Vm, VmStatus
from models.warm_machines import WarmMachine
from placement.coordinates import Position
from placement.ranking import Placements, RankedPlacement
from providers.base import Offer, PricePart, ProgressCallback
from providers.registry import Registry
from providers.tags import belongs_to
from streaming.machine import Address, GameToPlay, SaveSlot

_CANDIDATES = 10
_OF_EACH_CLOUD = 3  # at least, so that a launch can move to another cloud
_RANKED = 100
_INSTALLS = 6
_INSTALLS_TAKE = timedelta(minutes=10)
_SETUP_PAUSES = 2
_INSTALL = list(LaunchStepName).index(LaunchStepName.INSTALL_STREAMING)
# Time for work that may have to wait for the set-up, from the end of the set-up.
_DONE_WITHIN = timedelta(minutes=10)
_PULLED_WITHIN = timedelta(minutes=30)
_LAST_ATTEMPT = timedelta(minutes=1)

T = TypeVar("T")


class OnMachine(OnBoard, Protocol):
    """The operations on a machine over SSH that a launch needs, besides those of the fleet."""

    async def install(self, address: Address, tag: str, report: ProgressCallback) -> None: ...
    async def mount_library(self, address: Address, *, may_install: bool = True) -> None: ...
    async def restore_saves(self, address: Address, slot: SaveSlot) -> int: ...
    async def pull_image(self, address: Address, game: GameToPlay, report: ProgressCallback) -> None: ...
    async def configure_game(self, address: Address, game: GameToPlay, report: ProgressCallback) -> str | None: ...
    async def verify_stream(self, address: Address) -> None: ...


class LaunchActivities:
    def __init__(
        self,
        db: Database,
        placements: Placements,
        streaming: OnMachine,
        games: GameSource,
        machines: MachineCommandClient,
        registry: Registry,
        *,
        poll_s: float = 1.0,
        deployment: str = "main",
    ) -> None:
        """Set up the activities.

        `machines` sends commands to the machines' own workflows; `poll_s` is the pause while waiting for them. Only
        machines of `deployment` are reused.
        """
        self._deployment = deployment
        self._machines = machines
        self._registry = registry
        self._poll_s = poll_s
        self._db = db
        self._placements = placements
        self._streaming = streaming
        self._games = games
        self._estimator = Estimator(db)
        self._playable = PlayableTimes(db)
        self._warm = WarmChoice(db, self._playable, placements.weights, deployment)

    @activity.defn(name="tell")
    async def write_progress(self, note: ProgressUpdate) -> WriteResult:
        """Write a progress update, and with it the estimated time when the launch becomes ready."""
        written = await write(self._db, note)
        if written.accepted and note.begins:
            await self._estimator.renew(note.launch_id, note.at)
        if written.accepted and note.status is LaunchStatus.READY:
            await self._playable.record(note.launch_id, note.at)
        return written

    @activity.defn(name="choose")
    async def choose_placement(self, ticket: LaunchInput) -> Plan:
        """Return the player's own machine for this console, running or stopped, or else the ranked placements.

        What they promise the player is recorded.
        """
        launch = await self._launch(ticket.launch_id)
        plan = await self._plan(launch)
        await self._playable.promise(launch, await self._expected(launch, plan))
        return plan

    async def _expected(self, launch: Launch, plan: Plan) -> PlayablePromise | None:
        if plan.reuse_vm_id is not None:
            vm = await self._vm(plan.reuse_vm_id)
            return await self._playable.expected(vm.provider, vm.place.site_id, vm.preset, warm=True)
        if plan.warm and (ready := await self._db.get(WarmMachine, plan.warm[0])) is not None:
            promised = await self._playable.expected(ready.provider, ready.place.site_id, ready.preset, warm=True)
            if promised is not None:
                return promised
        offer = plan.candidates[0].offer
        preset = (await console(self._db, launch.console)).preset.name
        return await self._playable.expected(offer.provider, offer.site_id, preset)

    async def _plan(self, launch: Launch) -> Plan:
        if (own := await self._running_machine(launch)) is not None:
            # The player is about to use it, so it must not be stopped as idle now.
            await self._db.update(Vm, {"_id": own.id}, {"$set": {"last_activity_at": datetime.now(UTC)}})
            return Plan(message=f"Your machine in {own.place.city or own.place.country} is running", reuse_vm_id=own.id)
        wanted = await console(self._db, launch.console)
        asleep = await self._stopped_machine(launch, wanted)
        ranked = await self._rank(launch, wanted)
        if asleep is not None:
            where = asleep.place.city or asleep.place.country
            return Plan(
                message=f"Your stopped machine in {where} is being started, which is faster than setting up a new one",
                candidates=tuple(map(_candidate, ranked)),
                reuse_vm_id=asleep.id,
                asleep=True,
            )
        if not ranked:
            refusal = await self._placements.explain_empty(
                wanted, provider=launch.provider, max_usd_per_hour=launch.max_usd_per_hour
            )
            raise NoCapacityError(refusal.message)
        first = ranked[0]
        return Plan(
            message=f"{_where(first)}: {'; '.join(first.reasons[:3])}",
            candidates=tuple(map(_candidate, ranked)),
            warm=await self._warm.choose(launch, wanted, ranked),
        )

    async def _rank(self, launch: Launch, wanted: Console) -> list[RankedPlacement]:
        near = None
        if launch.latitude is not None and launch.longitude is not None:
            near = Position(launch.latitude, launch.longitude)
        try:
            ranked = await self._placements.rank(
                wanted,
                near,
                provider=launch.provider,
                max_usd_per_hour=launch.max_usd_per_hour,
                limit=_RANKED,
                measured=launch.measured,
            )
        except ProviderDownError as error:
            raise ProviderBusyError(error.message) from error
        return with_every_cloud(ranked)

    @activity.defn(name="wake")
    async def wake(self, ref: VmRef) -> Done:
        """Let the machine's own workflow start it and wait until it runs.

        Raises NoCapacityError if it cannot be started.
        """
        if not (
            await self._machines.ask_machine(ref.vm_id, CommandRequest(Command.START, "a launch needs it"))
        ).accepted:
            raise NoCapacityError("it cannot be started now")
        while True:
            vm = await self._vm(ref.vm_id)
            if vm.status is VmStatus.RUNNING:
                return Done("Your machine runs again")
            if vm.status is not VmStatus.STARTING:
                raise NoCapacityError(vm.detail or "it could not be started")
            await asyncio.sleep(self._poll_s)

    @activity.defn(name="order")
    async def prepare_order(self, wish: OrderInput) -> RentOrder:
        """Return the order for a candidate, with the console's preset and the limits of the launch."""
        chosen, candidate = wish.step, wish.candidate
        launch = await self._launch(chosen.launch_id)
        wanted = await console(self._db, launch.console)
        return RentOrder(
            vm_id=chosen.vm_id,
            launch_id=launch.id,
            user_id=launch.user_id,
            console=launch.console,
            preset=wanted.preset.name,
            game_id=launch.game_id,
            offer=candidate.offer,
            site=candidate.site,
            idle_stop_minutes=launch.idle_stop_minutes,
            max_session_hours=launch.max_session_hours,
        )

    @activity.defn(name="remember_full")
    async def record_full_offer(self, full: FullOffer) -> None:
        await self._placements.mark_offer_full(full.candidate.offer, full.reason)

    @activity.defn(name="connect")
    async def connect(self, on: StepInput) -> Done:
        """Wait for SSH and pin the host key that the machine shows first."""
        vm = await self._vm(on.vm_id)
        host_key = await while_on(self._registry, vm, self._streaming.read_host_key(address_of(vm)))
        await self._db.update(Vm, {"_id": vm.id, "ssh_host_key": vm.ssh_host_key}, {"$set": {"ssh_host_key": host_key}})
        return Done("The machine responds")

    @activity.defn(name="install")
    async def install(self, on: StepInput) -> Done:
        """Install the streaming server."""
        vm = await self._vm(on.vm_id)
        try:
            await while_on(self._registry, vm, self._streaming.install(address_of(vm), vm.tag, signal_progress()))
        except ProviderBusyError as error:
            if _keeps_failing(activity.info()):
                raise MachineLostError(f"the installation keeps failing: {error.message}") from error
            raise
        return Done("The streaming server is installed")

    @activity.defn(name="pull_image")
    async def pull_image(self, on: StepInput) -> Done:
        """Pull the emulator's image and core onto the machine, while it may still be being set up."""
        launch, vm = await self._launch(on.launch_id), await self._vm(on.vm_id)
        report = signal_progress()

        async def pull(game: GameToPlay) -> None:
            await self._run_beside_setup(
                on, vm, lambda _: self._streaming.pull_image(address_of(vm), game, report), _PULLED_WITHIN
            )

        _, remark = await self._with_game(launch, pull)
        done = "The emulator is on the machine"
        return Done(done if remark is None else f"{done}. {remark}")

    @activity.defn(name="mount_library")
    async def mount_library(self, on: StepInput) -> Done:
        """Mount the library. Installs nothing during the set-up, which needs the package manager."""
        vm = await self._vm(on.vm_id)
        await self._run_beside_setup(
            on, vm, lambda settled: self._streaming.mount_library(address_of(vm), may_install=settled)
        )
        return Done("The game library is mounted")

    @activity.defn(name="restore_saves")
    async def restore_saves(self, on: StepInput) -> Done:
        launch, vm = await self._launch(on.launch_id), await self._vm(on.vm_id)
        await while_on(self._registry, vm, self._secure_other_saves(vm, launch))
        slot = slot_for(launch)
        files = await self._run_beside_setup(on, vm, lambda _: self._streaming.restore_saves(address_of(vm), slot))
        return Done(f"{files} save files restored" if files else "No saves yet: a fresh start")

    @activity.defn(name="configure_game")
    async def configure_game(self, on: StepInput) -> Done:
        """Configure the game. Afterwards it can be started: its image is on the machine, and Wolf lists it."""
        launch, vm = await self._launch(on.launch_id), await self._vm(on.vm_id)
        report = signal_progress()

        async def configure(game: GameToPlay) -> str | None:
            return await while_on(self._registry, vm, self._streaming.configure_game(address_of(vm), game, report))

        lacking, _ = await self._with_game(launch, configure)
        playing = {"game_id": launch.game_id, "game_launch_id": launch.id, "saves_pending": True}
        await self._db.update(Vm, {"_id": vm.id}, {"$set": playing})
        done = "The game is set up" if launch.game_id else "The console is set up"
        if lacking is not None:
            await add_warning(self._db, launch.id, lacking)
        return Done(done if lacking is None else f"{done}. {lacking}")

    @activity.defn(name="verify_stream")
    async def verify_stream(self, on: StepInput) -> Done:
        vm = await self._vm(on.vm_id)
        await while_on(self._registry, vm, self._streaming.verify_stream(address_of(vm)))
        return Done("The stream responds")

    async def _with_game(self, launch: Launch, work: Callable[[GameToPlay], Awaitable[T]]) -> tuple[T, str | None]:
        """Run work with the launch's game; return its result, and a remark about the game's image.

        If the registry does not have the image, its tag is resolved again, and the work repeated once with the result.
        """
        game, remark = await self._games.game_to_play(launch)
        try:
            return await work(game), remark
        except ImageMissingError:
            missing = game.console.emulator.image
            game, remark = await self._games.game_to_play(launch, missing=missing)
            if game.console.emulator.image == missing:
                raise
            return await work(game), remark

    async def _run_beside_setup(
        self, on: StepInput, vm: Vm, work: Callable[[bool], Awaitable[T]], within: timedelta = _DONE_WITHIN
    ) -> T:
        """Run work on a machine that may still be being set up; `work` is called with whether that is finished.

        Until then the machine restarts and lacks programs, so failures are repeated here without being reported.
        Afterwards the work has the time `within`, because the step's own limit includes the whole set-up. Raises
        ProviderRefusedError when that is over.
        """
        while (set_up_at := await self._set_up_at(on)) is None:
            try:
                return await work(False)
            except ProviderBusyError:
                await asyncio.sleep(_SETUP_PAUSES * self._poll_s)
        left = max(set_up_at, activity.info().scheduled_time) + within - datetime.now(UTC)
        try:
            async with asyncio.timeout(max(left, _LAST_ATTEMPT).total_seconds()) as limit:
                return await while_on(self._registry, vm, work(True))
        except ProviderBusyError as error:
            if left > timedelta(0):
                raise
            raise ProviderRefusedError(f"it keeps failing: {error.message}") from error
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise ProviderRefusedError("it took too long") from error

    async def _set_up_at(self, on: StepInput) -> datetime | None:
        """Return when the installation was finished or skipped, or None if it is not."""
        step = (await self._launch(on.launch_id)).steps[_INSTALL]
        if step.status not in {StepStatus.DONE, StepStatus.SKIPPED}:
            return None
        return step.finished_at or datetime.now(UTC)

    async def _secure_other_saves(self, vm: Vm, launch: Launch) -> None:
        """Upload the saves of the game that was on this machine before another game's saves replace them.

        Raises ProviderRefusedError if saves remain on the machine alone, because nothing would look after them
        afterwards. A restore into the same home does this itself.
        """
        if vm.game_launch_id in {None, launch.id} or await secure_saves(self._db, self._streaming, vm):
            return
        played = await find_slot(self._db, vm)
        if played is None or played.home == slot_for(launch).home:
            return
        game, why = played.game_id or "the console", (await self._vm(vm.id)).saves_warning
        raise ProviderRefusedError(
            f"Saves of {game} exist on this machine alone. Launch {game} with the same save on it again, "
            f"or delete the machine and accept the loss. {why}"
        )

    async def _running_machine(self, launch: Launch) -> Vm | None:
        if launch.requested_vm_id is not None:
            vm = await self._db.get(Vm, launch.requested_vm_id)
            if vm is None or not self._is_usable(vm, launch) or vm.status is not VmStatus.RUNNING:
                raise ProviderRefusedError("the requested machine is no longer running")
            if not _within_cap(vm, launch):
                raise ProviderRefusedError("the requested machine costs more than the launch allows")
            return vm
        if launch.game_id is None:
            return None
        running, _ = await self._db.find_readable(
            Vm,
            {"user_id": launch.user_id, "status": VmStatus.RUNNING, "console": launch.console},
            sort=[("created_at", -1)],
            limit=_CANDIDATES,
        )
        return next((vm for vm in running if self._is_usable(vm, launch) and _within_cap(vm, launch)), None)

    def _is_usable(self, vm: Vm, launch: Launch) -> bool:
        return vm.user_id == launch.user_id and belongs_to(vm.tag, self._deployment)

    async def _stopped_machine(self, launch: Launch, wanted: Console) -> Vm | None:
        """Return a stopped machine of the player that matches the console's present settings and price limit."""
        if launch.game_id is None:
            return None
        stopped, _ = await self._db.find_readable(
            Vm,
            {"user_id": launch.user_id, "status": VmStatus.STOPPED, "console": launch.console},
            sort=[("created_at", -1)],
            limit=_CANDIDATES,
        )
        for vm in stopped:
            right_cloud = launch.provider in {None, vm.provider}
            gone = vm.id == launch.replaces_vm_id or not self._is_usable(vm, launch)
            if vm.preset is wanted.preset.name and right_cloud and _within_cap(vm, launch) and not gone:
                return vm
        return None

    async def _launch(self, launch_id: str) -> Launch:
        launch = await self._db.get(Launch, launch_id)
        if launch is None:
            raise NotFoundError(f"launch {launch_id} does not exist")
        return launch

    async def _vm(self, vm_id: str) -> Vm:
        vm = await self._db.get(Vm, vm_id)
        if vm is None:
            raise NotFoundError(f"VM {vm_id} does not exist")
        return vm


def _keeps_failing(info: activity.Info) -> bool:
    """Return whether retries have lasted long enough for a package mirror to recover.

    After that, another machine is the better attempt.
    """
    return info.attempt >= _INSTALLS and datetime.now(UTC) - info.scheduled_time > _INSTALLS_TAKE


def with_every_cloud(ranked: Sequence[RankedPlacement]) -> list[RankedPlacement]:
    """Return the best placements, followed by the best of each cloud that has too few among them."""
    chosen = list(ranked[:_CANDIDATES])
    for placement in ranked[_CANDIDATES:]:
        if sum(each.offer.provider is placement.offer.provider for each in chosen) < _OF_EACH_CLOUD:
            chosen.append(placement)
    return chosen


def _within_cap(vm: Vm, launch: Launch) -> bool:
    return launch.max_usd_per_hour is None or vm.usd_per_hour <= launch.max_usd_per_hour


def for_earlier_builds(offer: Offer) -> Offer:
    """Return the offer with only the price parts that builds before the external address know.

    The address counts as disk, which a stopped machine pays for too. A launch itself needs only the traffic.
    """
    extra = offer.usd_per_hour_for(PricePart.ADDRESS)
    if not extra:
        return offer
    lines = tuple(
        replace(line, usd_per_hour=line.usd_per_hour + extra) if line.part is PricePart.DISK else line
        for line in offer.lines
        if line.part is not PricePart.ADDRESS
    )
    return replace(offer, lines=lines)


def _candidate(placement: RankedPlacement) -> Candidate:
    located, position = placement.located, placement.located.position
    place = located.site.place
    return Candidate(
        offer=for_earlier_builds(placement.offer),
        site=SiteFacts(
            city=place.city,
            region=place.region,
            country=place.country,
            country_code=located.country_code,
            latitude=None if position is None else position.latitude,
            longitude=None if position is None else position.longitude,
        ),
        reasons=placement.reasons,
    )


def _where(placement: RankedPlacement) -> str:
    place = placement.located.site.place
    return place.city or place.region or place.country or "Somewhere"
