"""Machines: turn them on and off, give them back, pair a device. Each is on the audit trail before it is begun."""

from __future__ import annotations

from billing.limits import SpendingLimits
from errors import NotFoundError
from fleet.messages import Command
from models.vms import Vm
from resolvers import vms
from resolvers.audit import audited, authorize
from resolvers.context import Context


async def command(context: Context, field: str, vm_id: str | None, wanted: Command, *, discard: bool = False) -> Vm:
    """`field` is the mutation's name; `discard` accepts the loss of saves that the VM has named before. NotFoundError
    alike for an unknown machine and somebody else's."""
    found = await _own(context, field, vm_id)
    async with audited(context, field, found.id):
        if wanted is Command.START:
            await SpendingLimits(context.services.db).check(found.user_id)
        accepted = ", who accepts the loss of what was not uploaded" if discard else ""
        reason = f"asked for by {context.caller.id}{accepted}"
        return await context.services.fleet.command(found, wanted, reason, discard=discard)


async def pair(context: Context, vm_id: str | None, pin: str) -> Vm:
    found = await _own(context, "pairClient", vm_id)
    async with audited(context, "pairClient", found.id):
        return await context.services.fleet.pair(found, pin)


async def _own(context: Context, field: str, vm_id: str | None) -> Vm:
    await authorize(context, field)
    found = await vms.visible(context, vm_id)
    if found is None:
        raise NotFoundError("there is no such VM", ("vmId",))
    return found
