"""The launch workflow: nine steps, the next placement if a site is full, and compensation at the end.

The workflow itself only calls activities, so their order and every timer survive the death of any process. Independent
steps run in parallel: while the streaming server is installed, the emulator's image is pulled, the library mounted and
the saves restored. However a launch ends, all of its activities have ended before it releases its machine.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    FailureError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from fleet.activity_errors import describe, is_timeout, kind_of
    from fleet.inputs import MachineInput, VmRef
    from fleet.messages import ActivityNote, Done, Released, machine_workflow_id
    from fleet.power import PowerActivities
    from fleet.progress_signals import EARLIER_NOTE_SIGNAL, EARLIER_TROUBLE_SIGNAL, NOTE_SIGNAL
    from fleet.provisioning import ProvisioningActivities
    from fleet.unlimited_retries import ENDLESS
    from fleet.warm_pool.messages import TakenWarm, TakeWarm
    from fleet.warm_pool.taking import WarmTaking
    from launch.activities import LaunchActivities
    from launch.messages import Candidate, FullOffer, LaunchInput, OrderInput, Plan, ProgressLine, StepInput
    from launch.progress import AttemptNote, ProgressUpdate, WriteResult
    from launch.step_tracking import STEP_OF_ACTIVITY, StepTracking
    from models.launches import ENDED, LaunchStatus, LaunchStepName, StepStatus
    from providers.base import ProviderName

T = TypeVar("T")
Input = TypeVar("Input")

HEARTBEAT_TIMEOUT: Final = timedelta(seconds=5)
_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), backoff_coefficient=1.5, maximum_interval=timedelta(seconds=5)
)
_NOTE_TIME: Final = timedelta(seconds=20)
_RELEASE_TIME: Final = timedelta(minutes=30)
_TAKE_TIME: Final = timedelta(minutes=1)
_MACHINES_LOST_AT_MOST: Final = 3
# Time limits of steps with all retries, on real clouds.
_STEP_TIME: Final = {
    LaunchStepName.CHOOSE_PLACEMENT: timedelta(minutes=2),
    LaunchStepName.CREATE_VM: timedelta(minutes=10),
    LaunchStepName.BOOT: timedelta(minutes=15),
    LaunchStepName.CONNECT: timedelta(minutes=5),
    LaunchStepName.INSTALL_STREAMING: timedelta(minutes=60),
    LaunchStepName.MOUNT_LIBRARY: timedelta(minutes=10),
    LaunchStepName.RESTORE_SAVES: timedelta(minutes=10),
    LaunchStepName.CONFIGURE_GAME: timedelta(minutes=30),  # includes pulling the emulator's image
    LaunchStepName.VERIFY_STREAM: timedelta(minutes=5),
}
# At Google Cloud, CloudyPad also sets the machine up within this step.
_CREATE_TIME: Final = {ProviderName.CLOUDYPAD: timedelta(minutes=60)}
_GRAPH: Final = "steps-side-by-side"
_OF_THE_MACHINE: Final = {LaunchStepName.BOOT, LaunchStepName.CONNECT, LaunchStepName.INSTALL_STREAMING}
_BEGINNINGS: Final = {
    LaunchStepName.CHOOSE_PLACEMENT: "Looking for the best machine near you",
    LaunchStepName.CREATE_VM: "Renting the machine",
    LaunchStepName.BOOT: "The machine is starting",
    LaunchStepName.CONNECT: "Connecting to the machine",
    LaunchStepName.INSTALL_STREAMING: "Installing the streaming server",
    LaunchStepName.MOUNT_LIBRARY: "Mounting the game library",
    LaunchStepName.RESTORE_SAVES: "Restoring your saves",
    LaunchStepName.CONFIGURE_GAME: "Setting up the game",
    LaunchStepName.VERIFY_STREAM: "Checking the stream",
}


class _CancelledByPlayerError(Exception):
    """The record is CANCELLING, or Temporal received a cancel: leave, with compensation on the way out."""


class _FailedError(Exception):
    """The launch cannot become ready; the text gives the reason for the player."""


@workflow.defn(name="Launch")
class LaunchWorkflow:
    def __init__(self) -> None:
        self._launch_id = ""
        self._patience = 1.0
        self._sequence = 0
        self._steps = StepTracking()
        self._step: LaunchStepName | None = None  # the last one that began
        self._failed: LaunchStepName | None = None  # the first one that failed
        self._graph = False  # whether independent steps run in parallel
        self._vm_id: str | None = None
        self._rented_by_us = False
        self._pen = asyncio.Lock()

    @workflow.signal(name=NOTE_SIGNAL)
    async def receive_note(self, note: ActivityNote) -> None:
        """Receive a progress line, or a failed try. A line that arrives after its step's end is dropped."""
        step = STEP_OF_ACTIVITY.get(note.activity)
        if step in self._steps.running:
            await self._write_line(step, note.line, failed=note.failed)

    @workflow.signal(name=EARLIER_NOTE_SIGNAL)
    async def receive_earlier_line(self, note: ProgressLine) -> None:
        """Receive a line from an activity of an earlier build, for the step that began last."""
        if self._steps.running:
            await self._write_line(self._steps.running[-1], note.line)

    @workflow.signal(name=EARLIER_TROUBLE_SIGNAL)
    async def receive_earlier_failure(self, note: ProgressLine) -> None:
        """Receive a failed try from an activity of an earlier build."""
        if self._steps.running:
            await self._write_line(self._steps.running[-1], note.line, failed=True)

    async def _write_line(self, step: LaunchStepName, line: str, *, failed: bool = False) -> None:
        self._steps.move_on(workflow.now())
        if not failed:
            await self._write_event(LaunchStatus.RUNNING, line, step, StepStatus.RUNNING)
            return
        self._steps.note_trouble(step)
        line = f"{_BEGINNINGS[step]}: an attempt failed and is being repeated. {line}"
        await self._write_event(LaunchStatus.RUNNING, line, step, StepStatus.RUNNING, trouble=line)

    @workflow.run
    async def run(self, ticket: LaunchInput) -> LaunchStatus:
        self._launch_id, self._patience = ticket.launch_id, ticket.patience
        self._graph = workflow.patched(_GRAPH)
        try:
            await self._prepare(ticket)
            written = await self._write_event(LaunchStatus.READY, "Ready to play", progress=1.0)
            if not written.accepted:
                raise _CancelledByPlayerError
            status = LaunchStatus.READY
        except (asyncio.CancelledError, FailureError, _CancelledByPlayerError, _FailedError) as error:
            status = await _run_to_end(self._undo(error))
        await workflow.wait_condition(workflow.all_handlers_finished)
        return status

    async def _prepare(self, ticket: LaunchInput) -> None:
        plan: Plan = await self._do(
            LaunchStepName.CHOOSE_PLACEMENT, LaunchActivities.choose_placement, ticket, _message
        )
        if plan.reuse_vm_id is not None and (not plan.asleep or await self._wake(plan.reuse_vm_id)):
            await self._on_own_machine(plan.reuse_vm_id, woken=plan.asleep)
        elif not (plan.warm and await self._on_warm_machine(plan.warm)):
            await self._on_new_machine(plan.candidates)

    async def _wake(self, vm_id: str) -> bool:
        """Start the player's stopped machine.

        Returns False if its hardware is not available: a new machine is needed.
        """
        await self._skip(LaunchStepName.CREATE_VM, "Using your own machine")
        try:
            await self._do(LaunchStepName.BOOT, LaunchActivities.wake, VmRef(vm_id), _message)
        except ActivityError as error:
            if kind_of(error) not in {"NoCapacityError", "InvalidStateError"}:
                raise
            self._failed = None
            self._steps.restart([LaunchStepName.CHOOSE_PLACEMENT])
            message = f"Your machine could not be started: {describe(error)}. Using a new one"
            await self._write_event(LaunchStatus.RUNNING, message, restart=True)
            return False
        return True

    async def _on_own_machine(self, vm_id: str, *, woken: bool) -> None:
        """Run only the game's steps: the machine exists and already streams."""
        self._vm_id = vm_id
        if not woken:
            for step in (LaunchStepName.CREATE_VM, LaunchStepName.BOOT):
                await self._skip(step, "Using your running machine")
        on = StepInput(self._launch_id, vm_id)
        await self._do(LaunchStepName.CONNECT, LaunchActivities.connect, on, _message)
        await self._skip(LaunchStepName.INSTALL_STREAMING, "Already installed")
        if self._graph:
            await _run_together(*self._independent_steps(on, timedelta(0)))
            await self._run_last_steps(on)
        else:
            await self._run_game_steps(on)

    async def _on_warm_machine(self, machine_ids: tuple[str, ...]) -> bool:
        """Run the launch on a machine of the warm pool. Returns False if none could be taken and started."""
        taken = await self._take(TakeWarm(self._launch_id, machine_ids))
        if taken.vm_id is None:
            return False
        on = StepInput(self._launch_id, taken.vm_id)
        self._vm_id, self._rented_by_us, self._steps.provider = taken.vm_id, True, taken.provider
        step = LaunchStepName.CREATE_VM
        self._steps.finish(step, workflow.now())
        self._check_cancelled(
            await self._write_event(
                LaunchStatus.RUNNING,
                "Using a machine that is set up already",
                step,
                StepStatus.SKIPPED,
                vm_id=taken.vm_id,
                placed_with=taken.provider,
            )
        )
        try:
            await self._do(
                LaunchStepName.BOOT,
                PowerActivities.start,
                VmRef(taken.vm_id),
                lambda _: "The machine runs and responds",
            )
        except ActivityError as error:
            if kind_of(error) not in {"NoCapacityError", "MachineLostError"}:
                raise
            await self._leave_machine()
            message = f"The machine that was set up could not be started: {describe(error)}. Renting a new one"
            await self._write_event(LaunchStatus.RUNNING, message, restart=True)
            return False
        await self._do(LaunchStepName.CONNECT, LaunchActivities.connect, on, _message)
        await self._skip(LaunchStepName.INSTALL_STREAMING, "Already installed")
        await _run_together(*self._independent_steps(on, timedelta(0)))
        await self._run_last_steps(on)
        await self._hand_over(on)
        return True

    async def _take(self, wanted: TakeWarm) -> TakenWarm:
        """Take a machine of the pool. If that is interrupted, remember what was taken, so that it is released."""
        try:
            return await self._run(WarmTaking.take, wanted, time=_TAKE_TIME)
        except (asyncio.CancelledError, ActivityError) as error:
            taken: TakenWarm = await _run_to_end(self._record(WarmTaking.settle, wanted))
            self._vm_id, self._rented_by_us = taken.vm_id, taken.vm_id is not None
            if is_cancelled_exception(error):
                raise
            return taken

    async def _on_new_machine(self, candidates: tuple[Candidate, ...]) -> None:
        """Try the ranked candidates until the launch is finished on one."""
        self._vm_id = self._new_vm_id()
        lost = 0
        for candidate in candidates:
            started = workflow.now()
            if not await self._rent(candidate, started):
                continue
            try:
                await self._set_up(StepInput(self._launch_id, self._vm_id))
            except ActivityError as error:
                lost += 1
                if not _is_machine_hopeless(error, self._failed or self._step) or lost == _MACHINES_LOST_AT_MOST:
                    raise
                await self._leave(candidate, started, describe(error))
            else:
                return
        raise _FailedError("No location had a machine available; see `attempts`")

    async def _rent(self, candidate: Candidate, started: datetime) -> bool:
        """Try one candidate. Returns False if the site is full and nothing was rented, so that the next one may do."""
        assert self._vm_id is not None
        self._steps.provider = candidate.offer.provider
        await self._begin(LaunchStepName.CREATE_VM)
        wish = OrderInput(StepInput(self._launch_id, self._vm_id), candidate)
        order = await self._record(LaunchActivities.prepare_order, wish)
        self._rented_by_us = True
        try:
            done = await self._run(ProvisioningActivities.rent, order, time=self._create_time(candidate.offer.provider))
        except ActivityError as error:
            if kind_of(error) != "NoCapacityError":
                raise
            reason = describe(error)
            await self._record(LaunchActivities.record_full_offer, FullOffer(candidate, reason))
            await self._write_event(
                LaunchStatus.RUNNING,
                f"{candidate.site.city or candidate.site.country} is full: {reason}",
                LaunchStepName.CREATE_VM,
                StepStatus.RUNNING,
                attempt=_attempt(candidate, started, reason),
            )
            return False
        await self._finish(
            LaunchStepName.CREATE_VM,
            done.message,
            vm_id=self._vm_id,
            placed_with=candidate.offer.provider,
            attempt=_attempt(candidate, started, "rented"),
        )
        return True

    async def _set_up(self, on: StepInput) -> None:
        await self._do(LaunchStepName.BOOT, ProvisioningActivities.await_boot, VmRef(on.vm_id), _message)
        await self._do(LaunchStepName.CONNECT, LaunchActivities.connect, on, _message)
        if self._graph:
            install = self._do(LaunchStepName.INSTALL_STREAMING, LaunchActivities.install, on, _message)
            set_up_within = self._time(LaunchStepName.INSTALL_STREAMING)
            await _run_together(install, *self._independent_steps(on, set_up_within))
            await self._run_last_steps(on)
        else:
            await self._do(LaunchStepName.INSTALL_STREAMING, LaunchActivities.install, on, _message)
            await self._run_game_steps(on)
        await self._hand_over(on)

    async def _hand_over(self, on: StepInput) -> None:
        """Hand the machine over to the player and to its own workflow."""
        await self._record(ProvisioningActivities.mark_running, VmRef(on.vm_id))
        # The sweeper may have been faster: it starts one for every running machine that has none.
        with contextlib.suppress(WorkflowAlreadyStartedError):
            await workflow.start_child_workflow(
                "Machine",
                MachineInput(on.vm_id),
                id=machine_workflow_id(on.vm_id),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            )

    def _independent_steps(self, on: StepInput, set_up_within: timedelta) -> tuple[Coroutine[Any, Any, None], ...]:
        """Return the steps that need the machine, but neither Wolf nor each other.

        They may have to wait for the end of the set-up, so `set_up_within` is added to their time limits.
        """
        return (
            self._pull_image(on, set_up_within),
            self._run_alone(LaunchStepName.MOUNT_LIBRARY, LaunchActivities.mount_library, on, set_up_within),
            self._run_alone(LaunchStepName.RESTORE_SAVES, LaunchActivities.restore_saves, on, set_up_within),
        )

    async def _run_alone(
        self, step: LaunchStepName, work: Callable[[Any, StepInput], Awaitable[Done]], on: StepInput, extra: timedelta
    ) -> None:
        await self._begin(step)
        await self._finish(step, (await self._run_step(step, work, on, extra)).message)

    async def _pull_image(self, on: StepInput, extra: timedelta) -> None:
        """Begin CONFIGURE_GAME, which continues after the steps in parallel are done."""
        step = LaunchStepName.CONFIGURE_GAME
        await self._begin(step)
        done = await self._run_step(step, LaunchActivities.pull_image, on, extra)
        self._steps.move_on(workflow.now())
        self._check_cancelled(await self._write_event(LaunchStatus.RUNNING, done.message, step, StepStatus.RUNNING))

    async def _run_last_steps(self, on: StepInput) -> None:
        """Run the steps that need all others."""
        step = LaunchStepName.CONFIGURE_GAME
        done = await self._run_step(step, LaunchActivities.configure_game, on)
        await self._finish(step, done.message)
        await self._do(LaunchStepName.VERIFY_STREAM, LaunchActivities.verify_stream, on, _message)

    async def _run_game_steps(self, on: StepInput) -> None:
        """Run the steps one after another, for launches that an earlier build began."""
        await self._do(LaunchStepName.MOUNT_LIBRARY, LaunchActivities.mount_library, on, _message)
        await self._do(LaunchStepName.RESTORE_SAVES, LaunchActivities.restore_saves, on, _message)
        await self._do(LaunchStepName.CONFIGURE_GAME, LaunchActivities.configure_game, on, _message)
        await self._do(LaunchStepName.VERIFY_STREAM, LaunchActivities.verify_stream, on, _message)

    async def _leave(self, candidate: Candidate, started: datetime, reason: str) -> None:
        """Release this hopeless machine and reset the launch to where the next candidate begins."""
        await self._leave_machine()
        await self._write_event(
            LaunchStatus.RUNNING,
            f"The machine in {candidate.site.city or candidate.site.country} failed: {reason}. Trying the next one",
            attempt=_attempt(candidate, started, f"failed: {reason}"),
            restart=True,
        )

    async def _leave_machine(self) -> None:
        self._steps.stop()
        await self._release()
        self._vm_id = self._new_vm_id()
        self._rented_by_us = False
        self._failed = None
        self._steps.restart([LaunchStepName.CHOOSE_PLACEMENT])

    async def _undo(self, error: BaseException) -> LaunchStatus:
        """Compensate, then write the end. Both CANCELLED and FAILED wait for the cloud's confirmation.

        The machine is released at once, even while the database rejects writes.
        """
        unfinished = self._steps.stop()
        if not workflow.patched("release-before-notes"):
            cancelled = await self._write_why_it_ends(error)
            return await self._write_end(error, await self._release(), cancelled=cancelled)
        releasing = asyncio.create_task(self._release())
        try:
            cancelled = await self._write_why_it_ends(error)
            await self._skip_unfinished(unfinished)
        finally:
            released = await releasing
        return await self._write_end(error, released, cancelled=cancelled)

    async def _write_why_it_ends(self, error: BaseException) -> bool:
        """Write that the launch is ending; return whether its player cancelled it."""
        cancelled = isinstance(error, _CancelledByPlayerError) or is_cancelled_exception(error)
        failed = self._failed or self._step
        if not cancelled and failed is not None:
            # A step may fail because it was told to end, and a cancel may arrive now: the player requested it.
            written = await self._write_event(LaunchStatus.RUNNING, describe(error), failed, StepStatus.FAILED)
            cancelled = written.status is LaunchStatus.CANCELLING
        if cancelled:
            await self._write_event(LaunchStatus.CANCELLING, "Cancelling: the rented machine is being released")
        return cancelled

    async def _skip_unfinished(self, steps: list[LaunchStepName]) -> None:
        """Write that the steps in parallel ended with the failed one."""
        for step in steps:
            if self._graph and self._failed is not None and step is not self._failed:
                await self._write_event(LaunchStatus.RUNNING, "Ended with the launch", step, StepStatus.SKIPPED)

    async def _write_end(self, error: BaseException, released: Released, *, cancelled: bool) -> LaunchStatus:
        if cancelled and released.gone:
            return await self._end(LaunchStatus.CANCELLED, f"Cancelled. {released.message}")
        return await self._end(LaunchStatus.FAILED, describe(error) if released.gone else released.message)

    async def _end(self, status: LaunchStatus, message: str) -> LaunchStatus:
        failure = message if status is LaunchStatus.FAILED else None
        await self._write_event(status, message, failure=failure)
        return status

    async def _release(self) -> Released:
        """Release what this launch rented. A machine that it only used is left alone."""
        if self._vm_id is None or not self._rented_by_us:
            return Released(gone=True, message="Nothing was rented")
        try:
            vm = VmRef(self._vm_id)
            return await self._run(ProvisioningActivities.release, vm, time=_RELEASE_TIME * self._patience)
        except ActivityError:
            await self._record(ProvisioningActivities.give_up, vm)
            return Released(gone=False, message="The cloud has not confirmed the deletion; the sweeper will retry it")

    async def _do(
        self,
        step: LaunchStepName,
        work: Callable[[Any, Input], Awaitable[T]],
        message: Input,
        words: Callable[[T], str],
    ) -> T:
        """Run a step and write its beginning and end; a cancel that arrived in between takes effect."""
        await self._begin(step)
        result = await self._run_step(step, work, message)
        await self._finish(step, words(result))
        return result

    async def _run_step(
        self,
        step: LaunchStepName,
        work: Callable[[Any, Input], Awaitable[T]],
        message: Input,
        extra: timedelta = timedelta(0),
    ) -> T:
        """Run an activity of this step, and remember the step if it is the first that fails.

        `extra` is added to the step's time limit.
        """
        try:
            return await self._run(work, message, time=self._time(step) + extra)
        except ActivityError as error:
            if self._failed is None and not is_cancelled_exception(error):
                self._failed = step
            raise

    async def _begin(self, step: LaunchStepName) -> None:
        self._step = step
        self._steps.begin(step, workflow.now())
        self._check_cancelled(
            await self._write_event(LaunchStatus.RUNNING, _BEGINNINGS[step], step, StepStatus.RUNNING, begins=True)
        )

    async def _finish(self, step: LaunchStepName, message: str, **more: Any) -> None:
        trouble = "" if self._steps.finish(step, workflow.now()) else None
        self._check_cancelled(
            await self._write_event(LaunchStatus.RUNNING, message, step, StepStatus.DONE, trouble=trouble, **more)
        )

    async def _skip(self, step: LaunchStepName, message: str) -> None:
        self._steps.finish(step, workflow.now())
        self._check_cancelled(
            await self._write_event(LaunchStatus.RUNNING, message, step, StepStatus.SKIPPED, vm_id=self._vm_id)
        )

    def _check_cancelled(self, written: WriteResult) -> None:
        if written.status in ENDED:
            raise _FailedError("it was abandoned before it started")
        # A cancel that arrives while an activity is finishing raises nothing, so it is checked for.
        if written.status is LaunchStatus.CANCELLING or workflow.cancellation_reason() is not None:
            raise _CancelledByPlayerError

    async def _write_event(
        self,
        status: LaunchStatus,
        message: str,
        step: LaunchStepName | None = None,
        step_status: StepStatus | None = None,
        **more: Any,
    ) -> WriteResult:
        """Write the next event. Shielded from cancellation, so that no event is half written."""
        return await asyncio.shield(self._write(status, message, step, step_status, more))

    async def _write(
        self,
        status: LaunchStatus,
        message: str,
        step: LaunchStepName | None,
        step_status: StepStatus | None,
        more: dict[str, Any],
    ) -> WriteResult:
        async with self._pen:
            note = ProgressUpdate(
                launch_id=self._launch_id,
                sequence=self._sequence + 1,
                at=workflow.now(),
                status=status,
                message=message[:500],
                step=step,
                step_status=step_status,
                **{"progress": self._steps.progress, **more},
            )
            written: WriteResult = await self._record(LaunchActivities.write_progress, note)
            if written.accepted:
                self._sequence += 1
            return written

    async def _record(self, work: Callable[[Any, Input], Awaitable[T]], message: Input) -> T:
        """Run an activity that the records need, for as long as the database is unavailable."""
        return await self._run(work, message, time=ENDLESS, attempt_time=_NOTE_TIME)

    async def _run(
        self,
        work: Callable[[Any, Input], Awaitable[T]],
        message: Input,
        *,
        time: timedelta,
        attempt_time: timedelta | None = None,
    ) -> T:
        result: T = await workflow.execute_activity_method(
            work,
            message,
            schedule_to_close_timeout=time,
            start_to_close_timeout=attempt_time or time,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRY,
            # A create that may still be running must have ended before its undo begins.
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        return result

    def _time(self, step: LaunchStepName) -> timedelta:
        return _STEP_TIME[step] * self._patience

    def _create_time(self, provider: ProviderName) -> timedelta:
        return _CREATE_TIME.get(provider, _STEP_TIME[LaunchStepName.CREATE_VM]) * self._patience

    def _new_vm_id(self) -> str:
        return str(workflow.random().randrange(10**17, 10**18))


async def _run_together(*works: Coroutine[Any, Any, object]) -> None:
    """Run all in parallel. The first failure, or a cancel, ends the others; all have ended when this returns."""
    running = [asyncio.create_task(work) for work in works]
    try:
        await workflow.wait(running, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await _end_all(running)
    failures = [error for task in running if not task.cancelled() and (error := task.exception()) is not None]
    if failures:
        raise next((error for error in failures if not is_cancelled_exception(error)), failures[0])


async def _end_all(tasks: Sequence[asyncio.Task[object]]) -> None:
    """Cancel tasks and wait until all have ended, whatever cancels come in between."""
    for task in tasks:
        task.cancel()
    while not all(task.done() for task in tasks):
        with contextlib.suppress(asyncio.CancelledError):
            await workflow.wait(tasks)
    for task in tasks:
        _ = None if task.cancelled() else task.exception()  # retrieved, so that none is reported as lost


async def _run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Wait for this work, whatever cancels come in between."""
    working = asyncio.ensure_future(work)
    while not working.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(working)
    return working.result()


def _message(result: Any) -> str:
    return str(result.message)


def _attempt(candidate: Candidate, started: datetime, outcome: str) -> AttemptNote:
    return AttemptNote(candidate.offer.provider, candidate.offer.site_id, started, outcome)


def _is_machine_hopeless(error: ActivityError, step: LaunchStepName | None) -> bool:
    """Return whether another machine may do better: this one broke, or did not come up in time."""
    if kind_of(error) == "MachineLostError":
        return True
    return is_timeout(error) and step in _OF_THE_MACHINE
