"""Pages of lists. Cursors are opaque and name a position in the order, not an offset."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, TypeVar

from errors import InvalidInputError
from models.pages import Mark

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 100
_MAX_CURSOR: Final = 512
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """Items in order, each with the cursor after which the list continues."""

    items: Sequence[T_co]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool


def page_size(first: int | None, name: str = "first", default: int = PAGE_SIZE) -> int:
    """Return the requested page size. Raise InvalidInputError outside 1 to 100."""
    if first is None:
        return default
    if not 1 <= first <= MAX_PAGE_SIZE:
        raise InvalidInputError(f"{name} must be between 1 and {MAX_PAGE_SIZE}", (name,))
    return first


def page_of(items: Sequence[T], key: Callable[[T], str], kind: str, first: int | None, after: str | None) -> Page[T]:
    """Return a page of a list in memory, ordered by `key`. The cursor of a removed item stays valid."""
    size = page_size(first)
    ordered = sorted(items, key=key)
    start = 0 if after is None else bisect_right(ordered, read_cursor(kind, after), key=key)
    shown = ordered[start : start + size]
    cursors = [cursor(kind, key(item)) for item in shown]
    return Page(shown, cursors, has_next=start + size < len(ordered), has_previous=start > 0)


def page_from(found: Sequence[T], mark: Callable[[T], Mark], kind: str, size: int, *, has_previous: bool) -> Page[T]:
    """Return a page from the result of a query for `size` + 1 items."""
    shown = found[:size]
    return Page(shown, [_mark_cursor(kind, mark(item)) for item in shown], len(found) > size, has_previous)


def cursor(kind: str, key: str) -> str:
    """Return the cursor of an item in a list of this kind."""
    return base64.urlsafe_b64encode(f"{kind}:{key}".encode()).decode().rstrip("=")


def read_cursor(kind: str, text: str) -> str:
    """Return the key in a cursor. Raise InvalidInputError unless `cursor` made it for this kind of list."""
    if len(text) > _MAX_CURSOR or not text.isascii():
        raise _bad_cursor()
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _bad_cursor() from error
    prefix, _, key = decoded.partition(":")
    if prefix != kind or not key:
        raise _bad_cursor()
    return key


def read_mark(kind: str, text: str | None) -> Mark | None:
    """Return the position in a cursor of a list ordered by time. Raise InvalidInputError for any other text."""
    if text is None:
        return None
    milliseconds, _, id_ = read_cursor(kind, text).partition(":")
    try:
        return Mark(_EPOCH + int(milliseconds) * _MILLISECOND, id_)
    except (ValueError, OverflowError) as error:
        raise _bad_cursor() from error


def _mark_cursor(kind: str, mark: Mark) -> str:
    return cursor(kind, f"{(mark.at - _EPOCH) // _MILLISECOND}:{mark.id}")


def _bad_cursor() -> InvalidInputError:
    return InvalidInputError("after is not a cursor of this list", ("after",))
