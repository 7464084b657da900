"""The steps of a launch on its machine: those that are independent of each other run in parallel."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import (
    WorkflowAlreadyStartedError,
)

with workflow.unsafe.imports_passed_through():
    from fleet.inputs import MachineInput, VmRef
    from fleet.messages import Done, machine_workflow_id
    from fleet.provisioning import ProvisioningActivities
    from launch.concurrent_steps import run_together
    from launch.messages import Plan, StepInput
    from launch.setup_activities import SetupActivities
    from launch.step_runner import StepRunner
    from models.launches import LaunchStatus, LaunchStepName, StepStatus


class MachineSetup:
    def __init__(self, runner: StepRunner, *, parallel: bool) -> None:
        """Set up the steps. `parallel` is False in launches that an earlier build began."""
        self._runner = runner
        self._parallel = parallel

    async def set_up_game(self, on: StepInput) -> None:
        """Run only the game's steps, on a machine that already streams."""
        await self._runner.do_step(LaunchStepName.CONNECT, SetupActivities.connect, on, message_of)
        await self._runner.skip(LaunchStepName.INSTALL_STREAMING, "Already installed", on.vm_id)
        if self._parallel:
            await run_together(*self._independent_steps(on, timedelta(0)))
            await self._run_last_steps(on)
        else:
            await self._run_game_steps(on)

    async def set_up(self, on: StepInput) -> None:
        """Set up a new machine, and hand it over to its player."""
        await self._runner.do_step(LaunchStepName.BOOT, ProvisioningActivities.await_boot, VmRef(on.vm_id), message_of)
        await self._runner.do_step(LaunchStepName.CONNECT, SetupActivities.connect, on, message_of)
        if self._parallel:
            install = self._runner.do_step(LaunchStepName.INSTALL_STREAMING, SetupActivities.install, on, message_of)
            set_up_within = self._runner.time_of(LaunchStepName.INSTALL_STREAMING)
            await run_together(install, *self._independent_steps(on, set_up_within))
            await self._run_last_steps(on)
        else:
            await self._runner.do_step(LaunchStepName.INSTALL_STREAMING, SetupActivities.install, on, message_of)
            await self._run_game_steps(on)
        await self.hand_over(on)

    async def hand_over(self, on: StepInput) -> None:
        """Hand the machine over to the player and to its own workflow."""
        await self._runner.record(ProvisioningActivities.mark_running, VmRef(on.vm_id))
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
            self._run_alone(LaunchStepName.MOUNT_LIBRARY, SetupActivities.mount_library, on, set_up_within),
            self._run_alone(LaunchStepName.RESTORE_SAVES, SetupActivities.restore_saves, on, set_up_within),
        )

    async def _run_alone(
        self, step: LaunchStepName, work: Callable[[Any, StepInput], Awaitable[Done]], on: StepInput, extra: timedelta
    ) -> None:
        await self._runner.begin(step)
        await self._runner.finish(step, (await self._runner.run_step(step, work, on, extra)).message)

    async def _pull_image(self, on: StepInput, extra: timedelta) -> None:
        """Begin CONFIGURE_GAME, which continues after the steps in parallel are done."""
        step = LaunchStepName.CONFIGURE_GAME
        await self._runner.begin(step)
        done = await self._runner.run_step(step, SetupActivities.pull_image, on, extra)
        self._runner.steps.move_on(workflow.now())
        self._runner.check_cancelled(
            await self._runner.write_event(LaunchStatus.RUNNING, done.message, step, StepStatus.RUNNING)
        )

    async def _run_last_steps(self, on: StepInput) -> None:
        """Run the steps that need all others."""
        step = LaunchStepName.CONFIGURE_GAME
        done = await self._runner.run_step(step, SetupActivities.configure_game, on)
        await self._runner.finish(step, done.message)
        await self._runner.do_step(LaunchStepName.VERIFY_STREAM, SetupActivities.verify_stream, on, message_of)

    async def _run_game_steps(self, on: StepInput) -> None:
        """Run the steps one after another, for launches that an earlier build began."""
        await self._runner.do_step(LaunchStepName.MOUNT_LIBRARY, SetupActivities.mount_library, on, message_of)
        await self._runner.do_step(LaunchStepName.RESTORE_SAVES, SetupActivities.restore_saves, on, message_of)
        await self._runner.do_step(LaunchStepName.CONFIGURE_GAME, SetupActivities.configure_game, on, message_of)
        await self._runner.do_step(LaunchStepName.VERIFY_STREAM, SetupActivities.verify_stream, on, message_of)


def message_of(result: Done | Plan) -> str:
    """Return the text for the player."""
    return result.message
