"""Follow every change to the VMs or launches that the caller may see, from a cursor on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, TypeVar

from auth.authorization import owner_filter, require
from errors import InvalidInputError
from models.database import Document
from models.launches import Launch, LaunchStatus
from models.owned_changes import Change
from models.vms import Vm, VmStatus
from resolvers.context import Context
from resolvers.pagination import cursor, read_cursor

R = TypeVar("R", bound=Vm | Launch)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_VMS, _LAUNCHES = "vmchanges", "launchchanges"


@dataclass(frozen=True, slots=True)
class Seen(Generic[R]):
    """A record as it is now, or None at the beginning, and the cursor from which following misses nothing."""

    cursor: str
    record: R | None


async def vm_changes(
    context: Context, status: Collection[VmStatus] | None, user_id: str | None, after: str | None
) -> AsyncGenerator[Seen[Vm], None]:
    """Follow VMs. With `status`, leave out those that neither have one of these statuses nor had it before."""
    require(context.caller, "Subscription.vmChanges")
    owner, start = owner_filter(context.caller, user_id), _start(context, _VMS, after)
    changes = context.services.machines.follow_all(owner, start)
    return _follow(context, _VMS, Vm, changes, None if status is None else frozenset(status), owner)


async def launch_changes(
    context: Context, status: Collection[LaunchStatus] | None, user_id: str | None, after: str | None
) -> AsyncGenerator[Seen[Launch], None]:
    """Follow launches, as `vm_changes` does for VMs."""
    require(context.caller, "Subscription.launchChanges")
    owner, start = owner_filter(context.caller, user_id), _start(context, _LAUNCHES, after)
    changes = context.services.launch_feed.follow_all(owner, start)
    return _follow(context, _LAUNCHES, Launch, changes, None if status is None else frozenset(status), owner)


async def _follow(
    context: Context,
    kind: str,
    model: type[R],
    changes: AsyncGenerator[Change[R], None],
    wanted: frozenset[VmStatus] | frozenset[LaunchStatus] | None,
    owner: str | None,
) -> AsyncGenerator[Seen[R], None]:
    inside: set[str] = set()  # the records that had a wanted status
    async with aclosing(changes):
        async for change in changes:
            record = change.record
            if record is None and wanted is not None:
                inside = await _ids(context, model, wanted, owner)
            if record is not None and not context.caller.can_act_for(record.user_id):
                continue
            if record is not None and wanted is not None:
                # What changed while the client was away may have left the wanted statuses.
                was_inside = record.id in inside or change.number is None
                if record.status in wanted:
                    inside.add(record.id)
                elif was_inside:
                    inside.discard(record.id)
                else:
                    continue
            await context.services.pace.step()
            context.forget(record)
            milliseconds = (change.at - _EPOCH) // _MILLISECOND
            context.event_id = milliseconds
            context.event_key = None if record is None or change.number is None else (kind, record.id, change.number)
            yield Seen(cursor(kind, str(milliseconds)), record)


async def _ids(
    context: Context, model: type[R], wanted: Collection[VmStatus | LaunchStatus], owner: str | None
) -> set[str]:
    query: Document = {"status": {"$in": list(wanted)}}
    if owner is not None:
        query["user_id"] = owner
    return {raw["_id"] for raw in await context.services.db.rows(model, query, frozenset({"id"}))}


def _start(context: Context, kind: str, after: str | None) -> datetime | None:
    """Return the moment in a cursor, or of the last event that a resuming client has received."""
    milliseconds = context.resumes_after or None
    if milliseconds is None and after is not None:
        text = read_cursor(kind, after)
        if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
            raise InvalidInputError("after is not a cursor of this subscription", ("after",))
        milliseconds = int(text)
    return None if milliseconds is None else _EPOCH + milliseconds * _MILLISECOND


_MAX_DIGITS: Final = 13  # up to the year 2286
