"""Commands to VMs: start, stop, delete and pair. Each is in the audit log before it begins."""

from __future__ import annotations

from billing.limits import SpendingLimits
from errors import NotFoundError
from fleet.messages import Command
from models.vms import Vm
from resolvers import vms
from resolvers.audit import audited, authorize
from resolvers.context import Context


async def command(context: Context, field: str, vm_id: str | None, wanted: Command, *, discard: bool = False) -> Vm:
    """Send a command to a VM and return the VM.

    `field` is the mutation's name. `discard` accepts the loss of saves that the VM's warning has named. Raise
    NotFoundError if the VM does not exist or belongs to another user.
    """
    found = await _own(context, field, vm_id)
    async with audited(context, field, found.id):
        if wanted is Command.START:
            await SpendingLimits(context.services.db).check(found.user_id)
        accepted = ", accepting the loss of saves that were not uploaded" if discard else ""
        reason = f"requested by {context.caller.id}{accepted}"
        return await context.services.fleet.command(found, wanted, reason, discard=discard)


async def pair(context: Context, vm_id: str | None, pin: str) -> Vm:
    """Pair the device that shows this PIN with a VM. Raise as `command` does."""
    found = await _own(context, "pairClient", vm_id)
    async with audited(context, "pairClient", found.id):
        return await context.services.fleet.pair(found, pin)


async def _own(context: Context, field: str, vm_id: str | None) -> Vm:
    await authorize(context, field)
    found = await vms.visible(context, vm_id)
    if found is None:
        raise NotFoundError("there is no such VM", ("vmId",))
    return found
