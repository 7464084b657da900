"""Pairing windows: open one for a VM, and follow it."""

from __future__ import annotations

from auth.authorization import require
from errors import NotFoundError
from models.pairings import PairingWindow
from models.vms import Vm
from resolvers import vms
from resolvers.audit import audited, authorize
from resolvers.context import Context


async def start_pairing(context: Context, vm_id: str | None) -> tuple[Vm, PairingWindow]:
    """Open a window. Raise NotFoundError if the VM does not exist or belongs to another user."""
    await authorize(context, "startPairing")
    found = await vms.visible(context, vm_id)
    if found is None:
        raise NotFoundError("there is no such VM", ("vmId",))
    async with audited(context, "startPairing", found.id):
        return found, await context.services.pairings.start(found)


async def pairing(context: Context, vm_id: str | None) -> tuple[Vm, PairingWindow] | None:
    """Return the newest window of a VM. None if there was none, or the VM is not the caller's."""
    require(context.caller, "Query.pairing")
    found = await vms.visible_whole(context, vm_id)
    window = None if found is None else await context.services.pairings.current(found)
    return None if found is None or window is None else (found, window)
