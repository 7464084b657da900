"""Problems that the caller can act on, as data in a mutation's payload."""

from __future__ import annotations

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
from schema.attempts import PlacementAttempt
from schema.words import ProviderName


@strawberry.interface(
    name="UserError", description="A problem that the caller can act on. `path` leads to the input field at fault."
)
class Problem:
    code: str
    message: str
    path: list[str] | None


@strawberry.type
class InvalidInput(Problem):
    pass


@strawberry.type
class NotFound(Problem):
    pass


@strawberry.type
class NoCapacity(Problem):
    attempts: list[PlacementAttempt]


@strawberry.type
class SpendingLimitReached(Problem):
    limit: Decimal
    spent: Decimal


@strawberry.type
class InvalidState(Problem):
    status: str


@strawberry.type
class ProviderUnavailable(Problem):
    provider: ProviderName


KINDS: Final = (InvalidInput, NotFound, NoCapacity, SpendingLimitReached, InvalidState, ProviderUnavailable)


class RefusalsAsData(FieldExtension):
    """Answers a RefusedError with the mutation's payload, whose `errors` then say why."""

    def __init__(self, payload: Callable[..., object]) -> None:
        self._payload = payload

    async def resolve_async(self, next_: Any, source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        try:
            return await next_(source, info, **kwargs)
        except RefusedError as refusal:
            return self._payload(errors=[told(refusal)])


def told(refusal: RefusedError) -> Problem:
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
