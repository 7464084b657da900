"""How a field of many parents is resolved with one load."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_NAME: Final = "batch"


@dataclass(frozen=True, slots=True)
class Batch:
    """How a field is resolved for many parents at once.

    `key` names what a parent's field shows, None for null. `load` gets the distinct keys of all parents; a key that it
    leaves out is null, and an exception among its values is the error of that key alone. What `load` raises is the
    error of every key. `show` makes the field's value of what was loaded.
    """

    key: Callable[[Any], Hashable | None]
    load: Callable[[Any, Sequence[Any]], Awaitable[Mapping[Any, Any]]]
    show: Callable[[Any], Any]

    @property
    def metadata(self) -> Mapping[Any, Any]:
        """Return the metadata for `strawberry.field`."""
        return {_NAME: self}


def batch_of(metadata: Mapping[Any, Any]) -> Batch | None:
    """Return how a field with this metadata is resolved in batches, None if it is not."""
    found = metadata.get(_NAME)
    return found if isinstance(found, Batch) else None
