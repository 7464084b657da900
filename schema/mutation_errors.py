"""Errors that the caller can act on, returned as data in a mutation's payload."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import strawberry
from strawberry.extensions import FieldExtension

from errors import (
    InvalidStateError,
    NoPlacementError,
    NotFoundError,
    ProviderDownError,
    RefusedError,
    SpendingLimitError,
)
from resolvers.audit import audit_refused
from resolvers.saves import slot_subject, version_subject
from schema.attempts import PlacementAttempt
from schema.enums import ProviderName
from schema.ids import key_of


@strawberry.interface(
    name="UserError", description="A reason for which a mutation was refused and that the caller can act on."
)
class MutationError:
    code: str = strawberry.field(description="The reason as a stable code, such as `BAD_USER_INPUT`.")
    message: str = strawberry.field(description="The reason in a sentence: what is wrong and what is allowed.")
    path: list[str] | None = strawberry.field(
        description="The path to the input field at fault, beginning with `input`. Null if no field is at fault."
    )


@strawberry.type(description="An input field has a value that is not allowed.")
class InvalidInput(MutationError):
    pass


@strawberry.type(description="The input names something that does not exist or belongs to another user.")
class NotFound(MutationError):
    pass


@strawberry.type(description="No site can create the machine now.")
class NoCapacity(MutationError):
    attempts: list[PlacementAttempt] = strawberry.field(
        description="Always empty here, because nothing was tried. The attempts of a launch are in `Launch.attempts`."
    )


@strawberry.type(description="A hard spending limit is reached.")
class SpendingLimitReached(MutationError):
    limit: Decimal = strawberry.field(description="The limit in USD.")
    spent: Decimal = strawberry.field(description="What was spent in the limit's period, in USD.")


@strawberry.type(description="The launch, VM or save is in a state in which the request is not possible.")
class InvalidState(MutationError):
    status: str = strawberry.field(description="The current status of the launch or VM, or what stands in the way.")


@strawberry.type(description="The cloud cannot be reached or used now.")
class ProviderUnavailable(MutationError):
    provider: ProviderName = strawberry.field(description="The cloud.")


ERRORS: Final = "Why the mutation was refused. Empty if it succeeded."

KINDS: Final = (InvalidInput, NotFound, NoCapacity, SpendingLimitReached, InvalidState, ProviderUnavailable)


# Keys of launches, VMs and API keys. No other text of a caller may reach the audit log as a subject.
_KEY: Final = re.compile(r"[0-9a-f]{16,18}", re.ASCII)


class ErrorsAsData(FieldExtension):
    """Returns the mutation's payload with `errors` when the resolver raises a RefusedError.

    Records the refusal in the audit log unless the resolver already did. Clears the loaders before and after the
    mutation, so that the payload shows no stale records.
    """

    def __init__(self, payload: Callable[..., object]) -> None:
        self._payload = payload

    async def resolve_async(self, next_: Any, source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        audited_before = info.context.audit_spans
        info.context.forget()  # records that an earlier mutation of the document loaded
        try:
            payload = await next_(source, info, **kwargs)
            info.context.forget(*_documents(payload))
            return payload
        except RefusedError as refusal:
            if info.context.audit_spans == audited_before:
                await audit_refused(info.context, info.field_name, _subject(kwargs.get("input")), refusal)
            return self._payload(errors=[mutation_error(refusal)])


def _documents(payload: object) -> list[object]:
    """Return the records in a payload, as the mutation left them."""
    return [shown.document for shown in vars(payload).values() if hasattr(shown, "document")]


def _subject(wanted: object) -> str | None:
    """Return the key of the record that a mutation is about, if its input names one."""
    for name, type_name in (
        ("vm_id", "VM"),
        ("launch_id", "Launch"),
        ("api_key_id", "ApiKey"),
        ("scheduled_launch_id", "ScheduledLaunch"),
    ):
        if isinstance(id_ := getattr(wanted, name, None), str):
            key = key_of(type_name, id_) or ""
            return key if _KEY.fullmatch(key) else None
    if isinstance(id_ := getattr(wanted, "slot_id", None), str):
        return slot_subject(key_of("SaveSlot", id_) or "")
    if isinstance(id_ := getattr(wanted, "version_id", None), str):
        return version_subject(key_of("SaveVersion", id_) or "")
    return None


def mutation_error(refusal: RefusedError) -> MutationError:
    """Return the GraphQL type for an error, with the fields of its kind."""
    fields: dict[str, Any] = {
        "code": refusal.code,
        "message": refusal.message,
        "path": ["input", *refusal.path] if refusal.path else None,
    }
    match refusal:
        case NotFoundError():
            return NotFound(**fields)
        case NoPlacementError():
            return NoCapacity(**fields, attempts=[])  # nothing was tried; later attempts are in the launch
        case SpendingLimitError():
            return SpendingLimitReached(**fields, limit=refusal.limit, spent=refusal.spent)
        case InvalidStateError():
            return InvalidState(**fields, status=refusal.status)
        case ProviderDownError():
            return ProviderUnavailable(**fields, provider=ProviderName(refusal.provider))
    return InvalidInput(**fields)
