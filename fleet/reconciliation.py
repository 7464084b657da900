"""Restarts the workflow of machines that have none.

Workflows end without their records if an operator terminates them, a namespace is restored, or a run fails.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from fleet.owners import Owners, Workflows, find_launches
from models.audit import service_entry, write_entry
from models.database import Database
from models.launches import OPEN as LAUNCH_OPEN
from models.vms import ENDED, Vm, VmStatus
from providers.tags import belongs_to

log = logging.getLogger(__name__)

RESTART_WORKFLOW: Final = "restartWorkflow"
# A machine with an unconfirmed deletion is the sweeper's, with or without a workflow.
_OWNED: Final = sorted(frozenset(VmStatus) - ENDED - {VmStatus.LOST})


class Reconciliation:
    def __init__(self, db: Database, workflows: Workflows, deployment: str) -> None:
        """Set up reconciliation.

        Records with another deployment in their names get no workflow: in a copy of that deployment's database, their
        machines have workflows there.
        """
        self._db = db
        self._workflows = workflows
        self._deployment = deployment

    async def restart_workflows(self, owners: Owners, vms: Sequence[Vm]) -> list[Vm]:
        """Start the workflow of each of these VMs that has none and return those VMs. Raises UnavailableError."""
        owned = [vm for vm in vms if vm.status in _OWNED and belongs_to(vm.tag, self._deployment)]
        launches, unreadable = await find_launches(self._db, owned)
        # The launch decides on what an open launch prepared; an unreadable launch decides nothing.
        left = {launch.id for launch in launches if launch.status in LAUNCH_OPEN} | unreadable
        unowned = await owners.find_unowned([vm for vm in owned if vm.launch_id not in left], launches)
        return [vm for vm in unowned if await self._restart(vm.id)]

    async def _restart(self, vm_id: str) -> bool:
        vm = await self._db.get(Vm, vm_id)  # read again: it may have ended since the list was read
        if vm is None or vm.status not in _OWNED:
            return False
        if not await self._workflows.start_machine(vm.id):
            return False
        log.warning("restarted missing machine workflow", extra={"vm": vm.id, "status": vm.status})
        await write_entry(self._db, service_entry("sweeper", RESTART_WORKFLOW, vm.id, f"{vm.status}, no workflow"))
        return True
