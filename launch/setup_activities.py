"""Activities on a machine: connect, install, and bring the game there.

Each may run again at any point, because another worker takes over the step of one that was killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from temporalio import activity

from errors import (
    ImageMissingError,
    MachineLostError,
    ProviderBusyError,
    ProviderRefusedError,
)
from fleet.machine_operations import OnBoard, address_of, find_slot, slot_for
from fleet.messages import Done
from fleet.power_state import while_on
from fleet.progress_signals import signal_progress
from fleet.save_upload import secure_saves
from launch.game_source import GameSource
from launch.messages import StepInput
from launch.records import require_launch, require_launched_vm
from launch.warnings import add_warning
from models.database import Database, Document
from models.golden_images import is_copied
from models.launches import Launch, LaunchStepName, StepStatus
from models.vms import Vm
from providers.base import ProgressCallback
from providers.registry import Registry
from streaming.machine import Address, GameToPlay, SaveSlot

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


class SetupActivities:
    def __init__(
        self, db: Database, streaming: OnMachine, games: GameSource, registry: Registry, *, poll_s: float = 1.0
    ) -> None:
        """Set up the activities. `poll_s`: pause between attempts while the machine is still being set up."""
        self._db = db
        self._streaming = streaming
        self._games = games
        self._registry = registry
        self._poll_s = poll_s

    @activity.defn(name="connect")
    async def connect(self, on: StepInput) -> Done:
        """Wait for SSH and pin the host key that the machine shows first."""
        vm = await require_launched_vm(self._db, on.vm_id)
        host_key = await while_on(self._registry, vm, self._streaming.read_host_key(address_of(vm)))
        if await is_copied(self._db, host_key):
            raise MachineLostError("the machine has the SSH host key of its disk image, which others have as well")
        await self._db.update(Vm, {"_id": vm.id, "ssh_host_key": vm.ssh_host_key}, {"$set": {"ssh_host_key": host_key}})
        return Done("The machine responds")

    @activity.defn(name="install")
    async def install(self, on: StepInput) -> Done:
        """Install the streaming server."""
        vm = await require_launched_vm(self._db, on.vm_id)
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
        launch, vm = await require_launch(self._db, on.launch_id), await require_launched_vm(self._db, on.vm_id)
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
        vm = await require_launched_vm(self._db, on.vm_id)
        await self._run_beside_setup(
            on, vm, lambda settled: self._streaming.mount_library(address_of(vm), may_install=settled)
        )
        return Done("The game library is mounted")

    @activity.defn(name="restore_saves")
    async def restore_saves(self, on: StepInput) -> Done:
        launch, vm = await require_launch(self._db, on.launch_id), await require_launched_vm(self._db, on.vm_id)
        await while_on(self._registry, vm, self._secure_other_saves(vm, launch))
        slot = slot_for(launch)
        files = await self._run_beside_setup(on, vm, lambda _: self._streaming.restore_saves(address_of(vm), slot))
        return Done(f"{files} save files restored" if files else "No saves yet: a fresh start")

    @activity.defn(name="configure_game")
    async def configure_game(self, on: StepInput) -> Done:
        """Configure the game. Afterwards it can be started: its image is on the machine, and Wolf lists it."""
        launch, vm = await require_launch(self._db, on.launch_id), await require_launched_vm(self._db, on.vm_id)
        report = signal_progress()

        async def configure(game: GameToPlay) -> str | None:
            return await while_on(self._registry, vm, self._streaming.configure_game(address_of(vm), game, report))

        lacking, _ = await self._with_game(launch, configure)
        playing: Document = {"game_id": launch.game_id, "game_launch_id": launch.id, "saves_pending": True}
        if launch.play_at is not None:
            playing["planned_for"] = launch.play_at
        await self._db.update(Vm, {"_id": vm.id}, {"$set": playing})
        done = "The game is set up" if launch.game_id else "The console is set up"
        if lacking is not None:
            await add_warning(self._db, launch.id, lacking)
        return Done(done if lacking is None else f"{done}. {lacking}")

    @activity.defn(name="verify_stream")
    async def verify_stream(self, on: StepInput) -> Done:
        vm = await require_launched_vm(self._db, on.vm_id)
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
        step = (await require_launch(self._db, on.launch_id)).steps[_INSTALL]
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
        game, why = played.game_id or "the console", (await require_launched_vm(self._db, vm.id)).saves_warning
        raise ProviderRefusedError(
            f"Saves of {game} exist on this machine alone. Launch {game} with the same save on it again, "
            f"or delete the machine and accept the loss. {why}"
        )


def _keeps_failing(info: activity.Info) -> bool:
    """Return whether retries have lasted long enough for a package mirror to recover.

    After that, another machine is the better attempt.
    """
    return info.attempt >= _INSTALLS and datetime.now(UTC) - info.scheduled_time > _INSTALLS_TAKE
