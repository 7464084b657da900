"""Reads of documents: one by one in shared batches, lists, rows, counts and aggregations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from odmantic import Model

from errors import UnreadableRecordError
from models.batches import Batches
from models.database_connection import Connection, Document, read_in_turn
from models.rows import row_reader
from models.translation import IN_TRANSACTION
from models.unreadable import Unreadable, report_unreadable

M = TypeVar("M", bound=Model)
_BATCH: Final = 500
_ROWS: Final = 10_000  # per response, within its limit of 16 MB
_BATCHES: Final = 256  # by model and columns


class Reads(Connection):
    """The reads of models.database.Database."""

    def __init__(
        self, uri: str, name: str, timeout_s: float = 5.0, failed: Callable[[str, str], None] = lambda kind, name: None
    ) -> None:
        """Connect lazily, as Connection does."""
        super().__init__(uri, name, timeout_s, failed)
        self._by_id: dict[tuple[type[Model], frozenset[str] | None], Batches[str, Document]] = {}

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

    @read_in_turn
    async def find_one(self, model: type[M], query: Document) -> M | None:
        with self._translate():
            raw = await self._collection(model).find_one(query)
        return None if raw is None else self._translate.parse(model, raw)

    @read_in_turn
    async def find(
        self, model: type[M], query: Document, sort: Sequence[tuple[str, int]] = (), limit: int = 0
    ) -> list[M]:
        """Return matching documents, at most `limit` (0: all).

        Raises UnreadableRecordError if one of them cannot be read: for decisions, which need all of them.
        """
        return [self._translate.parse(model, raw) for raw in await self._find_raw(model, query, sort, limit)]

    @read_in_turn
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

    @read_in_turn
    async def rows(self, model: type[Model], query: Document, columns: frozenset[str] | None = None) -> list[Document]:
        """Return matching documents as they are stored: for readers of thousands."""
        with self._translate():
            return await self._collection(model).find(query, _projection(model, columns), batch_size=_ROWS).to_list()

    @read_in_turn
    async def count(self, model: type[Model], query: Document) -> int:
        with self._translate():
            return await self._collection(model).count_documents(query)

    @read_in_turn
    async def aggregate(self, model: type[Model], pipeline: Sequence[Mapping[str, Any]]) -> list[Document]:
        with self._translate():
            cursor = await self._collection(model).aggregate(list(pipeline))
            return await cursor.to_list()

    def _batches(self, model: type[Model], columns: frozenset[str] | None = None) -> Batches[str, Document]:
        async def look_up(keys: list[str]) -> dict[str, Document]:
            return {raw["_id"]: raw for raw in await self.rows(model, {"_id": {"$in": keys}}, columns)}

        if (model, columns) not in self._by_id:
            if len(self._by_id) >= _BATCHES:  # one that is dropped still answers its callers
                self._by_id.clear()
            self._by_id[model, columns] = Batches(self.turn, look_up)
        return self._by_id[model, columns]


def _projection(model: type[Model], columns: frozenset[str] | None) -> dict[str, int] | None:
    return None if columns is None else row_reader(model, columns).projection
