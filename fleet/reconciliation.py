"""Records and workflows: a machine's record that no running workflow answers for gets its workflow again.

Workflows end without their records when an operator terminates them, when a namespace is restored, or when a run fails.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from fleet.owners import Owners, Workflows, launches_of
from models.audit import service_entry, write_entry
from models.database import Database
from models.launches import OPEN as LAUNCH_OPEN
from models.vms import ENDED, Vm, VmStatus
from providers.tags import belongs_to

log = logging.getLogger(__name__)

RESTART_WORKFLOW: Final = "restartWorkflow"
# A machine whose deletion could not be confirmed is the sweeper's, with a workflow or without.
_OWNED: Final = sorted(frozenset(VmStatus) - ENDED - {VmStatus.LOST})


class Reconciliation:
    def __init__(self, db: Database, workflows: Workflows, deployment: str) -> None:
        """Records whose names carry another deployment's name get no workflow: in an adopted copy of that deployment's
        database, the machines have their workflows there."""
        self._db = db
        self._workflows = workflows
        self._deployment = deployment

    async def restart_workflows(self, owners: Owners, vms: Sequence[Vm]) -> list[Vm]:
        """Start the workflow of each of these VMs that has none; returns those. Raises UnavailableError."""
        owned = [vm for vm in vms if vm.status in _OWNED and belongs_to(vm.tag, self._deployment)]
        launches, unreadable = await launches_of(self._db, owned)
        # What an open launch prepared is decided with the launch, and nothing is known of one that cannot be read.
        left = {launch.id for launch in launches if launch.status in LAUNCH_OPEN} | unreadable
        unowned = await owners.unowned([vm for vm in owned if vm.launch_id not in left], launches)
        return [vm for vm in unowned if await self._restart(vm.id)]

    async def _restart(self, vm_id: str) -> bool:
        vm = await self._db.get(Vm, vm_id)  # once more: it may have ended since the list was read
        if vm is None or vm.status not in _OWNED:
            return False
        if not await self._workflows.start_machine(vm.id):
            return False
        log.warning("machine had no workflow, it was started again", extra={"vm": vm.id, "status": vm.status})
        await write_entry(self._db, service_entry("sweeper", RESTART_WORKFLOW, vm.id, f"{vm.status}, no workflow"))
        return True
