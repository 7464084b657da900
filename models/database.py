"""The only module that calls pymongo. Translates driver errors into ours.

ODMantic describes the documents. Calls use pymongo's own asynchronous client, because Motor keeps a thread for every
idle change stream. Filters are flat dictionaries: a filter with `$and` at its top scans the collection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast

import pymongo
from bson.codec_options import CodecOptions, TypeRegistry
from bson.decimal128 import Decimal128
from odmantic import AIOEngine, EmbeddedModel, Model
from pymongo import AsyncMongoClient, ReturnDocument
from pymongo.asynchronous.change_stream import AsyncCollectionChangeStream
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from errors import ConflictError, DatabaseFaultError, UnavailableError, UnreadableRecordError
from models import indexes
from models.batches import Batches
from models.concurrency import Turns
from models.rows import row_reader
from models.translation import IN_TRANSACTION, Translation
from models.unreadable import Unreadable, report_unreadable

log = logging.getLogger(__name__)
Document = dict[str, Any]
M = TypeVar("M", bound=Model)
T = TypeVar("T")
P = ParamSpec("P")
ASCENDING, DESCENDING = 1, -1
_BATCH: Final = 500
_ROWS: Final = 10_000  # per response, within its limit of 16 MB
_AT_ONCE: Final = 32  # concurrent calls: more make no database faster, and each opens a connection
_LONGEST_S: Final = 60.0  # longest wait for a turn while other calls succeed
_STALLED_S: Final = 1.0  # if the event loop was blocked for so long during a call, its time limit proves little
_BATCHES: Final = 256  # by model and columns
_TRIES: Final = 3
_CHANGED_AT: Final = "changed_at"  # models with this field record when each document was last written


def _in_turn(
    call: Callable[Concatenate[Database, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Database, P], Coroutine[Any, Any, T]]:
    """Wait for a turn before the call, so that its time limit begins when it is sent."""

    @wraps(call)
    async def waiting(self: Database, /, *args: P.args, **kwargs: P.kwargs) -> T:
        async with self.turn():
            return await call(self, *args, **kwargs)

    return waiting


def _read_in_turn(
    call: Callable[Concatenate[Database, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Database, P], Coroutine[Any, Any, T]]:
    """Wait for a turn before the call; repeat a call that timed out only because the event loop was blocked."""

    @wraps(call)
    async def waiting(self: Database, /, *args: P.args, **kwargs: P.kwargs) -> T:
        async with self.turn():
            for _ in range(_TRIES - 1):
                begun = self.stalled_s
                try:
                    return await call(self, *args, **kwargs)
                except UnavailableError:
                    if IN_TRANSACTION.get() or self.stalled_s - begun < _STALLED_S:
                        raise
            return await call(self, *args, **kwargs)

    return waiting


class Database:
    """One database.

    Every call ends within `timeout_s` of its turn. UnavailableError means that there was no usable response.
    """

    def __init__(
        self, uri: str, name: str, timeout_s: float = 5.0, failed: Callable[[str, str], None] = lambda kind, name: None
    ) -> None:
        """Connect lazily. Raises ValueError for an invalid `uri`.

        `failed` is called with the kind and name of every error.
        """
        self._client = _client(uri, int(timeout_s * 1000))
        # ODMantic's types assume Motor; the parts of its engine used here work with pymongo's client unchanged.
        self._engine = AIOEngine(client=cast(Any, self._client), database=name)
        self.name = name
        self._timeout_s = timeout_s
        self._translate = Translation(failed)
        self._turns = Turns(_AT_ONCE, timeout_s, _LONGEST_S)
        self._by_id: dict[tuple[type[Model], frozenset[str] | None], Batches[str, Document]] = {}
        self._prepared = asyncio.Event()
        self._prepared.set()
        self._only: type[Model] | None = None

    def __repr__(self) -> str:
        return f"Database({self.name!r})"

    async def close(self) -> None:
        await self._client.close()

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Hold a turn for several consecutive calls. Every single call takes a turn by itself.

        Raises UnavailableError if the database does not respond to earlier calls.
        """
        return self._turns.turn()

    @property
    def stalled_s(self) -> float:
        """Return for how long this process's event loop was blocked during calls, in total."""
        return self._turns.stalled_s

    async def ping(self) -> None:
        """Check that the database responds.

        Raises UnavailableError if it does not, or if it must not be used yet.
        """
        if self._only is not None:
            raise UnavailableError(_NOT_CHECKED)
        with self._translate():
            await self._client.admin.command("ping")

    def restrict_to(self, model: type[Model]) -> None:
        """Reject calls about other models with UnavailableError until `lift_restriction`.

        A database is not touched before it is certain which deployment it belongs to.
        """
        self._only = model

    @property
    def is_restricted(self) -> bool:
        return self._only is not None

    def lift_restriction(self) -> None:
        self._only = None

    def prepare_first(self) -> None:
        """Make transactions wait until `ensure_indexes` has succeeded.

        A transaction must not create a collection: a process that creates an index on it at the same time waits for the
        transaction, and in the embedded database the transaction then waits for the index, both forever.
        """
        self._prepared.clear()

    async def ensure_indexes(self, models: Sequence[type[Model]]) -> None:
        """Create and change indexes as the models require. Several processes may do so at once, repeatedly.

        Raises MigrationError if documents violate a unique index.
        """
        with self._translate():
            for model in models:
                await indexes.ensure(self._collection(model), indexes.of_model(model))
        self._prepared.set()

    async def get(self, model: type[M], key: str | None) -> M | None:
        """Return one document, read together with others that are requested at the same time; None for no key."""
        if key is None:
            return None
        if IN_TRANSACTION.get():
            return await self.find_one(model, {"_id": key})
        raw = await self._batches(model).get(key)
        return None if raw is None else self._translate.parse(model, raw)

    async def get_many(self, model: type[M], keys: Iterable[str]) -> list[M]:
        """Return the existing documents in no particular order."""
        raws = await self._raw_by_id(model, keys)
        return [self._translate.parse(model, raw) for raw in raws.values()]

    async def read_many(
        self, model: type[M], keys: Iterable[str], columns: frozenset[str] | None = None
    ) -> dict[str, M | UnreadableRecordError]:
        """Return the existing documents by id; an UnreadableRecordError for each that this version cannot read.

        With `columns`, return rows that have only these attributes of the model, and are not for writing.
        """
        read: dict[str, M | UnreadableRecordError] = {}
        for key, raw in (await self._raw_by_id(model, keys, columns)).items():
            try:
                read[key] = self._parse(model, raw, columns)
            except UnreadableRecordError as error:
                read[key] = error
        return read

    def _parse(self, model: type[M], raw: Document, columns: frozenset[str] | None) -> M:
        if columns is None:
            return self._translate.parse(model, raw)
        return self._translate.parse_row(model, raw, columns)

    async def _raw_by_id(
        self, model: type[Model], keys: Iterable[str], columns: frozenset[str] | None = None
    ) -> dict[str, Document]:
        """Return documents as they are stored. Within a transaction the read belongs to it and is not shared."""
        if IN_TRANSACTION.get():
            return {raw["_id"]: raw for raw in await self.rows(model, {"_id": {"$in": list(keys)}}, columns)}
        return await self._batches(model, columns).get_all(keys)

    async def get_derived(self, model: type[M], key: str) -> M | None:
        """Return a document that can be derived again; None also if this version cannot read it."""
        try:
            return await self.get(model, key)
        except UnreadableRecordError:
            return None

    @_read_in_turn
    async def find_one(self, model: type[M], query: Document) -> M | None:
        with self._translate():
            raw = await self._collection(model).find_one(query)
        return None if raw is None else self._translate.parse(model, raw)

    @_read_in_turn
    async def find(
        self, model: type[M], query: Document, sort: Sequence[tuple[str, int]] = (), limit: int = 0
    ) -> list[M]:
        """Return matching documents, at most `limit` (0: all).

        Raises UnreadableRecordError if one of them cannot be read: for decisions, which need all of them.
        """
        return [self._translate.parse(model, raw) for raw in await self._find_raw(model, query, sort, limit)]

    @_read_in_turn
    async def find_readable(
        self,
        model: type[M],
        query: Document,
        sort: Sequence[tuple[str, int]] = (),
        limit: int = 0,
        columns: frozenset[str] | None = None,
    ) -> tuple[list[M], list[Unreadable]]:
        """Return matching documents like `find`, and beside them those that cannot be read: for lists.

        With `columns`, return rows that have only these attributes of the model, and are not for writing.
        """
        read: list[M] = []
        unreadable: list[Unreadable] = []
        async for raw in self._iterate(model, query, sort, limit, columns):
            try:
                read.append(self._parse(model, raw, columns))
            except UnreadableRecordError as error:
                unreadable.append(Unreadable(model.__name__, str(raw["_id"]), error.message))
                report_unreadable(unreadable[-1])
        return read, unreadable

    async def _find_raw(
        self, model: type[Model], query: Document, sort: Sequence[tuple[str, int]], limit: int
    ) -> list[Document]:
        with self._translate():
            cursor = self._collection(model).find(query, limit=limit)
            return await (cursor.sort(list(sort)) if sort else cursor).to_list()

    async def _iterate(
        self,
        model: type[Model],
        query: Document,
        sort: Sequence[tuple[str, int]],
        limit: int,
        columns: frozenset[str] | None = None,
    ) -> AsyncIterator[Document]:
        """Yield documents in batches. The time limit applies to each batch, so that thousands can be read."""
        with self._translate():
            cursor = self._collection(model).find(query, _projection(model, columns), limit=limit, batch_size=_BATCH)
            async with cursor.sort(list(sort)) if sort else cursor:
                if 0 < limit <= _BATCH:  # faster than one after another
                    for raw in await cursor.to_list():
                        yield raw
                    return
                async for raw in cursor:
                    yield raw

    @_read_in_turn
    async def rows(self, model: type[Model], query: Document, columns: frozenset[str] | None = None) -> list[Document]:
        """Return matching documents as they are stored: for readers of thousands."""
        with self._translate():
            return await self._collection(model).find(query, _projection(model, columns), batch_size=_ROWS).to_list()

    @_in_turn
    async def insert(self, document: Model) -> None:
        """Insert a document. Raises ConflictError if a unique key exists."""
        with self._translate():
            await self._collection(type(document)).insert_one(_new(document))

    @_in_turn
    async def insert_many(self, documents: Sequence[Model]) -> None:
        """Insert documents of one model.

        Raises ConflictError if a unique key exists; the documents before it are written.
        """
        if not documents:
            return
        with self._translate():
            await self._collection(type(documents[0])).insert_many([_new(each) for each in documents])

    @_in_turn
    async def replace(self, document: Model) -> None:
        """Insert the document, or overwrite the one with its id. For derived data with a single writer."""
        raw = document.model_dump_doc()
        with self._translate():
            await self._collection(type(document)).replace_one({"_id": raw["_id"]}, raw, upsert=True)

    @_in_turn
    async def update(self, model: type[M], guard: Document, changes: Document) -> M | None:
        """Apply update operators to the one document that `guard` matches and return the result.

        None means that nothing matched and nothing was written.
        """
        with self._translate():
            raw = await self._collection(model).find_one_and_update(
                guard, _with_time(model, changes), return_document=ReturnDocument.AFTER
            )
        return None if raw is None else self._translate.parse(model, raw)

    @_in_turn
    async def update_or_insert(self, model: type[M], key: Document, changes: Document) -> M:
        """Apply update operators to the document with this key, creating it if needed, and return it soon after."""
        with self._translate():
            collection = self._collection(model)
            raw = await collection.find_one_and_update(key, changes, upsert=True, return_document=ReturnDocument.AFTER)
            if raw is None:
                # SecantusDB returns nothing to the loser of a race to insert, although the update was made.
                raw = await collection.find_one(key)
        return self._translate.parse(model, cast(Document, raw))

    @_in_turn
    async def update_many(self, model: type[Model], guard: Document, changes: Document) -> int:
        with self._translate():
            return (await self._collection(model).update_many(guard, _with_time(model, changes))).modified_count

    @_in_turn
    async def upsert(self, model: type[Model], key: Document, changes: Document) -> None:
        """Apply update operators to the document with this key, creating it if needed."""
        with self._translate():
            await self._collection(model).update_one(key, changes, upsert=True)

    @_in_turn
    async def upsert_many(self, model: type[Model], changes: Mapping[str, Document]) -> None:
        """Apply update operators to the documents with these ids in one call, creating them if needed."""
        updates = [pymongo.UpdateOne({"_id": key}, change, upsert=True) for key, change in changes.items()]
        with self._translate():
            await self._collection(model).bulk_write(updates, ordered=False)

    @_in_turn
    async def delete(self, model: type[Model], guard: Document) -> int:
        with self._translate():
            return (await self._collection(model).delete_many(guard)).deleted_count

    @_read_in_turn
    async def count(self, model: type[Model], query: Document) -> int:
        with self._translate():
            return await self._collection(model).count_documents(query)

    @_read_in_turn
    async def aggregate(self, model: type[Model], pipeline: Sequence[Mapping[str, Any]]) -> list[Document]:
        with self._translate():
            cursor = await self._collection(model).aggregate(list(pipeline))
            return await cursor.to_list()

    @asynccontextmanager
    async def watch(
        self, model: type[Model], pipeline: Sequence[Mapping[str, Any]], resume_after: Mapping[str, Any] | None = None
    ) -> AsyncIterator[AsyncCollectionChangeStream[Document]]:
        """Open a change stream before the body runs. Its `resume_token` is where to resume after a failure."""
        with self._translate():
            # Waiting for changes may take long, so the client's time limit is lifted.
            collection = self._collection(model).with_options(
                codec_options=CodecOptions(tz_aware=True, document_class=dict)
            )
            stream = await collection.watch(
                list(pipeline), full_document="updateLookup", resume_after=resume_after, max_await_time_ms=1000
            )
            async with stream:
                yield stream

    async def transaction(self, body: Callable[[], Awaitable[T]]) -> T:
        """Run database calls so that all of their writes happen or none. Nested calls join the outer transaction.

        `body` is run again if others write the same documents: it must make database calls one after another and do
        nothing else. An error undoes its writes.
        """
        if IN_TRANSACTION.get():
            return await body()
        await self._wait_until_prepared()
        async with self.turn():
            return await self._transaction(body)

    async def _transaction(self, body: Callable[[], Awaitable[T]]) -> T:
        with self._translate(), pymongo.timeout(self._timeout_s):
            async with self._client.start_session() as session:
                return await session.with_transaction(lambda session: _run_in_session(session, body))

    async def _wait_until_prepared(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._prepared.wait()
        except TimeoutError as error:
            raise UnavailableError("the database is not prepared yet") from error

    async def drop(self) -> None:
        """Delete the whole database. For tests, which own theirs."""
        with self._translate():
            await self._client.drop_database(self.name)

    def _batches(self, model: type[Model], columns: frozenset[str] | None = None) -> Batches[str, Document]:
        async def look_up(keys: list[str]) -> dict[str, Document]:
            return {raw["_id"]: raw for raw in await self.rows(model, {"_id": {"$in": keys}}, columns)}

        if (model, columns) not in self._by_id:
            if len(self._by_id) >= _BATCHES:  # one that is dropped still answers its callers
                self._by_id.clear()
            self._by_id[model, columns] = Batches(self.turn, look_up)
        return self._by_id[model, columns]

    def _collection(self, model: type[Model]) -> AsyncCollection[Document]:
        if self._only is not None and model is not self._only:
            raise UnavailableError(_NOT_CHECKED)
        return cast("AsyncCollection[Document]", self._engine.get_collection(model))


_NOT_CHECKED: Final = "the database has not been checked yet"


def _new(document: Model) -> Document:
    raw = document.model_dump_doc()
    return {**raw, _CHANGED_AT: datetime.now(UTC)} if _CHANGED_AT in raw else raw


def _with_time(model: type[Model], changes: Document) -> Document:
    """Return the changes with the time of the write by the database's clock, if the model records it."""
    return {**changes, "$currentDate": {_CHANGED_AT: True}} if _CHANGED_AT in model.model_fields else changes


def _projection(model: type[Model], columns: frozenset[str] | None) -> dict[str, int] | None:
    return None if columns is None else row_reader(model, columns).projection


@contextmanager
def best_effort() -> Iterator[None]:
    """Ignore errors of writes that are not worth a failure, such as counters and caches.

    The errors are logged where they occur.
    """
    with suppress(UnavailableError, ConflictError, DatabaseFaultError):
        yield


async def _run_in_session(session: AsyncClientSession, body: Callable[[], Awaitable[T]]) -> T:
    """Run `body` with the session, which all of its database calls use implicitly."""
    token = IN_TRANSACTION.set(True)
    try:
        async with session.bind(end_session=False):
            return await body()
    finally:
        IN_TRANSACTION.reset(token)


def _as_stored(value: object) -> object:
    """Convert values that the driver cannot encode by itself, for filters and update operators."""
    if isinstance(value, Decimal):
        return Decimal128(value)
    if isinstance(value, EmbeddedModel):
        return value.model_dump_doc()
    return value


def _client(uri: str, timeout_ms: int) -> AsyncMongoClient[Document]:
    try:
        return AsyncMongoClient(
            uri,
            tz_aware=True,
            appname="gamer-provisioner",
            timeoutMS=timeout_ms,
            serverSelectionTimeoutMS=timeout_ms,
            connectTimeoutMS=timeout_ms,
            type_registry=TypeRegistry(fallback_encoder=_as_stored),
        )
    except (PyMongoError, ValueError, TypeError):
        # Neither the driver's message nor its traceback is passed on: parts of the address may be a password.
        raise ValueError("not a MongoDB connection string") from None
