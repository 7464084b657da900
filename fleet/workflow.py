"""A machine's workflow after its launch: the only writer of its status until it is gone.

Commands arrive as updates and are executed one after another; in between, the machine is monitored.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from fleet.activity_errors import describe, kind_of
    from fleet.inputs import (
        CheckInput,
        MachineInput,
        PairDevice,
    )
    from fleet.interruptions import (
        InterruptionActivities,
        NoticeRecord,
    )
    from fleet.machine_control import MachineControl
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
    from fleet.unlimited_retries import ENDLESS
    from models.vms import ENDED, Notice, VmStatus

_PAIR_TIME: Final = timedelta(seconds=40)
_TURN: Final = timedelta(seconds=4)  # less than a caller waits for a response
_PAUSE: Final = timedelta(seconds=5)


@workflow.defn(name="Machine")
class MachineWorkflow:
    def __init__(self) -> None:
        self._machine = MachineControl(self._mark_begun)
        self._asked: deque[CommandRequest] = deque()
        self._busy = False  # a command or an incident is being handled
        self._number = 0  # of the last accepted command
        self._begun = 0  # of the last command that has changed the status
        self._late = 0  # of the last command whose time was up before it could begin
        self._refused: int | None = None  # commands with greater numbers were never executed

        self._notices = NoticeListener()
        self._memory = MonitorState()
        self._looked = False  # whether the machine was checked in this run
        self._knows_status = False  # this run has read it

    @workflow.run
    async def run(self, machine: MachineInput) -> None:
        self._machine.vm_id = machine.vm_id
        self._memory = machine.memory or self._memory
        self._machine.status = await self._machine.read_status()
        self._knows_status = True
        while self._machine.status not in ENDED:
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

    def _mark_begun(self) -> None:
        self._begun = self._number

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
            MachineInput(self._machine.vm_id, self._memory),
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
            return CommandResult(accepted=True, status=self._machine.status)
        if not self._is_free() or self._machine.status not in ALLOWED_IN[asked.command]:
            return CommandResult(accepted=False, status=self._machine.status)
        if _is_late(asked.until):
            return self._too_late()
        self._number += 1
        number = self._number
        self._asked.append(asked)
        await workflow.wait_condition(lambda: self._begun >= number)
        if number == self._late:
            return self._too_late()
        if self._refused is not None and number > self._refused:  # it arrived when the record had ended
            return CommandResult(accepted=self._machine.status in NO_OP_IN[asked.command], status=self._machine.status)
        return CommandResult(accepted=True, status=self._machine.status)

    def _too_late(self) -> CommandResult:
        return CommandResult(accepted=False, status=self._machine.status, late=True, at=workflow.now())

    @workflow.update(name="pair")
    async def pair(self, pin: Pin) -> PairResult:
        """Send a PIN to the machine. Pairing changes no status, so it does not wait for its turn."""
        await self._wait_for_status()
        if _is_late(pin.until):
            return PairResult("UnavailableError", "the command came too late and was not done", self._machine.status)
        if self._machine.status is not VmStatus.RUNNING:
            return PairResult(
                "InvalidStateError", f"the machine is {self._machine.status}, not RUNNING", self._machine.status
            )
        try:
            await self._machine.run(PowerActivities.pair, PairDevice(self._machine.vm_id, pin), time=_PAIR_TIME)
        except ActivityError as error:
            return PairResult(kind_of(error) or "ProviderBusyError", describe(error), self._machine.status)
        return PairResult(None, "paired", self._machine.status)

    async def _wait_for_status(self) -> None:
        """Wait until this run knows the status, which a new run cannot judge a command without."""
        await workflow.wait_condition(lambda: self._machine.vm_id != "")
        if not self._knows_status and workflow.patched("wait-for-status"):
            await workflow.wait_condition(lambda: self._knows_status)

    def _is_done_already(self, asked: CommandRequest) -> bool:
        """Return whether the status is already the requested one.

        A deletion in progress may yet keep the machine for its saves, which a command that discards them does not.
        """
        undecided = asked.discard and self._machine.status is VmStatus.DELETING
        return self._machine.status in NO_OP_IN[asked.command] and not undecided

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
                await self._run_alone(self._machine.start(replace=asked.replace))
            case Command.STOP:
                await self._run_alone(self._machine.stop(asked.reason))
            case Command.RESTART:
                await self._run_alone(self._machine.restart(asked.reason, replace=asked.replace))
            case Command.DELETE:
                await self._run_alone(self._machine.delete(asked.reason, discard=asked.discard))

    async def _handle(self, seen: Incident) -> None:
        if seen.finding is IncidentKind.ENDED:
            self._machine.status = await self._machine.read_status()
        else:
            await self._run_alone(self._machine.act_on(seen))

    async def _run_alone(self, work: Awaitable[None]) -> None:
        """Run one piece of work at a time. After an unexpected failure, the status remains as recorded."""
        self._busy = True
        await self._notices.stop()
        try:
            await work
        except ActivityError:
            await workflow.sleep(_PAUSE)
            self._machine.status = await self._machine.read_status()
        finally:
            self._begun = self._number
            self._busy = False
            self._machine.acting_on = None
            self._memory = replace(self._memory, there_at=None)  # from the time before this

    async def _watch(self) -> Incident | None:
        """Wait for a finding of a check; return None when the pause is over without one, or a command arrives."""
        self._looked = True
        memory = replace(self._memory, finishes=True)
        check = CheckInput(self._machine.vm_id, memory)
        checking = asyncio.create_task(self._machine.run(MonitoringActivities.check_machine, check, time=ENDLESS))
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
            self._notices.start(self._machine.vm_id)
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
            record = NoticeRecord(self._machine.vm_id, seen.notice, at)
            with contextlib.suppress(ActivityError):
                await self._machine.run(InterruptionActivities.record_notice, record, time=ENDLESS)
            self._memory = replace(self._memory, cared_at=None)  # the next check uploads the saves at once


def _is_late(until: datetime | None) -> bool:
    """Return whether the caller has already reported that nothing is done."""
    return until is not None and workflow.now() > until
