"""VMs: look them up and follow one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing

from auth.authorization import owner_filter, require
from billing.usage_totals import Usage
from errors import NotFoundError
from models.database import Document
from models.pages import Mark, find_newest_first
from models.vms import Vm, VmStatus
from resolvers.context import Context
from resolvers.pagination import Page, page_from, page_size, read_mark
from resolvers.unreadable import own_of, own_or_none

_VMS = "vms"


async def vm(context: Context, vm_id: str | None) -> Vm | None:
    """Return a VM, or None if the id is malformed or unknown, or the VM is another user's."""
    require(context.caller, "Query.vm")
    return await visible(context, vm_id)


async def vm_of(context: Context, key: str) -> Vm | None:
    """Return a VM by its own id, or None as `vm` does."""
    require(context.caller, "VM")
    return await visible(context, key)


async def vms_of(context: Context, keys: Sequence[str]) -> Mapping[str, Vm | Exception]:
    """Return VMs by their own ids, as `vm_of` does for one."""
    require(context.caller, "VM")
    return own_of(context, await context.loaders.vm.load_all(keys))


async def usage_of(context: Context, vm_ids: Sequence[str]) -> Mapping[str, Usage | Exception]:
    """Return what VMs that the caller sees have used so far."""
    return await context.loaders.usage.load_all(vm_ids)


async def vms(
    context: Context, status: Collection[VmStatus] | None, user_id: str | None, first: int | None, after: str | None
) -> Page[Vm]:
    """Return VMs, newest first."""
    require(context.caller, "Query.vms")
    owner = owner_filter(context.caller, user_id)
    size, mark = page_size(first), read_mark(_VMS, after)
    query: Document = {} if owner is None else {"user_id": owner}
    if status is not None:
        query["status"] = {"$in": list(status)}
    found = await find_newest_first(
        context.services.db, Vm, query, "created_at", mark, size + 1, context.columns.get(Vm)
    )
    return page_from(found, _mark, _VMS, size, has_previous=mark is not None)


async def vm_status(context: Context, vm_id: str | None) -> AsyncGenerator[Vm, None]:
    """Follow a VM: its current state, then each change until its end. Raise NotFoundError where `vm` returns None."""
    require(context.caller, "Subscription.vmStatus")
    found = await visible(context, vm_id)
    if found is None:
        raise NotFoundError("there is no such VM", ("vmId",))
    return _follow(context, found.id)


async def _follow(context: Context, vm_id: str) -> AsyncGenerator[Vm, None]:
    async with aclosing(context.services.machines.follow(vm_id)) as states:
        async for state in states:
            await context.services.pace.step()
            context.forget(state)
            yield state


async def visible(context: Context, vm_id: str | None) -> Vm | None:
    """Return a VM that the caller may see, or None."""
    found = await own_or_none(context, context.loaders.vm.load(vm_id)) if vm_id else None
    return found if found and context.caller.can_act_for(found.user_id) else None


async def visible_whole(context: Context, vm_id: str | None) -> Vm | None:
    """Return a VM like `visible`, with all attributes: for resolvers that read more of it than the response shows."""
    found = await own_or_none(context, context.services.db.get(Vm, vm_id)) if vm_id else None
    return found if found and context.caller.can_act_for(found.user_id) else None


def _mark(vm: Vm) -> Mark:
    return Mark(vm.created_at, vm.id)
