"""Databases that are used again: to make one with all its indexes takes longer than most tests."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import pymongo
from odmantic import Model

from models.database import Database
from models.registry import DOCUMENTS

# They take turns, so that what a test leaves under way is over before its database is emptied for another.
_TURNS: Final = 6


class PreparedDatabases:
    """A worker's databases. Each is emptied before it is used again; collections that no model has are dropped."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._waiting = deque[str]()
        self._known = {_name(model) for model in DOCUMENTS}

    @contextmanager
    def opened(self) -> Iterator[PreparedDatabases]:
        with pymongo.MongoClient[dict[str, Any]](self._uri) as self._client:
            yield self
            for name in self._waiting:
                self._client.drop_database(name)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Database]:
        database = await self._emptied() if len(self._waiting) >= _TURNS else await self._made()
        yield database
        await database.close()
        self._waiting.append(database.name)

    async def _made(self) -> Database:
        database = Database(self._uri, f"test_{secrets.token_hex(6)}")
        await database.ensure_indexes(DOCUMENTS)
        return database

    async def _emptied(self) -> Database:
        name = self._waiting.popleft()
        there = set(self._client[name].list_collection_names())
        for each in there - self._known:
            self._client[name].drop_collection(each)
        for each in self._filled(name, sorted(there & self._known)):
            self._client[name][each].delete_many({})
        return Database(self._uri, name)

    def _filled(self, database: str, collections: list[str]) -> list[str]:
        """Those with a document, found with one question."""
        pipelines: list[list[dict[str, Any]]] = [
            [{"$limit": 1}, {"$project": {"_id": 0, "name": {"$literal": each}}}] for each in collections
        ]
        others = zip(collections[1:], pipelines[1:], strict=True)
        also = [{"$unionWith": {"coll": each, "pipeline": pipeline}} for each, pipeline in others]
        return [found["name"] for found in self._client[database][collections[0]].aggregate([*pipelines[0], *also])]


def _name(model: type[Model]) -> str:
    return str(model.__collection__)
