"""What a caller orders: a launch with its terms, checked by its values alone, and the document that is made of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from auth.callers import validate_user_id
from errors import (
    InvalidInputError,
)
from launch.duplicate_requests import own_key, under_way_key
from models.catalog import Console, ConsoleType
from models.golden_images import BUILDER
from models.launches import Launch, LaunchStepName, MeasuredRtt, Step, new_id
from placement.coordinates import Position
from placement.scoring import SiteKey
from providers.base import ProviderName

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_NAME_WORDS: Final = "must have 1 to 128 of a-z, 0-9, dot, underscore and dash, and begin with a letter or digit"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")
_MAX_SESSION_HOURS: Final = 24.0
_MAX_IDLE_MINUTES: Final = 24 * 60
_MAX_USD_PER_HOUR: Final = Decimal(1000)


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """A request as received, validated only by type. `game_id` None requests a machine without a game."""

    caller_id: str
    user_id: str
    console: ConsoleType
    game_id: str | None
    near: Position | None = None
    save_id: str | None = None
    provider: ProviderName | None = None
    vm_id: str | None = None
    max_usd_per_hour: Decimal | None = None
    idle_stop_minutes: int | None = None
    max_session_hours: float | None = None
    idempotency_key: str | None = None
    replaces_vm_id: str | None = None
    launch_id: str | None = None  # id for the new launch; None generates one
    play_at: datetime | None = None  # planned play: the machine is kept for its player until then
    measured: Mapping[SiteKey, float] = field(default_factory=dict)  # the player's own round trips in milliseconds


def check_order(order: LaunchOrder) -> None:
    """Check the values by themselves."""
    if order.game_id is not None and not NAME.fullmatch(order.game_id):
        raise InvalidInputError(f"gameId {_NAME_WORDS}", ("gameId",))
    if order.save_id is not None and not NAME.fullmatch(order.save_id):
        raise InvalidInputError(f"saveId {_NAME_WORDS}", ("saveId",))
    if not (order.caller_id == order.user_id == BUILDER):  # no caller can have this reserved id
        validate_user_id(order.user_id, ("userId",))
    if order.idempotency_key is not None and not _KEY.fullmatch(order.idempotency_key):
        raise InvalidInputError("idempotencyKey must be 1 to 128 visible ASCII characters", ("idempotencyKey",))
    price = order.max_usd_per_hour
    if price is not None and not (price.is_finite() and 0 < price <= _MAX_USD_PER_HOUR):
        raise InvalidInputError(
            f"maxHourlyPrice must be more than 0 and at most {_MAX_USD_PER_HOUR}", ("maxHourlyPrice",)
        )
    idle = order.idle_stop_minutes
    if idle is not None and not 1 <= idle <= _MAX_IDLE_MINUTES:
        raise InvalidInputError(f"idleStopMinutes must be between 1 and {_MAX_IDLE_MINUTES}", ("idleStopMinutes",))
    hours = order.max_session_hours
    if hours is not None and not (math.isfinite(hours) and 0 < hours <= _MAX_SESSION_HOURS):
        raise InvalidInputError(
            f"maxSessionHours must be more than 0 and at most {_MAX_SESSION_HOURS:g}", ("maxSessionHours",)
        )


def find_unplayable_reason(order: LaunchOrder, wanted: Console) -> str | None:
    """Return why the game will not start. A machine without a game shows the menu, as requested."""
    return None if order.game_id is None else wanted.unplayable_reason


def new_launch(order: LaunchOrder, wanted: Console) -> Launch:
    """Return the launch of an order, with a new id unless the order has one."""
    launch_id = order.launch_id or new_id()
    return Launch(
        id=launch_id,
        caller_id=order.caller_id,
        idempotency_key=order.idempotency_key or own_key(launch_id),
        user_id=order.user_id,
        console=order.console,
        game_id=order.game_id,
        save_id=order.save_id,
        latitude=None if order.near is None else order.near.latitude,
        longitude=None if order.near is None else order.near.longitude,
        measured_rtts=[
            MeasuredRtt(provider=provider, site_id=site_id, rtt_ms=rtt_ms)
            for (provider, site_id), rtt_ms in order.measured.items()
        ],
        provider=order.provider,
        requested_vm_id=order.vm_id,
        replaces_vm_id=order.replaces_vm_id,
        max_usd_per_hour=order.max_usd_per_hour,
        idle_stop_minutes=order.idle_stop_minutes or wanted.idle_stop_minutes,
        max_session_hours=order.max_session_hours or wanted.max_session_hours,
        steps=[Step(name=name) for name in LaunchStepName],
        warning=find_unplayable_reason(order, wanted),
        under_way=under_way_key(order),
        play_at=order.play_at,
        requested_at=datetime.now(UTC),
    )
