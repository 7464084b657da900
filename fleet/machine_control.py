"""Turns a machine off and on and deletes it, as a command or a finding requires, from within its workflow."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from fleet.activity_errors import describe, kind_of
    from fleet.inputs import (
        LostMachine,
        Replacement,
        SavesWarning,
        StatusChange,
        VmRef,
    )
    from fleet.interruptions import (
        SAVE_WITHIN,
        InterruptionActivities,
        TakenMachine,
        TimedSave,
    )
    from fleet.messages import (
        Incident,
        IncidentKind,
    )
    from fleet.power import PowerActivities
    from fleet.release import ReleaseActivities
    from fleet.unlimited_retries import ENDLESS
    from models.vms import VmStatus

T = TypeVar("T")
Input = TypeVar("Input")

_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), backoff_coefficient=1.5, maximum_interval=timedelta(seconds=10)
)
_RESCUE_TIME: Final = timedelta(seconds=15)
_SAVE_TIME: Final = timedelta(minutes=5)
_POWER_TIME: Final = timedelta(minutes=20)
_RELEASE_TIME: Final = timedelta(minutes=30)
_BETWEEN: Final = frozenset({VmStatus.STOPPING, VmStatus.STARTING, VmStatus.DELETING})
_BEAT: Final = timedelta(seconds=10)


class MachineControl:
    """A machine and its status. `acting_on` is the finding that is being handled."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """Set up the control. `changed` is called with each new status."""
        self._changed = changed
        self.vm_id = ""
        self.status = VmStatus.RUNNING
        self.acting_on: IncidentKind | None = None

    async def act_on(self, seen: Incident) -> None:
        """Do what a finding of a check requires."""
        self.acting_on = seen.finding
        match seen.finding:
            case IncidentKind.IDLE | IncidentKind.LIMIT:
                await self.stop(seen.detail)
            case IncidentKind.RUNS_OUTSIDE:
                await self._write_status(VmStatus.RUNNING, seen.detail)
                await self.stop(seen.detail)
            case IncidentKind.STOPPED_OUTSIDE:
                await self._handle_outside_stop(seen)
            case IncidentKind.PREEMPTED | IncidentKind.MAINTENANCE:
                await self._give_way(seen)
            case IncidentKind.RETENTION:
                await self.delete(seen.detail)
            case IncidentKind.GONE:
                await self._record_loss(seen)
            case IncidentKind.INTERRUPTED:
                await self._finish(seen.detail)

    async def _finish(self, reason: str) -> None:
        """Continue work that failed, or that the end of an earlier run interrupted."""
        self.status = await self.read_status()
        match self.status:
            case VmStatus.STOPPING:
                await self.stop(reason)
            case VmStatus.STARTING:
                await self.start()
            case VmStatus.DELETING:
                await self.delete(reason)
            case VmStatus.PROVISIONING:
                await self._release()

    async def _handle_outside_stop(self, seen: Incident) -> None:
        """Handle a stop from outside.

        Hardware that is still reserved is used to secure the saves, and then released. Saves on a disk without hardware
        wait for the next start.
        """
        await self._write_status(VmStatus.STOPPED, seen.detail, billed=seen.billed, since=seen.seen_at)
        if seen.billed:
            await self.start()
            if self.status is VmStatus.RUNNING:
                await self.stop(seen.detail)
            elif not await self._are_saves_safe():
                await self._warn_of_saves(
                    f"the latest saves exist on its disk alone: {seen.detail}, and it does not start"
                )

    async def _give_way(self, seen: Incident) -> None:
        """Upload the saves within the notice, replace the machine if it was played on, and let it stop."""
        noticed_at = seen.seen_at or workflow.now()
        await self._write_status(VmStatus.STOPPING, seen.detail)
        save = TimedSave(self.vm_id, noticed_at + SAVE_WITHIN)
        try:
            await self.run(InterruptionActivities.save_in_time, save, time=SAVE_WITHIN + _RESCUE_TIME)
        except ActivityError as error:
            await self._warn_of_saves(f"the saves could not be uploaded: {describe(error)}")
        taken = TakenMachine(self.vm_id, f"taken:{workflow.uuid4()}", noticed_at)
        await self.run(InterruptionActivities.replace_taken, taken, time=ENDLESS)
        await self._turn_off(seen.detail)

    async def _record_loss(self, seen: Incident) -> None:
        """Mark the machine as lost, but try to save: it may respond even if its cloud does not know it."""
        if self.status is VmStatus.RUNNING:
            with contextlib.suppress(ActivityError):
                await self.run(PowerActivities.save, self._vm, time=_RESCUE_TIME)
        lost = LostMachine(self.vm_id, seen.detail, seen.there_at)
        await self.run(PowerActivities.record_loss, lost, time=ENDLESS)
        self.status = VmStatus.DELETED

    async def stop(self, reason: str) -> None:
        """Save, then stop. The disk is kept in any case, with saves that could not be uploaded."""
        await self._write_status(VmStatus.STOPPING, reason)
        await self._try_to_save()
        await self._turn_off(reason)

    async def _turn_off(self, reason: str) -> None:
        try:
            off = await self.run(PowerActivities.stop, self._vm, time=_POWER_TIME)
        except ActivityError as error:
            await self._write_status(VmStatus.RUNNING, f"the cloud did not stop the machine: {describe(error)}")
            return
        await self._write_status(VmStatus.STOPPED, reason, billed=off.billed, since=off.since)

    async def start(self, *, replace: bool = False) -> None:
        """Start. With `replace`, another machine is set up if the hardware is gone."""
        await self._write_status(VmStatus.STARTING, "")
        try:
            await self.run(PowerActivities.start, self._vm, time=_POWER_TIME)
        except ActivityError as error:
            await self._turn_off(f"it could not be started: {describe(error)}")
            if replace and kind_of(error) == "NoCapacityError":
                replacement = Replacement(self.vm_id, f"replace:{workflow.uuid4()}")
                await self.run(PowerActivities.replace, replacement, time=ENDLESS)
            return
        await self._write_status(VmStatus.RUNNING, "")

    async def restart(self, reason: str, *, replace: bool) -> None:
        """Stop, then start."""
        await self.stop(reason)
        if self.status is VmStatus.STOPPED:
            await self.start(replace=replace)

    async def delete(self, reason: str, *, discard: bool = False) -> None:
        """Save, then delete. Without saves nothing is deleted, and a stopped machine is started to save.

        With `discard`, saving is tried if the machine runs, and the machine is deleted in any case.
        """
        asleep = self.status is VmStatus.STOPPED
        if asleep and not discard and not await self._are_saves_safe():
            await self.start()
            if self.status is not VmStatus.RUNNING:
                return  # its status has the reason
        before = self.status
        await self._write_status(VmStatus.DELETING, reason)
        if not await self._is_safe_to_delete(before) and not discard:
            await self._write_status(VmStatus.RUNNING, "its saves could not be secured")
            if asleep:
                await self.stop("its saves could not be secured")
            return
        await self._release()

    async def _release(self) -> None:
        try:
            await self.run(ReleaseActivities.release, self._vm, time=_RELEASE_TIME)
            self.status = VmStatus.DELETED
        except ActivityError:
            await self.run(ReleaseActivities.give_up, self._vm, time=ENDLESS)
            self.status = VmStatus.LOST

    async def _is_safe_to_delete(self, before: VmStatus) -> bool:
        """Return whether its saves are elsewhere. A machine between two states may have saved already, or be off."""
        if before in _BETWEEN and await self._are_saves_safe():
            return True
        return before not in {VmStatus.RUNNING, *_BETWEEN} or await self._try_to_save()

    async def _try_to_save(self) -> bool:
        try:
            return await self.run(PowerActivities.save, self._vm, time=_SAVE_TIME)
        except ActivityError as error:
            await self._warn_of_saves(f"the saves could not be uploaded: {describe(error)}")
            return False

    async def _warn_of_saves(self, reason: str) -> None:
        await self.run(PowerActivities.warn_of_saves, SavesWarning(self.vm_id, reason), time=ENDLESS)

    async def _are_saves_safe(self) -> bool:
        return await self.run(PowerActivities.are_saves_safe, self._vm, time=ENDLESS)

    async def read_status(self) -> VmStatus:
        """Return the recorded status."""
        return await self.run(PowerActivities.read_status, self._vm, time=ENDLESS)

    async def _write_status(
        self, status: VmStatus, reason: str, *, billed: bool = False, since: datetime | None = None
    ) -> None:
        found = "" if self.acting_on is None else str(self.acting_on)
        change = StatusChange(self.vm_id, status, reason, billed, found, since)
        await self.run(PowerActivities.write_status, change, time=ENDLESS)
        self.status = status
        self._changed()

    @property
    def _vm(self) -> VmRef:
        return VmRef(self.vm_id)

    async def run(self, work: Callable[[Any, Input], Awaitable[T]], message: Input, *, time: timedelta) -> T:
        """Run an activity within `time`, with all retries."""
        result: T = await workflow.execute_activity_method(
            work,
            message,
            schedule_to_close_timeout=time,
            heartbeat_timeout=_BEAT,
            retry_policy=_RETRY,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        return result
