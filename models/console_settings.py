"""Validates an operator's changes to a console and writes them together with an audit entry."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from errors import InvalidInputError
from models.audit import Outcome, new_entry, write_with
from models.catalog import Console, ConsoleSettings, ConsoleType, PresetName, ProviderPreference, console
from models.database import Database, Document
from models.roles import Role

# Registry or user, then repository, then tag or digest or both. The value becomes part of Wolf's configuration.
_IMAGE: Final = re.compile(
    r"[a-z0-9]+(?:[.-][a-z0-9]+)*(?::[0-9]{1,5})?(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*){1,4}"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
_LONGEST_IMAGE: Final = 200
_LONGEST_SESSION_H: Final = 24.0
_LONGEST_IDLE_MINUTES: Final = 24 * 60
_DEAREST_USD: Final = Decimal(1000)


@dataclass(frozen=True, slots=True)
class ConsoleChanges:
    """Changes to a console. None changes nothing.

    `providers` replaces the whole list: a cloud that it lacks is not used.
    """

    preset: PresetName | None = None
    emulator_image: str | None = None
    providers: Sequence[ProviderPreference] | None = None
    max_session_hours: float | None = None
    idle_stop_minutes: int | None = None


async def configure(db: Database, type_: ConsoleType, changes: ConsoleChanges, by: tuple[str, Role]) -> Console:
    """Apply changes and return the console; running launches keep their settings.

    Raises InvalidInputError with the path of the field, and writes nothing then.
    """
    _check(changes)
    fields = _fields(changes)

    async def write() -> Console:
        blank = ConsoleSettings(id=type_).model_dump_doc()
        unset = {name: value for name, value in blank.items() if name != "_id" and name not in fields}
        await db.update_or_insert(ConsoleSettings, {"_id": type_}, _operators(fields, unset))
        return await console(db, type_)

    actor_id, actor_role = by
    detail = ", ".join(f"{name}={_describe(value)}" for name, value in fields.items()) or "nothing"
    return await write_with(
        db,
        write,
        lambda _: new_entry(actor_id, actor_role, "configureConsole", Outcome.DONE, subject_id=type_, detail=detail),
    )


def _check(changes: ConsoleChanges) -> None:
    image, hours, idle = changes.emulator_image, changes.max_session_hours, changes.idle_stop_minutes
    if image is not None and (len(image) > _LONGEST_IMAGE or not _IMAGE.fullmatch(image)):
        raise InvalidInputError(
            "emulatorImage must be a container image such as ghcr.io/games-on-whales/retroarch:edge", ("emulatorImage",)
        )
    if hours is not None and not (math.isfinite(hours) and 0 < hours <= _LONGEST_SESSION_H):
        raise InvalidInputError(
            f"maxSessionHours must be more than 0 and at most {_LONGEST_SESSION_H:g}", ("maxSessionHours",)
        )
    if idle is not None and not 1 <= idle <= _LONGEST_IDLE_MINUTES:
        raise InvalidInputError(f"idleStopMinutes must be between 1 and {_LONGEST_IDLE_MINUTES}", ("idleStopMinutes",))
    if changes.providers is not None:
        _check_providers(changes.providers)


def _check_providers(preferences: Sequence[ProviderPreference]) -> None:
    names = [preference.provider for preference in preferences]
    if len(set(names)) != len(names):
        raise InvalidInputError("providers must not list a cloud twice", ("providers",))
    if not any(preference.enabled for preference in preferences):
        raise InvalidInputError("providers must leave at least one cloud enabled", ("providers",))
    for number, preference in enumerate(preferences):
        usd = preference.max_usd_per_hour
        if usd is not None and not 0 < usd <= _DEAREST_USD:
            raise InvalidInputError(
                f"maxHourlyPrice must be more than 0 and at most {_DEAREST_USD}",
                ("providers", str(number), "maxHourlyPrice"),
            )


def _fields(changes: ConsoleChanges) -> Document:
    given: dict[str, Any] = {
        "preset": changes.preset,
        "emulator_image": changes.emulator_image,
        "providers": None if changes.providers is None else [_as_document(one) for one in changes.providers],
        "max_session_hours": changes.max_session_hours,
        "idle_stop_minutes": changes.idle_stop_minutes,
    }
    return {name: value for name, value in given.items() if value is not None}


def _as_document(preference: ProviderPreference) -> Document:
    return {
        "provider": preference.provider,
        "enabled": preference.enabled,
        "max_usd_per_hour": preference.max_usd_per_hour,
    }


def _operators(fields: Document, unset: Document) -> Document:
    operators = {"$set": fields, "$setOnInsert": unset}
    return {name: value for name, value in operators.items() if value}


def _describe(value: object) -> str:
    if isinstance(value, list):
        return "/".join(f"{one['provider']}{'' if one['enabled'] else ' off'}" for one in value)
    return str(value)
