"""The database: the only part of the service that calls pymongo, whose errors are translated into ours.

ODMantic describes the documents. Calls use pymongo's own asynchronous client, because Motor keeps a thread for every
idle change stream. Filters are flat dictionaries: a filter with `$and` at its top scans the collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final, TypeVar, cast

import pymongo
from odmantic import Model
from pymongo import ReturnDocument

from errors import ConflictError, DatabaseFaultError, UnavailableError
from models.database_connection import Document, in_turn
from models.database_reads import Reads

__all__ = ["ASCENDING", "DESCENDING", "Database", "Document", "M", "best_effort"]

M = TypeVar("M", bound=Model)
ASCENDING, DESCENDING = 1, -1
_CHANGED_AT: Final = "changed_at"  # models with this field record when each document was last written


class Database(Reads):
    """One database.

    Every call ends within `timeout_s` of its turn. UnavailableError means that there was no usable response.
    """

    @in_turn
    async def insert(self, document: Model) -> None:
        """Insert a document. Raises ConflictError if a unique key exists."""
        with self._translate():
            await self._collection(type(document)).insert_one(_new(document))

    @in_turn
    async def insert_many(self, documents: Sequence[Model]) -> None:
        """Insert documents of one model.

        Raises ConflictError if a unique key exists; the documents before it are written.
        """
        if not documents:
            return
        with self._translate():
            await self._collection(type(documents[0])).insert_many([_new(each) for each in documents])

    @in_turn
    async def replace(self, document: Model) -> None:
        """Insert the document, or overwrite the one with its id. For derived data with a single writer."""
        raw = document.model_dump_doc()
        with self._translate():
            await self._collection(type(document)).replace_one({"_id": raw["_id"]}, raw, upsert=True)

    @in_turn
    async def update(self, model: type[M], guard: Document, changes: Document) -> M | None:
        """Apply update operators to the one document that `guard` matches and return the result.

        None means that nothing matched and nothing was written.
        """
        with self._translate():
            raw = await self._collection(model).find_one_and_update(
                guard, _with_time(model, changes), return_document=ReturnDocument.AFTER
            )
        return None if raw is None else self._translate.parse(model, raw)

    @in_turn
    async def update_or_insert(self, model: type[M], key: Document, changes: Document) -> M:
        """Apply update operators to the document with this key, creating it if needed, and return it soon after."""
        with self._translate():
            collection = self._collection(model)
            raw = await collection.find_one_and_update(key, changes, upsert=True, return_document=ReturnDocument.AFTER)
            if raw is None:
                # SecantusDB returns nothing to the loser of a race to insert, although the update was made.
                raw = await collection.find_one(key)
        return self._translate.parse(model, cast(Document, raw))

    @in_turn
    async def update_many(self, model: type[Model], guard: Document, changes: Document) -> int:
        with self._translate():
            return (await self._collection(model).update_many(guard, _with_time(model, changes))).modified_count

    @in_turn
    async def upsert(self, model: type[Model], key: Document, changes: Document) -> None:
        """Apply update operators to the document with this key, creating it if needed."""
        with self._translate():
            await self._collection(model).update_one(key, changes, upsert=True)

    @in_turn
    async def upsert_many(self, model: type[Model], changes: Mapping[str, Document]) -> None:
        """Apply update operators to the documents with these ids in one call, creating them if needed."""
        updates = [pymongo.UpdateOne({"_id": key}, change, upsert=True) for key, change in changes.items()]
        with self._translate():
            await self._collection(model).bulk_write(updates, ordered=False)

    @in_turn
    async def delete(self, model: type[Model], guard: Document) -> int:
        with self._translate():
            return (await self._collection(model).delete_many(guard)).deleted_count


def _new(document: Model) -> Document:
    raw = document.model_dump_doc()
    return {**raw, _CHANGED_AT: datetime.now(UTC)} if _CHANGED_AT in raw else raw


def _with_time(model: type[Model], changes: Document) -> Document:
    """Return the changes with the time of the write by the database's clock, if the model records it."""
    return {**changes, "$currentDate": {_CHANGED_AT: True}} if _CHANGED_AT in model.model_fields else changes


@contextmanager
def best_effort() -> Iterator[None]:
    """Ignore errors of writes that are not worth a failure, such as counters and caches.

    The errors are logged where they occur.
    """
    with suppress(UnavailableError, ConflictError, DatabaseFaultError):
        yield
