"""Tracks which steps of a launch are running or done, and its progress. Plain values, held by a workflow."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from launch.progress import expected_share, shares_at
from models.launches import LaunchStepName
from providers.base import ProviderName

# The step that an activity's lines belong to.
STEP_OF_ACTIVITY: Final = {
    "choose": LaunchStepName.CHOOSE_PLACEMENT,
    "rent": LaunchStepName.CREATE_VM,
    "await_boot": LaunchStepName.BOOT,
    "wake": LaunchStepName.BOOT,
    "connect": LaunchStepName.CONNECT,
    "install": LaunchStepName.INSTALL_STREAMING,
    "mount_library": LaunchStepName.MOUNT_LIBRARY,
    "restore_saves": LaunchStepName.RESTORE_SAVES,
    "pull_image": LaunchStepName.CONFIGURE_GAME,
    "configure_game": LaunchStepName.CONFIGURE_GAME,
    "verify_stream": LaunchStepName.VERIFY_STREAM,
}


class StepTracking:
    """State of the steps. `provider` is the cloud in use, which determines the steps' usual durations.

    Progress never decreases, except by a restart.
    """

    def __init__(self) -> None:
        self.provider: ProviderName | None = None
        self.progress = 0.0
        self._running: dict[LaunchStepName, datetime] = {}
        self._done: set[LaunchStepName] = set()
        self._troubled: set[LaunchStepName] = set()

    @property
    def running(self) -> list[LaunchStepName]:
        """Return the running steps; the one that began last is at the end."""
        return list(self._running)

    def begin(self, step: LaunchStepName, now: datetime) -> None:
        self._running[step] = now
        self.move_on(now)

    def finish(self, step: LaunchStepName, now: datetime) -> bool:
        """Mark a step as done; return whether it had trouble and no other step has."""
        self._running.pop(step, None)
        self._done.add(step)
        self.move_on(now)
        if step not in self._troubled:
            return False
        self._troubled.discard(step)
        return not self._troubled

    def stop(self) -> list[LaunchStepName]:
        """Stop all steps and return those that were running."""
        stopped = self.running
        self._running.clear()
        self._troubled.clear()
        return stopped

    def restart(self, done: Iterable[LaunchStepName]) -> None:
        """Reset progress to where only these steps are done."""
        self.stop()
        self._done = set(done)
        self.progress = self._share()

    def note_trouble(self, step: LaunchStepName) -> None:
        self._troubled.add(step)

    def move_on(self, now: datetime) -> None:
        """Advance progress by the finished steps and by the usual duration of the running ones."""
        self.progress = max(self.progress, self._share(now))

    def _share(self, now: datetime | None = None) -> float:
        shares = shares_at(self.provider)
        share = sum(shares[step] for step in self._done)
        for step, began_at in self._running.items():
            elapsed_s = 0.0 if now is None else (now - began_at).total_seconds()
            share += shares[step] * expected_share(step, elapsed_s, self.provider)
        return round(min(1.0, share), 4)
