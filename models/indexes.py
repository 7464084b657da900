"""Makes a collection's indexes match the code, whatever an earlier build left.

An index is identified by its keys and options, not by its name, so that a renamed index costs nothing and a build that
requires the old name still finds it. A new index is created beside existing ones. Only an index that cannot coexist
with a new one is dropped first: the same name with other keys or options, or a conflict that MongoDB reports (codes 85
and 86). Indexes that no build needs remain until `RETIRED` lists them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import pymongo
from odmantic import Model
from odmantic.index import ODMBaseIndex
from pymongo import IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError, OperationFailure

from errors import MigrationError

log = logging.getLogger(__name__)

# Names of indexes to drop at start, by collection. A name is added in the release after the one that stopped using the
# index: until then, builds that need it may run beside this one.
RETIRED: Final[Mapping[str, frozenset[str]]] = {}
_BUILD: Final = timedelta(minutes=30).total_seconds()  # of a large collection, at most
_TTL: Final = "expireAfterSeconds"
_CONFLICTS: Final = frozenset({85, 86})  # IndexOptionsConflict, IndexKeySpecsConflict
# Also caused by another process that does the same at the same time: NamespaceNotFound, IndexNotFound and
# IndexBuildAborted.
_RACES: Final = _CONFLICTS | {26, 27, 276}
_TRIES: Final = 5
_NO_OPTIONS: Final = frozenset({"v", "key", "name", "ns", "background"})
_SHOWN: Final = 3

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Index:
    """An index as the database describes it, in a comparable form."""

    name: str
    keys: tuple[tuple[str, Any], ...]
    options: Document

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> _Index:
        keys = tuple(
            (key, int(order) if isinstance(order, float) else order) for key, order in described["key"].items()
        )
        options = {name: value for name, value in described.items() if name not in _NO_OPTIONS and value is not False}
        return cls(described["name"], keys, options)

    def is_same_as(self, other: _Index) -> bool:
        return self.keys == other.keys and self.options == other.options

    def differs_in_ttl_alone(self, other: _Index) -> bool:
        """Return whether both expire their documents and differ only in the time."""
        options = [{name: value for name, value in each.options.items() if name != _TTL} for each in (self, other)]
        return self.keys == other.keys and options[0] == options[1] and _TTL in self.options and _TTL in other.options


async def ensure(
    collection: AsyncCollection[Document], wanted: Sequence[IndexModel], retired: Iterable[str] | None = None
) -> None:
    """Create and change indexes as needed. Several processes and builds may do so at once, repeatedly.

    Raises MigrationError if documents violate a unique index; nothing was dropped for it then.
    """
    names = RETIRED.get(collection.name, frozenset()) if retired is None else frozenset(retired)
    for left in reversed(range(_TRIES)):
        try:
            await _ensure_all(collection, wanted)
            await _drop_retired(collection, wanted, names)
        except OperationFailure as error:
            if error.code not in _RACES or not left:
                raise
        else:
            return


def of_model(model: type[Model]) -> list[IndexModel]:
    """Return the indexes that a model declares."""
    return [each.get_pymongo_index() if isinstance(each, ODMBaseIndex) else each for each in model.__indexes__()]


async def missing(collection: AsyncCollection[Document], wanted: Sequence[IndexModel]) -> list[str]:
    """Return the names of indexes that `ensure` would create or change."""
    there = await _existing(collection) if wanted else []
    needed = [_Index.of(model.document) for model in wanted]
    return [each.name for each in needed if not any(each.is_same_as(index) for index in there)]


async def _ensure_all(collection: AsyncCollection[Document], wanted: Sequence[IndexModel]) -> None:
    there = await _existing(collection) if wanted else []
    if wanted and not there:  # a new collection
        with pymongo.timeout(_BUILD):
            await collection.create_indexes(wanted)
        return
    for model in wanted:
        if not any(_Index.of(model.document).is_same_as(index) for index in there):
            await _ensure_one(collection, model, there)
            there = await _existing(collection)


async def _ensure_one(collection: AsyncCollection[Document], model: IndexModel, there: Sequence[_Index]) -> None:
    wanted = _Index.of(model.document)
    for index in there:
        if wanted.differs_in_ttl_alone(index):
            await _change_ttl(collection, index, wanted)
            return
    if wanted.options.get("unique"):
        await _refuse_duplicates(collection, wanted)
    await _drop(collection, [index for index in there if index.name == wanted.name])
    try:
        await _create(collection, model)
    except OperationFailure as error:
        rivals = [index for index in there if index.keys == wanted.keys and index.name != wanted.name]
        if error.code not in _CONFLICTS or not rivals:
            raise
        await _drop(collection, rivals)
        await _create(collection, model)


async def _existing(collection: AsyncCollection[Document]) -> list[_Index]:
    return [_Index.of(described) async for described in await collection.list_indexes()]


async def _create(collection: AsyncCollection[Document], model: IndexModel) -> None:
    try:
        with pymongo.timeout(_BUILD):
            await collection.create_indexes([model])
    except DuplicateKeyError:
        await _refuse_duplicates(collection, _Index.of(model.document))
        raise
    log.info("index created", extra={"collection": collection.name, "index": model.document["name"]})


async def _drop(collection: AsyncCollection[Document], indexes: Iterable[_Index]) -> None:
    for index in indexes:
        log.info("dropping replaced index", extra={"collection": collection.name, "index": index.name})
        await collection.drop_index(index.name)


async def _drop_retired(
    collection: AsyncCollection[Document], wanted: Sequence[IndexModel], retired: frozenset[str]
) -> None:
    if retired:
        needed = [_Index.of(model.document) for model in wanted]
        there = [index for index in await _existing(collection) if index.name in retired]
        await _drop(collection, [each for each in there if not any(each.is_same_as(one) for one in needed)])


async def _change_ttl(collection: AsyncCollection[Document], index: _Index, wanted: _Index) -> None:
    change = {"name": index.name, _TTL: wanted.options[_TTL]}
    await collection.database.command({"collMod": collection.name, "index": change})
    log.info("index changed", extra={"collection": collection.name, "index": index.name})


async def _refuse_duplicates(collection: AsyncCollection[Document], wanted: _Index) -> None:
    """Raise MigrationError with examples if documents have equal values in the keys of a unique index."""
    fields = [field for field, _ in wanted.keys]
    key = {f"k{number}": {"$ifNull": [f"${field}", None]} for number, field in enumerate(fields)}
    stages: list[Document] = [
        {"$match": wanted.options.get("partialFilterExpression", {})},
        {"$group": {"_id": key, "count": {"$sum": 1}, "ids": {"$push": "$_id"}}},
        {"$match": {"count": {"$gt": 1}}},
        {"$limit": _SHOWN},
    ]
    with pymongo.timeout(_BUILD):
        found = await (await collection.aggregate(stages, allowDiskUse=True)).to_list()
    if found:
        pairs = ", ".join(f"_id {each['ids'][0]} and {each['ids'][1]}" for each in found)
        raise MigrationError(
            f"{collection.name}: {', '.join(fields)} must be unique from this version on, but is not: {pairs}. "
            "Change or delete one of each, and start again"
        )
