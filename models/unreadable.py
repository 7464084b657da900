"""Records that this version cannot read, because a newer version wrote them before it was rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from odmantic.exceptions import DocumentParsingError


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A document that was left out: its model and id. `reason` names fields and no values."""

    model: str
    id: str
    reason: str


_NOTICED: Final[ContextVar[list[Unreadable] | None]] = ContextVar("unreadable records noticed", default=None)


@contextmanager
def collect_unreadable() -> Iterator[list[Unreadable]]:
    """Collect the documents that are left out while the body runs, including in tasks that it starts."""
    noticed: list[Unreadable] = []
    token = _NOTICED.set(noticed)
    try:
        yield noticed
    finally:
        _NOTICED.reset(token)


def report_unreadable(one: Unreadable) -> None:
    """Report a document that was left out to the surrounding `collect_unreadable`."""
    noticed = _NOTICED.get()
    if noticed is not None and one not in noticed:
        noticed.append(one)


def reason_of(error: Exception) -> str:
    """Return which fields are wrong and how, without their values."""
    if isinstance(error, DocumentParsingError):
        fields = sorted({str(each["loc"][0]) for each in error.inner.errors() if each["loc"]})
        return f"this version cannot read {', '.join(fields)}"
    return "this version cannot read its format"
