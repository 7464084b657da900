"""A connection to one database: turns for its calls, transactions, change streams, indexes, and who may use it yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast

import pymongo
from bson.codec_options import CodecOptions, TypeRegistry
from bson.decimal128 import Decimal128
from odmantic import AIOEngine, EmbeddedModel, Model
from pymongo import AsyncMongoClient
from pymongo.asynchronous.change_stream import AsyncCollectionChangeStream
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from errors import UnavailableError
from models import indexes
from models.concurrency import Turns
from models.translation import IN_TRANSACTION, Translation

Document = dict[str, Any]
T = TypeVar("T")
P = ParamSpec("P")
C = TypeVar("C", bound="Connection")
_AT_ONCE: Final = 32  # concurrent calls: more make no database faster, and each opens a connection
_LONGEST_S: Final = 60.0  # longest wait for a turn while other calls succeed
_STALLED_S: Final = 1.0  # if the event loop was blocked for so long during a call, its time limit proves little
_TRIES: Final = 3
_NOT_CHECKED: Final = "the database has not been checked yet"


def in_turn(
    call: Callable[Concatenate[C, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[C, P], Coroutine[Any, Any, T]]:
    """Wait for a turn before the call, so that its time limit begins when it is sent."""

    @wraps(call)
    async def waiting(self: C, /, *args: P.args, **kwargs: P.kwargs) -> T:
        async with self.turn():
            return await call(self, *args, **kwargs)

    return waiting


def read_in_turn(
    call: Callable[Concatenate[C, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[C, P], Coroutine[Any, Any, T]]:
    """Wait for a turn before the call; repeat a call that timed out only because the event loop was blocked."""

    @wraps(call)
    async def waiting(self: C, /, *args: P.args, **kwargs: P.kwargs) -> T:
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


class Connection:
    """The part of models.database.Database that is no call about documents.

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

    def _collection(self, model: type[Model]) -> AsyncCollection[Document]:
        if self._only is not None and model is not self._only:
            raise UnavailableError(_NOT_CHECKED)
        return cast("AsyncCollection[Document]", self._engine.get_collection(model))


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
