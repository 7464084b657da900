"""Translates errors of the driver and of documents into ours, counts and logs them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Any, Final, TypeVar, cast

from odmantic import Model
from pymongo.errors import PyMongoError

from errors import ConflictError, DatabaseFaultError, UnavailableError, UnreadableRecordError
from models.database_errors import ErrorKind, kind_of, name_of
from models.rows import row_reader
from models.unreadable import reason_of

M = TypeVar("M", bound=Model)
log = logging.getLogger(__name__)

IN_TRANSACTION: Final = ContextVar("IN_TRANSACTION", default=False)
_LOG_EVERY_S: Final = 60.0


class Translation:
    def __init__(self, failed: Callable[[str, str], None]) -> None:
        """Call `failed` with the kind and name of every error."""
        self._failed = failed
        self._logged_at: dict[str, float] = {}

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Turn foreign errors into ours, and restore a cancellation that the driver swallowed or replaced by an error.

        A task that continues after its cancellation would never end.
        """
        task = asyncio.current_task()
        cancellations = task.cancelling() if task else 0
        try:
            with self._errors():
                yield
        finally:
            if task and task.cancelling() > cancellations:
                raise asyncio.CancelledError

    def parse(self, model: type[M], raw: dict[str, Any]) -> M:
        """Return the document. Raises UnreadableRecordError if this version cannot read it."""
        try:
            return model.model_validate_doc(raw)
        except Exception as error:  # odmantic's errors depend on the defect
            raise self._unreadable(model, raw, reason_of(error)) from error

    def parse_row(self, model: type[M], raw: dict[str, Any], columns: frozenset[str]) -> M:
        """Return the document's columns as a row, which has these attributes of the model. Raises as `parse`."""
        reader = row_reader(model, columns)
        try:
            return cast(M, reader.read(raw))
        except (ValueError, TypeError, KeyError) as error:
            reason = f"this version cannot read {', '.join(reader.unreadable(raw))}"
            raise self._unreadable(model, raw, reason) from error

    def _unreadable(self, model: type[Model], raw: dict[str, Any], reason: str) -> UnreadableRecordError:
        record = f"{model.__name__} {raw['_id']}"
        self._failed("UNREADABLE", model.__name__)
        if self._is_log_due(record):
            log.warning("record cannot be read", extra={"record": record, "why": reason})
        owner = raw.get("user_id")
        return UnreadableRecordError(reason, owner if isinstance(owner, str) else None)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except PyMongoError as error:
            if IN_TRANSACTION.get() and error.has_error_label("TransientTransactionError"):
                raise  # to the driver, which repeats the transaction
            kind, name = kind_of(error), name_of(error)
            self._failed(kind, name)
            match kind:
                case ErrorKind.DUPLICATE:
                    raise ConflictError("a document with this key exists") from error
                case ErrorKind.TRANSIENT:
                    raise UnavailableError("the database does not respond") from error
                case ErrorKind.OPERATOR:
                    if self._is_log_due(name):
                        log.error("database rejects commands, an operator must act", extra={"error": name})
                    raise UnavailableError("the database failed; see its log") from error
                case ErrorKind.FAULT:
                    raise DatabaseFaultError(f"the database rejected a command: {name}") from error

    def _is_log_due(self, subject: str) -> bool:
        """Return whether a subject was not logged for a minute, and record that it is logged now."""
        now = monotonic()
        if now - self._logged_at.get(subject, -_LOG_EVERY_S) < _LOG_EVERY_S:
            return False
        self._logged_at[subject] = now
        return True
