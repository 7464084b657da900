"""The launch workflow: nine steps, the next placement if a site is full, and compensation at the end.

The workflow itself only calls activities, so their order and every timer survive the death of any process. Independent
steps run in parallel: while the streaming server is installed, the emulator's image is pulled, the library mounted and
the saves restored. However a launch ends, all of its activities have ended before it releases its machine.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    FailureError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from fleet.activity_errors import describe, is_timeout, kind_of
    from fleet.inputs import VmRef
    from fleet.messages import ActivityNote, Released
    from fleet.power import PowerActivities
    from fleet.progress_signals import EARLIER_NOTE_SIGNAL, EARLIER_TROUBLE_SIGNAL, NOTE_SIGNAL
    from fleet.provisioning import ProvisioningActivities
    from fleet.release import ReleaseActivities
    from fleet.warm_pool.messages import TakenWarm, TakeWarm
    from fleet.warm_pool.taking import WarmTaking
    from launch.concurrent_steps import run_to_end
    from launch.machine_setup import MachineSetup, message_of
    from launch.messages import Candidate, FullOffer, LaunchInput, OrderInput, Plan, ProgressLine, StepInput
    from launch.placement_activities import PlacementActivities
    from launch.progress import AttemptNote
    from launch.step_runner import CancelledByPlayerError, FailedError, StepRunner
    from launch.step_tracking import STEP_OF_ACTIVITY
    from models.launches import LaunchStatus, LaunchStepName, StepStatus

_RELEASE_TIME: Final = timedelta(minutes=30)
_TAKE_TIME: Final = timedelta(minutes=1)
_MACHINES_LOST_AT_MOST: Final = 3
_GRAPH: Final = "steps-side-by-side"
_OF_THE_MACHINE: Final = {LaunchStepName.BOOT, LaunchStepName.CONNECT, LaunchStepName.INSTALL_STREAMING}


@workflow.defn(name="Launch")
class LaunchWorkflow:
    def __init__(self) -> None:
        self._runner = StepRunner()
        self._parallel = False  # whether independent steps run in parallel
        self._setup = MachineSetup(self._runner, parallel=False)
        self._vm_id: str | None = None
        self._rented_by_us = False

    @workflow.signal(name=NOTE_SIGNAL)
    async def receive_note(self, note: ActivityNote) -> None:
        """Receive a progress line, or a failed try. A line that arrives after its step's end is dropped."""
        step = STEP_OF_ACTIVITY.get(note.activity)
        if step in self._runner.steps.running:
            await self._runner.write_line(step, note.line, failed=note.failed)

    @workflow.signal(name=EARLIER_NOTE_SIGNAL)
    async def receive_earlier_line(self, note: ProgressLine) -> None:
        """Receive a line from an activity of an earlier build, for the step that began last."""
        if self._runner.steps.running:
            await self._runner.write_line(self._runner.steps.running[-1], note.line)

    @workflow.signal(name=EARLIER_TROUBLE_SIGNAL)
    async def receive_earlier_failure(self, note: ProgressLine) -> None:
        """Receive a failed try from an activity of an earlier build."""
        if self._runner.steps.running:
            await self._runner.write_line(self._runner.steps.running[-1], note.line, failed=True)

    @workflow.run
    async def run(self, ticket: LaunchInput) -> LaunchStatus:
        self._runner.launch_id, self._runner.patience = ticket.launch_id, ticket.patience
        self._parallel = workflow.patched(_GRAPH)
        self._setup = MachineSetup(self._runner, parallel=self._parallel)
        try:
            await self._prepare(ticket)
            written = await self._runner.write_event(LaunchStatus.READY, "Ready to play", progress=1.0)
            if not written.accepted:
                raise CancelledByPlayerError
            status = LaunchStatus.READY
        except (asyncio.CancelledError, FailureError, CancelledByPlayerError, FailedError) as error:
            status = await run_to_end(self._undo(error))
        await workflow.wait_condition(workflow.all_handlers_finished)
        return status

    async def _prepare(self, ticket: LaunchInput) -> None:
        plan: Plan = await self._runner.do_step(
            LaunchStepName.CHOOSE_PLACEMENT, PlacementActivities.choose_placement, ticket, message_of
        )
        if plan.reuse_vm_id is not None and (not plan.asleep or await self._wake(plan.reuse_vm_id)):
            await self._use_own_machine(plan.reuse_vm_id, woken=plan.asleep)
        elif not (plan.warm and await self._use_warm_machine(plan.warm)):
            await self._use_new_machine(plan.candidates)

    async def _wake(self, vm_id: str) -> bool:
        """Start the player's stopped machine.

        Returns False if its hardware is not available: a new machine is needed.
        """
        await self._runner.skip(LaunchStepName.CREATE_VM, "Using your own machine", self._vm_id)
        try:
            await self._runner.do_step(LaunchStepName.BOOT, PlacementActivities.wake, VmRef(vm_id), message_of)
        except ActivityError as error:
            if kind_of(error) not in {"NoCapacityError", "InvalidStateError"}:
                raise
            self._runner.failed = None
            self._runner.steps.restart([LaunchStepName.CHOOSE_PLACEMENT])
            message = f"Your machine could not be started: {describe(error)}. Using a new one"
            await self._runner.write_event(LaunchStatus.RUNNING, message, restart=True)
            return False
        return True

    async def _use_own_machine(self, vm_id: str, *, woken: bool) -> None:
        """Run only the game's steps: the machine exists and already streams."""
        self._vm_id = vm_id
        if not woken:
            for step in (LaunchStepName.CREATE_VM, LaunchStepName.BOOT):
                await self._runner.skip(step, "Using your running machine", self._vm_id)
        await self._setup.set_up_game(StepInput(self._runner.launch_id, vm_id))

    async def _use_warm_machine(self, machine_ids: tuple[str, ...]) -> bool:
        """Run the launch on a machine of the warm pool. Returns False if none could be taken and used."""
        taken = await self._take(TakeWarm(self._runner.launch_id, machine_ids))
        if taken.vm_id is None:
            return False
        on = StepInput(self._runner.launch_id, taken.vm_id)
        self._vm_id, self._rented_by_us, self._runner.steps.provider = taken.vm_id, True, taken.provider
        step = LaunchStepName.CREATE_VM
        self._runner.steps.finish(step, workflow.now())
        self._runner.check_cancelled(
            await self._runner.write_event(
                LaunchStatus.RUNNING,
                "Using a machine that is set up already",
                step,
                StepStatus.SKIPPED,
                vm_id=taken.vm_id,
                placed_with=taken.provider,
            )
        )
        try:
            await self._runner.do_step(
                LaunchStepName.BOOT,
                PowerActivities.start,
                VmRef(taken.vm_id),
                lambda _: "The machine runs and responds",
            )
            await self._setup.set_up_game(on)
        except ActivityError as error:
            failed = self._runner.failed or self._runner.step
            if kind_of(error) != "NoCapacityError" and not _is_machine_hopeless(error, failed):
                raise
            await self._leave_machine()
            message = f"The machine that was set up cannot be used: {describe(error)}. Renting a new one"
            await self._runner.write_event(LaunchStatus.RUNNING, message, restart=True)
            return False
        await self._setup.hand_over(on)
        return True

    async def _take(self, wanted: TakeWarm) -> TakenWarm:
        """Take a machine of the pool. If that is interrupted, remember what was taken, so that it is released."""
        try:
            return await self._runner.run(WarmTaking.take, wanted, time=_TAKE_TIME)
        except (asyncio.CancelledError, ActivityError) as error:
            taken: TakenWarm = await run_to_end(self._runner.record(WarmTaking.settle, wanted))
            self._vm_id, self._rented_by_us = taken.vm_id, taken.vm_id is not None
            if is_cancelled_exception(error):
                raise
            return taken

    async def _use_new_machine(self, candidates: tuple[Candidate, ...]) -> None:
        """Try the ranked candidates until the launch is finished on one."""
        self._vm_id = self._new_vm_id()
        lost = 0
        for candidate in candidates:
            started = workflow.now()
            if not await self._rent(candidate, started):
                continue
            try:
                await self._setup.set_up(StepInput(self._runner.launch_id, self._vm_id))
            except ActivityError as error:
                lost += 1
                if (
                    not _is_machine_hopeless(error, self._runner.failed or self._runner.step)
                    or lost == _MACHINES_LOST_AT_MOST
                ):
                    raise
                await self._leave(candidate, started, describe(error))
            else:
                return
        raise FailedError("No location had a machine available; see `attempts`")

    async def _rent(self, candidate: Candidate, started: datetime) -> bool:
        """Try one candidate. Returns False if the site is full and nothing was rented, so that the next one may do."""
        assert self._vm_id is not None
        self._runner.steps.provider = candidate.offer.provider
        await self._runner.begin(LaunchStepName.CREATE_VM)
        wish = OrderInput(StepInput(self._runner.launch_id, self._vm_id), candidate)
        order = await self._runner.record(PlacementActivities.prepare_order, wish)
        self._rented_by_us = True
        try:
            done = await self._runner.run(
                ProvisioningActivities.rent, order, time=self._runner.create_time(candidate.offer.provider)
            )
        except ActivityError as error:
            if kind_of(error) != "NoCapacityError":
                raise
            reason = describe(error)
            await self._runner.record(PlacementActivities.record_full_offer, FullOffer(candidate, reason))
            await self._runner.write_event(
                LaunchStatus.RUNNING,
                f"{candidate.site.city or candidate.site.country} is full: {reason}",
                LaunchStepName.CREATE_VM,
                StepStatus.RUNNING,
                attempt=_attempt(candidate, started, reason),
            )
            return False
        await self._runner.finish(
            LaunchStepName.CREATE_VM,
            done.message,
            vm_id=self._vm_id,
            placed_with=candidate.offer.provider,
            attempt=_attempt(candidate, started, "rented"),
        )
        return True

    async def _leave(self, candidate: Candidate, started: datetime, reason: str) -> None:
        """Release this hopeless machine and reset the launch to where the next candidate begins."""
        await self._leave_machine()
        await self._runner.write_event(
            LaunchStatus.RUNNING,
            f"The machine in {candidate.site.city or candidate.site.country} failed: {reason}. Trying the next one",
            attempt=_attempt(candidate, started, f"failed: {reason}"),
            restart=True,
        )

    async def _leave_machine(self) -> None:
        self._runner.steps.stop()
        await self._release()
        self._vm_id = self._new_vm_id()
        self._rented_by_us = False
        self._runner.failed = None
        self._runner.steps.restart([LaunchStepName.CHOOSE_PLACEMENT])

    async def _undo(self, error: BaseException) -> LaunchStatus:
        """Compensate, then write the end. Both CANCELLED and FAILED wait for the cloud's confirmation.

        The machine is released at once, even while the database rejects writes.
        """
        unfinished = self._runner.steps.stop()
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
        cancelled = isinstance(error, CancelledByPlayerError) or is_cancelled_exception(error)
        failed = self._runner.failed or self._runner.step
        if not cancelled and failed is not None:
            # A step may fail because it was told to end, and a cancel may arrive now: the player requested it.
            written = await self._runner.write_event(LaunchStatus.RUNNING, describe(error), failed, StepStatus.FAILED)
            cancelled = written.status is LaunchStatus.CANCELLING
        if cancelled:
            await self._runner.write_event(LaunchStatus.CANCELLING, "Cancelling: the rented machine is being released")
        return cancelled

    async def _skip_unfinished(self, steps: list[LaunchStepName]) -> None:
        """Write that the steps in parallel ended with the failed one."""
        for step in steps:
            if self._parallel and self._runner.failed is not None and step is not self._runner.failed:
                await self._runner.write_event(LaunchStatus.RUNNING, "Ended with the launch", step, StepStatus.SKIPPED)

    async def _write_end(self, error: BaseException, released: Released, *, cancelled: bool) -> LaunchStatus:
        if cancelled and released.gone:
            return await self._end(LaunchStatus.CANCELLED, f"Cancelled. {released.message}")
        return await self._end(LaunchStatus.FAILED, describe(error) if released.gone else released.message)

    async def _end(self, status: LaunchStatus, message: str) -> LaunchStatus:
        failure = message if status is LaunchStatus.FAILED else None
        await self._runner.write_event(status, message, failure=failure)
        return status

    async def _release(self) -> Released:
        """Release what this launch rented. A machine that it only used is left alone."""
        if self._vm_id is None or not self._rented_by_us:
            return Released(gone=True, message="Nothing was rented")
        try:
            vm = VmRef(self._vm_id)
            return await self._runner.run(ReleaseActivities.release, vm, time=_RELEASE_TIME * self._runner.patience)
        except ActivityError:
            await self._runner.record(ReleaseActivities.give_up, vm)
            return Released(gone=False, message="The cloud has not confirmed the deletion; the sweeper will retry it")

    def _new_vm_id(self) -> str:
        return str(workflow.random().randrange(10**17, 10**18))


def _attempt(candidate: Candidate, started: datetime, outcome: str) -> AttemptNote:
    return AttemptNote(candidate.offer.provider, candidate.offer.site_id, started, outcome)


def _is_machine_hopeless(error: ActivityError, step: LaunchStepName | None) -> bool:
    """Return whether another machine may do better: this one broke, or did not come up in time."""
    if kind_of(error) == "MachineLostError":
        return True
    return is_timeout(error) and step in _OF_THE_MACHINE
