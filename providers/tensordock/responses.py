"""Reads responses: returns what was requested, or what its absence means. Handles every failure."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeVar

from errors import MESSAGE_LIMIT, ProviderBusyError, ProviderRefusedError
from providers.http import NothingSentError, Reply
from providers.outage_log import Outage
from providers.redaction import redact
from providers.tensordock import error_table, parse
from providers.tensordock.error_table import Meaning
from providers.tensordock.operations import Operation
from providers.tensordock.parse import Failure, Json, UnreadableError

log = logging.getLogger(__name__)

T = TypeVar("T")
_ORDINARY: Final = frozenset({Meaning.DONE, Meaning.GONE, Meaning.WRONG_STATE, Meaning.GIVEN_AWAY})
_VERSION_0: Final = frozenset({Operation.STOP_AND_FREE, Operation.READ_BALANCE, Operation.TEST_CREDENTIALS})
_LOGGED_LIMIT: Final = 256


class ResponseReader:
    """Parses responses and turns failures into errors.

    `without_credentials` is applied to all foreign text before anything else uses it. `back_off` is called for a
    response that in its body rejects the request for its rate, whatever its status.
    """

    def __init__(self, without_credentials: Callable[[str], str], back_off: Callable[[Operation, Reply], None]) -> None:
        self._without_credentials = without_credentials
        self._back_off = back_off
        self._outage = Outage("TENSORDOCK")
        self._logged: set[tuple[Operation, str]] = set()

    async def read(self, operation: Operation, asked: Awaitable[Reply], parser: Callable[[Json], T]) -> T | Meaning:
        """Return the parsed response, or a Meaning that is no error. Raises a ProviderError otherwise."""
        try:
            reply = await asked
        except (ProviderBusyError, ProviderRefusedError) as error:
            self._outage.record_failure(operation, str(error))
            raise
        found = parse.answer(reply, says_success=operation in _VERSION_0)
        if isinstance(found, Failure):
            if found.status == 429 and reply.status != 429:
                self._back_off(operation, reply)
            return self._classify(operation, replace(found, words=self._redact(found.words)))
        try:
            parsed = parser(found)
        except UnreadableError as error:
            self._outage.record_failure(operation, str(error))
            raise ProviderBusyError(f"TensorDock, {operation}: {error} ({reply.status})") from None
        self._outage.record_success(operation)
        return parsed

    async def must_read(self, operation: Operation, asked: Awaitable[Reply], parser: Callable[[Json], T]) -> T:
        """Read a response for operations that have no Meaning but an error."""
        found = await self.read(operation, asked, parser)
        if isinstance(found, Meaning):
            raise ProviderBusyError(f"TensorDock, {operation}: {found}")
        return found

    def _classify(self, operation: Operation, failure: Failure) -> Meaning:
        means = error_table.meaning(operation, failure)
        error = error_table.error(operation, failure, means)
        if means is None or (means is Meaning.FAILED and 400 <= failure.status < 500):
            self._log_unknown(operation, failure)
        if means is Meaning.BUSY or failure.status in (401, 403):
            self._outage.record_failure(operation, str(error))
        else:
            self._outage.record_success(operation)
        if means in _ORDINARY:
            return Meaning(means)
        if failure.status == 429:
            raise NothingSentError(error.message).with_log_detail(error.log_detail)
        raise error

    def _redact(self, words: str) -> str:
        """Remove credentials first, so that cutting the text leaves no half of one."""
        return redact(self._without_credentials(words))[:MESSAGE_LIMIT]

    def _log_unknown(self, operation: Operation, failure: Failure) -> None:
        """Log a failure that the table lacks, once, so that it can be added."""
        failed = (operation, failure.words)
        if failed not in self._logged and len(self._logged) < _LOGGED_LIMIT:
            self._logged.add(failed)
            log.warning(
                "unknown TensorDock failure",
                extra={"operation": operation, "status": failure.status, "words": failure.words},
            )


def accept_any(_: Json) -> None:
    """Accept any successful response without reading it."""
