"""Bounds the memory of all compiled plans of a process together."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

T = TypeVar("T")
# A compiled field takes about half a kilobyte: this is about 25 MB, a hundred times what graphql/operations/ needs.
_MOST_FIELDS: Final = 50_000


class PlanCache(Generic[T]):
    """The most recently used plans, up to a number of fields. An entry without fields counts as one."""

    def __init__(self, most_fields: int = _MOST_FIELDS) -> None:
        self._most_fields = most_fields
        self._plans: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self.fields = 0

    def get(self, key: Hashable) -> T | None:
        found = self._plans.get(key)
        if found is None:
            return None
        self._plans.move_to_end(key)
        return found[0]

    def add(self, key: Hashable, plan: T, fields: int) -> None:
        """Keep a plan that is not kept yet."""
        self._plans[key] = (plan, max(1, fields))
        self.fields += max(1, fields)
        while self.fields > self._most_fields:
            _, (_, forgotten) = self._plans.popitem(last=False)
            self.fields -= forgotten
