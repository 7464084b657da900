"""The interface through which executed operations are counted. Callers cannot choose its labels."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import Protocol


class Outcome(StrEnum):
    OK = "ok"
    ERROR = "error"  # answered, and something in it failed
    REFUSED = "refused"  # not run at all
    INTERRUPTED = "interrupted"  # cancelled before the end


class OperationObserver(Protocol):
    """Counts operations. `document` is the name of a trusted document, or None for any other."""

    def answered(self, document: str | None, outcome: Outcome, seconds: float) -> None:
        """Count a query, a mutation, or the beginning of a subscription."""
        ...

    def following(self, document: str | None) -> AbstractContextManager[None]:
        """Count a subscription while the context is entered."""
        ...

    def executed_by_graphql_core(self, reason: str) -> None:
        """Count an operation, or a single value, that graphql-core executed instead of a compiled plan."""
        ...


class NullObserver:
    """Counts nothing."""

    def answered(self, document: str | None, outcome: Outcome, seconds: float) -> None:
        pass

    def following(self, document: str | None) -> AbstractContextManager[None]:
        return nullcontext()

    def executed_by_graphql_core(self, reason: str) -> None:
        pass
