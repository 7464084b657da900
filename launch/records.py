"""Records that an activity of a launch needs."""

from __future__ import annotations

from errors import (
    NotFoundError,
)
from models.database import Database
from models.launches import Launch
from models.vms import Vm


async def require_launch(db: Database, launch_id: str) -> Launch:
    """Return the launch. Raises NotFoundError if it does not exist."""
    launch = await db.get(Launch, launch_id)
    if launch is None:
        raise NotFoundError(f"launch {launch_id} does not exist")
    return launch


async def require_launched_vm(db: Database, vm_id: str) -> Vm:
    """Return the VM of a launch. Raises NotFoundError if it does not exist."""
    vm = await db.get(Vm, vm_id)
    if vm is None:
        raise NotFoundError(f"VM {vm_id} does not exist")
    return vm
