"""Reads replies: gives back what was asked for, or says what its absence means. Every failure passes through here."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeVar

from errors import MESSAGE_LIMIT, ProviderBusyError, ProviderRefusedError
from providers.http import NothingSentError, Reply
from providers.outage_log import Outage
from providers.redaction import redacted
from providers.tensordock import error_table, parse
from providers.tensordock.error_table import Meaning
from providers.tensordock.operations import Operation
from providers.tensordock.parse import Failure, Json, UnreadableError

log = logging.getLogger(__name__)

T = TypeVar("T")
_ORDINARY: Final = frozenset({Meaning.DONE, Meaning.GONE, Meaning.WRONG_STATE, Meaning.GIVEN_AWAY})
_VERSION_0: Final = frozenset({Operation.STOP_AND_FREE, Operation.READ_BALANCE, Operation.TEST_CREDENTIALS})
_PUZZLES_KEPT: Final = 256


class ResponseReader:
    """`without_credentials` is applied to everything TensorDock said before anybody else sees it. `rest` is told of
    a reply that turns us away inside, whatever its status says."""

    def __init__(self, without_credentials: Callable[[str], str], rest: Callable[[Operation, Reply], None]) -> None:
        self._without_credentials = without_credentials
        self._rest = rest
        self._outage = Outage("TENSORDOCK")
        self._puzzles: set[tuple[Operation, str]] = set()

    async def read(self, operation: Operation, asked: Awaitable[Reply], parser: Callable[[Json], T]) -> T | Meaning:
        """What `parser` makes of the answer, a Meaning that is no error, or else a ProviderError."""
        try:
            reply = await asked
        except (ProviderBusyError, ProviderRefusedError) as error:
            self._outage.failed(operation, str(error))
            raise
        found = parse.answer(reply, says_success=operation in _VERSION_0)
        if isinstance(found, Failure):
            if found.status == 429 and reply.status != 429:
                self._rest(operation, reply)
            return self._no(operation, replace(found, words=self._fit_to_show(found.words)))
        try:
            parsed = parser(found)
        except UnreadableError as error:
            self._outage.failed(operation, str(error))
            raise ProviderBusyError(f"TensorDock, {operation}: {error} ({reply.status})") from None
        self._outage.went_well(operation)
        return parsed

    async def must_read(self, operation: Operation, asked: Awaitable[Reply], parser: Callable[[Json], T]) -> T:
        """For operations to which the table has no answer but an error."""
        found = await self.read(operation, asked, parser)
        if isinstance(found, Meaning):
            raise ProviderBusyError(f"TensorDock, {operation}: {found}")
        return found

    def _no(self, operation: Operation, failure: Failure) -> Meaning:
        means = error_table.meaning(operation, failure)
        error = error_table.error(operation, failure, means)
        if means is None or (means is Meaning.FAILED and 400 <= failure.status < 500):
            self._puzzle(operation, failure)
        if means is Meaning.BUSY or failure.status in (401, 403):
            self._outage.failed(operation, str(error))
        else:
            self._outage.went_well(operation)
        if means in _ORDINARY:
            return Meaning(means)
        if failure.status == 429:
            raise NothingSentError(error.message).with_log_detail(error.log_detail)
        raise error

    def _fit_to_show(self, words: str) -> str:
        """Credentials go first, so that no cut leaves half of one."""
        return redacted(self._without_credentials(words))[:MESSAGE_LIMIT]

    def _puzzle(self, operation: Operation, failure: Failure) -> None:
        """For an operator to read and for us to add to the table; each once."""
        puzzle = (operation, failure.words)
        if puzzle not in self._puzzles and len(self._puzzles) < _PUZZLES_KEPT:
            self._puzzles.add(puzzle)
            log.warning(
                "TensorDock said what our table does not know",
                extra={"operation": operation, "status": failure.status, "words": failure.words},
            )


def ignored(_: Json) -> None:
    """The parser of an answer that need only be a success."""
