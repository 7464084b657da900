"""Detects duplicate launch requests: repeated with their key, or made twice at the same time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Protocol

from errors import ConflictError, IdempotencyKeyReusedError
from models.catalog import Console, ConsoleType
from models.database import Database
from models.idempotency import KEPT_FOR, IdempotencyKey, key_id
from models.launches import Launch, LaunchStatus
from placement.coordinates import Position
from providers.base import ProviderName
from streaming.saves.slots import DEFAULT_SAVE

_UNDER_WAY: Final = [LaunchStatus.QUEUED, LaunchStatus.RUNNING]
_LONGEST: Final = timedelta(days=1)  # maximum age of an earlier version's launch, which has no unique key

Arguments = Mapping[str, str | None]


class Order(Protocol):
    """The part of launch.orders.LaunchOrder that identifies the request, its caller and its player."""

    @property
    def caller_id(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def console(self) -> ConsoleType: ...
    @property
    def game_id(self) -> str | None: ...
    @property
    def save_id(self) -> str | None: ...
    @property
    def near(self) -> Position | None: ...
    @property
    def provider(self) -> ProviderName | None: ...
    @property
    def vm_id(self) -> str | None: ...
    @property
    def max_usd_per_hour(self) -> Decimal | None: ...
    @property
    def idle_stop_minutes(self) -> int | None: ...
    @property
    def max_session_hours(self) -> float | None: ...
    @property
    def idempotency_key(self) -> str | None: ...


def under_way_key(order: Order) -> str | None:
    """Return the key that is unique among running launches; None for a launch on a machine of the caller's choice."""
    if order.vm_id is not None:
        return None
    return json.dumps([order.user_id, order.console, order.game_id, order.save_id or DEFAULT_SAVE])


class DuplicateRequests:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def find(self, order: Order, wanted: Console) -> Launch | None:
        """Return the launch that this request refers to: by its key, or else a running one.

        Raises IdempotencyKeyReusedError if the key was used with other arguments.
        """
        named = await self._find_by_key(order, wanted)
        if named is not None:
            return named
        found = await self.keep(await self._find_under_way(order))
        if found is None:
            return None
        if await self.bind_key(order, wanted, found) != found.id:
            return await self._find_by_key(order, wanted)
        return await self._with_warning(found, order)

    async def keep(self, launch: Launch | None) -> Launch | None:
        """Mark the launch, so that the request that wrote it does not undo it, and return it; None if it was undone."""
        if launch is None or launch.shared or launch.status is not LaunchStatus.QUEUED or launch.last_sequence > 0:
            return launch
        return await self._db.update(Launch, {"_id": launch.id}, {"$set": {"shared": True}})

    async def bind_key(self, order: Order, wanted: Console, launch: Launch) -> str:
        """Bind the order's key, if it has one, to this launch, and return the id of the launch that it names.

        Raises IdempotencyKeyReusedError if another request used it at the same time with other arguments.
        """
        if order.idempotency_key is None:
            return launch.id
        key = IdempotencyKey(
            id=key_id(order.caller_id, order.user_id, order.idempotency_key),
            launch_id=launch.id,
            asked=_hash(_sent_arguments(order)),
            filled=_hash(_filled_arguments(_sent_arguments(order), wanted)),
            expires_at=datetime.now(UTC) + KEPT_FOR,
        )
        try:
            await self._db.insert(key)
        except ConflictError:
            stored = await self._db.get(IdempotencyKey, key.id)
            if stored is None or stored.launch_id == launch.id:
                return launch.id
            if key.asked != stored.asked and key.filled != stored.filled:
                raise _reused_error() from None
            return stored.launch_id
        return launch.id

    async def make_room(self, launch: Launch) -> None:
        """Free what a launch that could not be written needs.

        This is its place among running launches, if an ended one holds it, and its key, if it belongs to another user
        of the same caller.
        """
        if launch.under_way is not None:
            held = {"under_way": launch.under_way, "status": {"$nin": _UNDER_WAY}}
            await self._db.update_many(Launch, held, {"$set": {"under_way": None}})
        same_key = {"caller_id": launch.caller_id, "idempotency_key": launch.idempotency_key}
        if await self._db.find_one(Launch, same_key) is not None:
            launch.idempotency_key = own_key(launch.id)

    async def _find_by_key(self, order: Order, wanted: Console) -> Launch | None:
        if order.idempotency_key is None:
            return None
        asked = _sent_arguments(order)
        key = await self._db.get(IdempotencyKey, key_id(order.caller_id, order.user_id, order.idempotency_key))
        if key is not None:
            if _hash(asked) != key.asked and _hash(_filled_arguments(asked, wanted)) != key.filled:
                raise _reused_error()
            if (launch := await self.keep(await self._db.get(Launch, key.launch_id))) is not None:
                return launch
            # Its record was undone, because Temporal was unavailable.
            await self._db.delete(IdempotencyKey, {"_id": key.id, "launch_id": key.launch_id})
        return await self._find_by_unique_key(order, wanted)

    async def _find_by_unique_key(self, order: Order, wanted: Console) -> Launch | None:
        """Return a launch whose process died before the key was written, or that an earlier version wrote."""
        same_key = {"caller_id": order.caller_id, "idempotency_key": order.idempotency_key}
        launch = await self._db.find_one(Launch, same_key)
        if launch is None or launch.user_id != order.user_id:
            return None
        if _filled_arguments(_sent_arguments(order), wanted) != _arguments_of(launch):
            raise _reused_error()
        return await self.keep(launch)

    async def _find_under_way(self, order: Order) -> Launch | None:
        """Return the running launch that this request refers to.

        A launch with the request's unique key is found regardless of its age; launches of earlier versions have none.
        """
        key = under_way_key(order)
        if key is None:
            return None
        recent = {"user_id": order.user_id, "requested_at": {"$gte": datetime.now(UTC) - _LONGEST}}
        launches, unreadable = await self._db.find_readable(
            Launch,
            {"status": {"$in": _UNDER_WAY}, "$or": [{"under_way": key}, recent]},
            sort=[("requested_at", 1)],
        )
        if unreadable:  # only the launch that this request refers to would matter, and that raises here
            await self._db.find_one(Launch, {"status": {"$in": _UNDER_WAY}, "under_way": key})
        meant = (order.console, order.game_id, order.save_id or DEFAULT_SAVE)
        for launch in launches:
            if launch.requested_vm_id is None and meant == (
                launch.console,
                launch.game_id,
                launch.save_id or DEFAULT_SAVE,
            ):
                return launch
        return None

    async def _with_warning(self, launch: Launch, order: Order) -> Launch:
        """Return the launch, with a warning if this order has terms that it does not follow."""
        other = _other_terms(launch, order)
        text = f"It was already running and does not follow {', '.join(other)} of a later request"
        if not other or text in (launch.warning or ""):
            return launch
        warning = text if launch.warning is None else f"{launch.warning}. {text}"
        guard = {"_id": launch.id, "status": {"$in": _UNDER_WAY}, "warning": launch.warning}
        warned = await self._db.update(Launch, guard, {"$set": {"warning": warning}})
        if warned is None:
            launch.warning = warning
        return warned or launch


def own_key(launch_id: str) -> str:
    """Return the key of a launch without a caller's key."""
    return f"launch:{launch_id}"


def _other_terms(launch: Launch, order: Order) -> list[str]:
    terms: dict[str, tuple[Any, Any]] = {
        "provider": (order.provider, launch.provider),
        "maxHourlyPrice": (order.max_usd_per_hour, launch.max_usd_per_hour),
        "idleStopMinutes": (order.idle_stop_minutes, launch.idle_stop_minutes),
        "maxSessionHours": (order.max_session_hours, launch.max_session_hours),
    }
    return [name for name, (wanted, has) in terms.items() if wanted is not None and wanted != has]


def _sent_arguments(order: Order) -> dict[str, str | None]:
    near, price = order.near, order.max_usd_per_hour
    return {
        "console": order.console.value,
        "game": order.game_id,
        "save": order.save_id,
        "near": None if near is None else _place(near.latitude, near.longitude),
        "provider": None if order.provider is None else order.provider.value,
        "vm": order.vm_id,
        "price": None if price is None else _number(price),
        "idle": None if order.idle_stop_minutes is None else str(order.idle_stop_minutes),
        "hours": None if order.max_session_hours is None else f"{order.max_session_hours:g}",
    }


def _filled_arguments(asked: Arguments, wanted: Console) -> dict[str, str | None]:
    return {
        **asked,
        "save": asked["save"] or DEFAULT_SAVE,
        "idle": asked["idle"] or str(wanted.idle_stop_minutes),
        "hours": asked["hours"] or f"{wanted.max_session_hours:g}",
    }


def _arguments_of(launch: Launch) -> dict[str, str | None]:
    near = launch.latitude is not None and launch.longitude is not None
    return {
        "console": launch.console.value,
        "game": launch.game_id,
        "save": launch.save_id or DEFAULT_SAVE,
        "near": _place(launch.latitude, launch.longitude) if near else None,
        "provider": None if launch.provider is None else launch.provider.value,
        "vm": launch.requested_vm_id,
        "price": None if launch.max_usd_per_hour is None else _number(launch.max_usd_per_hour),
        "idle": str(launch.idle_stop_minutes),
        "hours": f"{launch.max_session_hours:g}",
    }


def _place(latitude: float | None, longitude: float | None) -> str:
    return f"{latitude!r} {longitude!r}"


def _number(value: Decimal) -> str:
    return format(value.normalize(), "f")


def _hash(arguments: Arguments) -> str:
    return hashlib.sha256(json.dumps(arguments, sort_keys=True).encode()).hexdigest()


def _reused_error() -> IdempotencyKeyReusedError:
    return IdempotencyKeyReusedError("this key was used with other arguments", ("idempotencyKey",))
