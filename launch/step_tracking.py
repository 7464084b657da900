"""Which steps of a launch run now, which are done, and how far the bar is. Plain values: a workflow keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from launch.progress import expected_share, shares_at
from models.launches import LaunchStepName
from providers.base import ProviderName

# The step under which an activity's lines are shown.
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
    """`provider` is the cloud that is tried, which says how long steps take. The bar never falls but for a restart."""

    def __init__(self) -> None:
        self.provider: ProviderName | None = None
        self.progress = 0.0
        self._running: dict[LaunchStepName, datetime] = {}
        self._done: set[LaunchStepName] = set()
        self._troubled: set[LaunchStepName] = set()

    @property
    def running(self) -> list[LaunchStepName]:
        """Return the steps under way, the one that began last at the end."""
        return list(self._running)

    def begin(self, step: LaunchStepName, now: datetime) -> None:
        self._running[step] = now
        self.move_on(now)

    def finish(self, step: LaunchStepName, now: datetime) -> bool:
        """Returns whether the step had trouble, and no other has."""
        self._running.pop(step, None)
        self._done.add(step)
        self.move_on(now)
        if step not in self._troubled:
            return False
        self._troubled.discard(step)
        return not self._troubled

    def stop(self) -> list[LaunchStepName]:
        """Nothing runs any longer; returns what did."""
        stopped = self.running
        self._running.clear()
        self._troubled.clear()
        return stopped

    def restart(self, done: Iterable[LaunchStepName]) -> None:
        """Put the bar back to where only these steps are done."""
        self.stop()
        self._done = set(done)
        self.progress = self._share()

    def note_trouble(self, step: LaunchStepName) -> None:
        self._troubled.add(step)

    def move_on(self, now: datetime) -> None:
        """Move the bar by what is done, and by the time that the steps under way usually take."""
        self.progress = max(self.progress, self._share(now))

    def _share(self, now: datetime | None = None) -> float:
        shares = shares_at(self.provider)
        share = sum(shares[step] for step in self._done)
        for step, began_at in self._running.items():
            elapsed_s = 0.0 if now is None else (now - began_at).total_seconds()
            share += shares[step] * expected_share(step, elapsed_s, self.provider)
        return round(min(1.0, share), 4)
