"""Machines: turn them on and off, give them back, pair a device. Each is on the audit trail before it is begun."""

from __future__ import annotations

from auth.access import require
from errors import NotFoundError
from fleet.commands import Command
from models.audit import AuditEntry, Outcome, accounted, new_entry
from models.vms import Vm
from resolvers import vms
from resolvers.context import Context


async def command(context: Context, field: str, vm_id: str | None, wanted: Command) -> Vm:
    """`field` is the mutation's name. NotFoundError alike for an unknown machine and somebody else's."""
    found = await _own(context, field, vm_id)
    async with accounted(context.services.db, _entry(context, field, found)):
        return await context.services.fleet.command(found, wanted, f"asked for by {context.caller.id}")


async def pair(context: Context, vm_id: str | None, pin: str) -> Vm:
    found = await _own(context, "pairClient", vm_id)
    async with accounted(context.services.db, _entry(context, "pairClient", found)):
        return await context.services.fleet.pair(found, pin)


async def _own(context: Context, field: str, vm_id: str | None) -> Vm:
    require(context.caller, f"Mutation.{field}")
    found = await vms.visible(context, vm_id)
    if found is None:
        raise NotFoundError("there is no such machine", ("vmId",))
    return found


def _entry(context: Context, action: str, vm: Vm) -> AuditEntry:
    return new_entry(context.caller.id, context.caller.role, action, Outcome.REQUESTED, subject_id=vm.id)
