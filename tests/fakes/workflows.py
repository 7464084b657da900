"""The engine as reconciliation sees it: which workflows run, what its list says of that, and which were started."""

from __future__ import annotations

from collections import Counter

from errors import UnavailableError
from fleet.messages import machine_workflow_id


class FakeWorkflows:
    """Keeps fleet.owners.Workflows and the warm pool's KnownWorkflows. `ended` have run.

    The list does not know `unlisted` yet, which run, and still has `ghosts`.
    """

    def __init__(self, *running: str) -> None:
        self.running = set(running)
        self.unlisted: set[str] = set()
        self.ended: set[str] = set()
        self.ghosts: set[str] = set()
        self.started: list[tuple[str, bool]] = []
        self.away = False
        self.calls: Counter[str] = Counter()

    async def open_workflows(self) -> frozenset[str]:
        self._enter("open_workflows")
        return frozenset(self.running | self.ghosts)

    async def is_open(self, workflow_id: str) -> bool:
        self._enter("is_open")
        return workflow_id in self.running | self.unlisted

    async def was_started(self, workflow_id: str) -> bool:
        self._enter("was_started")
        return workflow_id in self.running | self.unlisted | self.ended

    async def start_machine(self, vm_id: str, *, abandoned: bool = False) -> bool:
        self._enter("start_machine")
        if await self.is_open(machine_workflow_id(vm_id)):
            return False
        self.started.append((vm_id, abandoned))
        self.unlisted.add(machine_workflow_id(vm_id))
        return True

    def _enter(self, method: str) -> None:
        self.calls[method] += 1
        if self.away:
            raise UnavailableError("Temporal does not respond")
