"""Problems that the caller can act on, as data in a mutation's payload."""

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
from schema.attempts import PlacementAttempt
from schema.enums import ProviderName
from schema.ids import key_of


@strawberry.interface(
    name="UserError", description="A problem that the caller can act on. `path` leads to the input field at fault."
)
class MutationError:
    code: str
    message: str
    path: list[str] | None


@strawberry.type
class InvalidInput(MutationError):
    pass


@strawberry.type
class NotFound(MutationError):
    pass


@strawberry.type
class NoCapacity(MutationError):
    attempts: list[PlacementAttempt]


@strawberry.type
class SpendingLimitReached(MutationError):
    limit: Decimal
    spent: Decimal


@strawberry.type
class InvalidState(MutationError):
    status: str


@strawberry.type
class ProviderUnavailable(MutationError):
    provider: ProviderName


KINDS: Final = (InvalidInput, NotFound, NoCapacity, SpendingLimitReached, InvalidState, ProviderUnavailable)


_KEY: Final = re.compile(
    r"[0-9a-f]{16,18}", re.ASCII
)  # of launches, machines and API keys; nothing else gets on the trail


class ErrorsAsData(FieldExtension):
    """Answers a RefusedError with the mutation's payload, whose `errors` then say why. It is on the audit trail, also
    when it came before the change itself was. Nothing that was loaded before the change is shown after it."""

    def __init__(self, payload: Callable[..., object]) -> None:
        self._payload = payload

    async def resolve_async(self, next_: Any, source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        told_before = info.context.accounts
        info.context.forget()  # what an earlier mutation of the document loaded
        try:
            payload = await next_(source, info, **kwargs)
            info.context.forget(*_documents(payload))
            return payload
        except RefusedError as refusal:
            if info.context.accounts == told_before:
                await audit_refused(info.context, info.field_name, _subject(kwargs.get("input")), refusal)
            return self._payload(errors=[told(refusal)])


def _documents(payload: object) -> list[object]:
    """The records in a payload, as the mutation left them."""
    return [shown.document for shown in vars(payload).values() if hasattr(shown, "document")]


def _subject(wanted: object) -> str | None:
    """The key of what a mutation is about, if its input names one."""
    for name, type_name in (("vm_id", "VM"), ("launch_id", "Launch"), ("api_key_id", "ApiKey")):
        if isinstance(id_ := getattr(wanted, name, None), str):
            key = key_of(type_name, id_) or ""
            return key if _KEY.fullmatch(key) else None
    return None


def told(refusal: RefusedError) -> MutationError:
    """Each kind with what it alone has to say."""
    words: dict[str, Any] = {
        "code": refusal.code,
        "message": refusal.message,
        "path": ["input", *refusal.path] if refusal.path else None,
    }
    match refusal:
        case NotFoundError():
            return NotFound(**words)
        case NoPlacementError():
            return NoCapacity(**words, attempts=[])  # nothing was tried: what is tried later stands in the launch
        case SpendingLimitError():
            return SpendingLimitReached(**words, limit=refusal.limit, spent=refusal.spent)
        case InvalidStateError():
            return InvalidState(**words, status=refusal.status)
        case ProviderDownError():
            return ProviderUnavailable(**words, provider=ProviderName(refusal.provider))
    return InvalidInput(**words)
