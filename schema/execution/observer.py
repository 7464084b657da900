"""Who counts what is asked, told in words that no caller can choose."""

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
    """`document` is the name of a trusted document, and None for every other."""

    def answered(self, document: str | None, outcome: Outcome, seconds: float) -> None:
        """A query, a mutation, or the beginning of a subscription."""
        ...

    def following(self, document: str | None) -> AbstractContextManager[None]:
        """For as long as a subscription lasts."""
        ...

    def executed_by_graphql_core(self, reason: str) -> None:
        """Count an operation that was not executed by a compiled plan, or a part of one whose value the plan did not
        accept."""
        ...


class NullObserver:
    """Keeps Listener, and forgets."""

    def answered(self, document: str | None, outcome: Outcome, seconds: float) -> None:
        pass

    def following(self, document: str | None) -> AbstractContextManager[None]:
        return nullcontext()

    def executed_by_graphql_core(self, reason: str) -> None:
        pass
