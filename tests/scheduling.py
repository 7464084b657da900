"""Distributes the tests of a run: every other worker begins with the slowest, the rest with the fastest.

End-to-end tests mostly wait and unit tests mostly compute. Workers that run both at the same time use cores which wait,
and no slow test is left for the end of the run.
"""

from __future__ import annotations

from xdist.scheduler import LoadScheduling
from xdist.workermanage import WorkerController


class TwoEndedScheduling(LoadScheduling):
    """Sends tests from both ends of a collection that is sorted by how long its tests may take, longest first."""

    def _send_tests(self, node: WorkerController, num: int) -> None:
        if begins_with_slow_tests(node.gateway.id):
            super()._send_tests(node, num)
            return
        chosen = self.pending[-num:][::-1]
        if chosen:
            del self.pending[-num:]
            self.node2pending[node].extend(chosen)
            node.send_runtest_some(chosen)


def begins_with_slow_tests(worker_id: str) -> bool:
    """Return whether this worker, which xdist calls `gw0`, `gw1` and so on, takes the slowest tests first."""
    return int(worker_id.removeprefix("gw")) % 2 == 0
