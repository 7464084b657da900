"""A machine's workflow after its launch: the only writer of its status until it is gone.

Commands arrive as updates and are executed one after another; in between, the machine is monitored.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from fleet.activity_errors import describe, kind_of
    from fleet.inputs import (
        CheckInput,
        LostMachine,
        MachineInput,
        PairDevice,
        Replacement,
        SavesWarning,
        StatusChange,
        VmRef,
    )
    from fleet.interruptions import (
        SAVE_WITHIN,
        InterruptionActivities,
        NoticeRecord,
        TakenMachine,
        TimedSave,
    )
    from fleet.messages import (
        ALLOWED_IN,
        NO_OP_IN,
        Command,
        CommandRequest,
        CommandResult,
        Incident,
        IncidentKind,
        MonitorState,
        PairResult,
        Pin,
    )
    from fleet.monitoring import MonitoringActivities
    from fleet.notice_listener import NoticeListener
    from fleet.power import PowerActivities
    from fleet.provisioning import ProvisioningActivities
    from fleet.unlimited_retries import ENDLESS
    from models.vms import ENDED, Notice, VmStatus

T = TypeVar("T")
Input = TypeVar("Input")

_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), backoff_coefficient=1.5, maximum_interval=timedelta(seconds=10)
)
_RESCUE_TIME: Final = timedelta(seconds=15)
_SAVE_TIME: Final = timedelta(minutes=5)
_POWER_TIME: Final = timedelta(minutes=20)
_RELEASE_TIME: Final = timedelta(minutes=30)
_PAIR_TIME: Final = timedelta(seconds=40)
_TURN: Final = timedelta(seconds=4)  # less than a caller waits for a response
_BETWEEN: Final = frozenset({VmStatus.STOPPING, VmStatus.STARTING, VmStatus.DELETING})
_PAUSE: Final = timedelta(seconds=5)
_BEAT: Final = timedelta(seconds=10)


@workflow.defn(name="Machine")
class MachineWorkflow:
    def __init__(self) -> None:
        self._vm_id = ""
        self._status = VmStatus.RUNNING
        self._asked: deque[CommandRequest] = deque()
        self._busy = False  # a command or an incident is being handled
        self._number = 0  # of the last accepted command
        self._begun = 0  # of the last command that has changed the status
        self._late = 0  # of the last command whose time was up before it could begin
        self._refused: int | None = None  # commands with greater numbers were never executed
        self._acting_on: IncidentKind | None = None  # an incident that is being handled

        self._notices = NoticeListener()
        self._memory = MonitorState()
        self._looked = False  # whether the machine was checked in this run
        self._knows_status = False  # this run has read it

    @workflow.run
    async def run(self, machine: MachineInput) -> None:
        self._vm_id = machine.vm_id
        self._memory = machine.memory or self._memory
        self._status = await self._read_status()
        self._knows_status = True
        while self._status not in ENDED:
            if self._asked:
                await self._carry_out(self._asked.popleft())
            elif self._notices.has_notice:
                await self._take_notice()
            elif self._has_reason_to_continue_as_new():
                # A command that arrives now is executed first: its handler would wait for it in vain.
                await workflow.wait_condition(lambda: bool(self._asked) or workflow.all_handlers_finished())
                if not self._asked:
                    await self._notices.stop()
                    self._continue_as_new()
            elif (seen := await self._watch()) is not None and not self._asked:
                await self._handle(seen)
        await self._notices.stop()
        if self._asked and workflow.patched("answer-at-the-end"):
            self._refused = self._number - len(self._asked)
            self._asked.clear()
            self._begun = self._number
        await workflow.wait_condition(workflow.all_handlers_finished)

    def _has_reason_to_continue_as_new(self) -> bool:
        """Return whether the history is long, or a newer build has taken over.

        The latter counts only after a check: a run that Temporal keeps on an older build would otherwise continue as
        new forever.
        """
        info = workflow.info()
        return info.is_continue_as_new_suggested() or (
            self._looked and info.is_target_worker_deployment_version_changed()
        )

    def _continue_as_new(self) -> None:
        """Continue on the current build if that has changed, else on this run's build."""
        changed = workflow.info().is_target_worker_deployment_version_changed()
        workflow.continue_as_new(
            MachineInput(self._vm_id, self._memory),
            initial_versioning_behavior=workflow.ContinueAsNewVersioningBehavior.AUTO_UPGRADE if changed else None,
        )

    @workflow.update(name="ask")
    async def accept_command(self, asked: CommandRequest) -> CommandResult:
        """Accept a command. Returns once it has begun, with the resulting status, or rejects it by the status.

        A command that arrives during another one waits for its end, but not for long.
        """
        await self._wait_for_status()
        await self._wait_for_turn(asked)
        if self._is_done_already(asked):
            return CommandResult(accepted=True, status=self._status)
        if not self._is_free() or self._status not in ALLOWED_IN[asked.command]:
            return CommandResult(accepted=False, status=self._status)
        if _is_late(asked.until):
            return self._too_late()
        self._number += 1
        number = self._number
        self._asked.append(asked)
        await workflow.wait_condition(lambda: self._begun >= number)
        if number == self._late:
            return self._too_late()
        if self._refused is not None and number > self._refused:  # it arrived when the record had ended
            return CommandResult(accepted=self._status in NO_OP_IN[asked.command], status=self._status)
        return CommandResult(accepted=True, status=self._status)

    def _too_late(self) -> CommandResult:
        return CommandResult(accepted=False, status=self._status, late=True, at=workflow.now())

    @workflow.update(name="pair")
    async def pair(self, pin: Pin) -> PairResult:
        """Send a PIN to the machine. Pairing changes no status, so it does not wait for its turn."""
        await self._wait_for_status()
        if _is_late(pin.until):
            return PairResult("UnavailableError", "the command came too late and was not done", self._status)
        if self._status is not VmStatus.RUNNING:
            return PairResult("InvalidStateError", f"the machine is {self._status}, not RUNNING", self._status)
        try:
            await self._run(PowerActivities.pair, PairDevice(self._vm_id, pin), time=_PAIR_TIME)
        except ActivityError as error:
            return PairResult(kind_of(error) or "ProviderBusyError", describe(error), self._status)
        return PairResult(None, "paired", self._status)

    async def _wait_for_status(self) -> None:
        """Wait until this run knows the status, which a new run cannot judge a command without."""
        await workflow.wait_condition(lambda: self._vm_id != "")
        if not self._knows_status and workflow.patched("wait-for-status"):
            await workflow.wait_condition(lambda: self._knows_status)

    def _is_done_already(self, asked: CommandRequest) -> bool:
        """Return whether the status is already the requested one.

        A deletion in progress may yet keep the machine for its saves, which a command that discards them does not.
        """
        undecided = asked.discard and self._status is VmStatus.DELETING
        return self._status in NO_OP_IN[asked.command] and not undecided

    async def _wait_for_turn(self, asked: CommandRequest) -> None:
        """Wait until no work is in progress, or the command is already done, but not for long.

        Several waiters wake up together: each checks again, and only the first one finds it free.
        """
        deadline = workflow.now() + _TURN
        while not (self._is_free() or self._is_done_already(asked)):
            if (left := deadline - workflow.now()) <= timedelta(0):
                return
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(lambda: self._is_free() or self._is_done_already(asked), timeout=left)

    def _is_free(self) -> bool:
        return self._number == self._begun and not self._busy

    async def _carry_out(self, asked: CommandRequest) -> None:
        if _is_late(asked.until):
            self._late = self._begun = self._number
            return
        match asked.command:
            case Command.START:
                await self._run_alone(self._start(replace=asked.replace))
            case Command.STOP:
                await self._run_alone(self._stop(asked.reason))
            case Command.RESTART:
                await self._run_alone(self._restart(asked.reason, replace=asked.replace))
            case Command.DELETE:
                await self._run_alone(self._delete(asked.reason, discard=asked.discard))

    async def _handle(self, seen: Incident) -> None:
        if seen.finding is IncidentKind.ENDED:
            self._status = await self._read_status()
        else:
            await self._run_alone(self._act_on(seen))

    async def _run_alone(self, work: Awaitable[None]) -> None:
        """Run one piece of work at a time. After an unexpected failure, the status remains as recorded."""
        self._busy = True
        await self._notices.stop()
        try:
            await work
        except ActivityError:
            await workflow.sleep(_PAUSE)
            self._status = await self._read_status()
        finally:
            self._begun = self._number
            self._busy = False
            self._acting_on = None
            self._memory = replace(self._memory, there_at=None)  # from the time before this

    async def _watch(self) -> Incident | None:
        """Wait for a finding of a check; return None when the pause is over without one, or a command arrives."""
        self._looked = True
        memory = replace(self._memory, finishes=True)
        check = CheckInput(self._vm_id, memory)
        checking = asyncio.create_task(self._run(MonitoringActivities.check_machine, check, time=ENDLESS))
        await workflow.wait_condition(lambda: checking.done() or self._is_called())
        if not checking.done():
            checking.cancel()
        try:
            checked = await checking
        except asyncio.CancelledError:
            return None
        except ActivityError as error:
            if not is_cancelled_exception(error):
                await workflow.sleep(_PAUSE)
            return None
        self._memory = checked.memory
        if checked.gives_notices and workflow.patched("notices"):
            self._notices.start(self._vm_id)
        if checked.seen is None:
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(self._is_called, timeout=checked.again_s)
        return checked.seen

    def _is_called(self) -> bool:
        return bool(self._asked) or self._notices.has_notice

    async def _take_notice(self) -> None:
        """Act on what the machine's cloud has announced."""
        seen = self._notices.take()
        at = seen.at or workflow.now()
        if seen.notice is Notice.PREEMPTED:
            await self._handle(Incident(IncidentKind.PREEMPTED, "Google takes this machine back", seen_at=at))
        elif seen.notice is not None:
            record = NoticeRecord(self._vm_id, seen.notice, at)
            with contextlib.suppress(ActivityError):
                await self._run(InterruptionActivities.record_notice, record, time=ENDLESS)
            self._memory = replace(self._memory, cared_at=None)  # the next check uploads the saves at once

    async def _act_on(self, seen: Incident) -> None:
        self._acting_on = seen.finding
        match seen.finding:
            case IncidentKind.IDLE | IncidentKind.LIMIT:
                await self._stop(seen.detail)
            case IncidentKind.RUNS_OUTSIDE:
                await self._write_status(VmStatus.RUNNING, seen.detail)
                await self._stop(seen.detail)
            case IncidentKind.STOPPED_OUTSIDE:
                await self._handle_outside_stop(seen)
            case IncidentKind.PREEMPTED | IncidentKind.MAINTENANCE:
                await self._give_way(seen)
            case IncidentKind.RETENTION:
                await self._delete(seen.detail)
            case IncidentKind.GONE:
                await self._record_loss(seen)
            case IncidentKind.INTERRUPTED:
                await self._finish(seen.detail)

    async def _finish(self, reason: str) -> None:
        """Continue work that failed, or that the end of an earlier run interrupted."""
        self._status = await self._read_status()
        match self._status:
            case VmStatus.STOPPING:
                await self._stop(reason)
            case VmStatus.STARTING:
                await self._start()
            case VmStatus.DELETING:
                await self._delete(reason)
            case VmStatus.PROVISIONING:
                await self._release()

    async def _handle_outside_stop(self, seen: Incident) -> None:
        """Handle a stop from outside.

        Hardware that is still reserved is used to secure the saves, and then released. Saves on a disk without hardware
        wait for the next start.
        """
        await self._write_status(VmStatus.STOPPED, seen.detail, billed=seen.billed, since=seen.seen_at)
        if seen.billed:
            await self._start()
            if self._status is VmStatus.RUNNING:
                await self._stop(seen.detail)
            elif not await self._are_saves_safe():
                await self._warn_of_saves(
                    f"the latest saves exist on its disk alone: {seen.detail}, and it does not start"
                )

    async def _give_way(self, seen: Incident) -> None:
        """Upload the saves within the notice, replace the machine if it was played on, and let it stop."""
        noticed_at = seen.seen_at or workflow.now()
        await self._write_status(VmStatus.STOPPING, seen.detail)
        save = TimedSave(self._vm_id, noticed_at + SAVE_WITHIN)
        try:
            await self._run(InterruptionActivities.save_in_time, save, time=SAVE_WITHIN + _RESCUE_TIME)
        except ActivityError as error:
            await self._warn_of_saves(f"the saves could not be uploaded: {describe(error)}")
        taken = TakenMachine(self._vm_id, f"taken:{workflow.uuid4()}", noticed_at)
        await self._run(InterruptionActivities.replace_taken, taken, time=ENDLESS)
        await self._turn_off(seen.detail)

    async def _record_loss(self, seen: Incident) -> None:
        """Mark the machine as lost, but try to save: it may respond even if its cloud does not know it."""
        if self._status is VmStatus.RUNNING:
            with contextlib.suppress(ActivityError):
                await self._run(PowerActivities.save, self._vm, time=_RESCUE_TIME)
        lost = LostMachine(self._vm_id, seen.detail, seen.there_at)
        await self._run(PowerActivities.record_loss, lost, time=ENDLESS)
        self._status = VmStatus.DELETED

    async def _stop(self, reason: str) -> None:
        """Save, then stop. The disk is kept in any case, with saves that could not be uploaded."""
        await self._write_status(VmStatus.STOPPING, reason)
        await self._try_to_save()
        await self._turn_off(reason)

    async def _turn_off(self, reason: str) -> None:
        try:
            off = await self._run(PowerActivities.stop, self._vm, time=_POWER_TIME)
        except ActivityError as error:
            await self._write_status(VmStatus.RUNNING, f"the cloud did not stop the machine: {describe(error)}")
            return
        await self._write_status(VmStatus.STOPPED, reason, billed=off.billed, since=off.since)

    async def _start(self, *, replace: bool = False) -> None:
        await self._write_status(VmStatus.STARTING, "")
        try:
            await self._run(PowerActivities.start, self._vm, time=_POWER_TIME)
        except ActivityError as error:
            await self._turn_off(f"it could not be started: {describe(error)}")
            if replace and kind_of(error) == "NoCapacityError":
                replacement = Replacement(self._vm_id, f"replace:{workflow.uuid4()}")
                await self._run(PowerActivities.replace, replacement, time=ENDLESS)
            return
        await self._write_status(VmStatus.RUNNING, "")

    async def _restart(self, reason: str, *, replace: bool) -> None:
        await self._stop(reason)
        if self._status is VmStatus.STOPPED:
            await self._start(replace=replace)

    async def _delete(self, reason: str, *, discard: bool = False) -> None:
        """Save, then delete. Without saves nothing is deleted, and a stopped machine is started to save.

        With `discard`, saving is tried if the machine runs, and the machine is deleted in any case.
        """
        asleep = self._status is VmStatus.STOPPED
        if asleep and not discard and not await self._are_saves_safe():
            await self._start()
            if self._status is not VmStatus.RUNNING:
                return  # its status has the reason
        before = self._status
        await self._write_status(VmStatus.DELETING, reason)
        if not await self._is_safe_to_delete(before) and not discard:
            await self._write_status(VmStatus.RUNNING, "its saves could not be secured")
            if asleep:
                await self._stop("its saves could not be secured")
            return
        await self._release()

    async def _release(self) -> None:
        try:
            await self._run(ProvisioningActivities.release, self._vm, time=_RELEASE_TIME)
            self._status = VmStatus.DELETED
        except ActivityError:
            await self._run(ProvisioningActivities.give_up, self._vm, time=ENDLESS)
            self._status = VmStatus.LOST

    async def _is_safe_to_delete(self, before: VmStatus) -> bool:
        """Return whether its saves are elsewhere. A machine between two states may have saved already, or be off."""
        if before in _BETWEEN and await self._are_saves_safe():
            return True
        return before not in {VmStatus.RUNNING, *_BETWEEN} or await self._try_to_save()

    async def _try_to_save(self) -> bool:
        try:
            return await self._run(PowerActivities.save, self._vm, time=_SAVE_TIME)
        except ActivityError as error:
            await self._warn_of_saves(f"the saves could not be uploaded: {describe(error)}")
            return False

    async def _warn_of_saves(self, reason: str) -> None:
        await self._run(PowerActivities.warn_of_saves, SavesWarning(self._vm_id, reason), time=ENDLESS)

    async def _are_saves_safe(self) -> bool:
        return await self._run(PowerActivities.are_saves_safe, self._vm, time=ENDLESS)

    async def _read_status(self) -> VmStatus:
        return await self._run(PowerActivities.read_status, self._vm, time=ENDLESS)

    async def _write_status(
        self, status: VmStatus, reason: str, *, billed: bool = False, since: datetime | None = None
    ) -> None:
        found = "" if self._acting_on is None else str(self._acting_on)
        change = StatusChange(self._vm_id, status, reason, billed, found, since)
        await self._run(PowerActivities.write_status, change, time=ENDLESS)
        self._status = status
        self._begun = self._number

    @property
    def _vm(self) -> VmRef:
        return VmRef(self._vm_id)

    async def _run(self, work: Callable[[Any, Input], Awaitable[T]], message: Input, *, time: timedelta) -> T:
        result: T = await workflow.execute_activity_method(
            work,
            message,
            schedule_to_close_timeout=time,
            heartbeat_timeout=_BEAT,
            retry_policy=_RETRY,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        return result


def _is_late(until: datetime | None) -> bool:
    """Return whether the caller has already reported that nothing is done."""
    return until is not None and workflow.now() > until
