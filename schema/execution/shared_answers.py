"""Shares responses between all callers of a role: computed once, kept as bytes for as long as their fields allow.

The schema's `@cacheControl` hints say what may be shared. A response with errors, with omitted records, or with old
data of an unavailable cloud is returned to the callers that wait for it, but not kept.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLAbstractType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLString,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    is_abstract_type,
    visit,
)

from auth.callers import Role
from schema.cache_control import CacheControlScope, hint_of
from schema.execution.document_cache import LRUCache

_MAX_BYTES: Final = 16 * 1024 * 1024
_MAX_BYTES_OF_ONE: Final = 1024 * 1024
_NOT_KEPT_WITH: Final = frozenset({"stale", "unreadable"})

Key = tuple[str, str | None, bytes, Role]
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SharedAnswer:
    """`body` is the answer as JSON. `max_age_s`: for how long a client may keep it from now on; 0: not at all."""

    answer: Answer
    body: bytes
    etag: str
    kept_until: float

    @property
    def max_age_s(self) -> int:
        return max(0, int(self.kept_until - monotonic()))


def etag_of(body: bytes) -> str:
    """Return a weak validator: the same answer may be sent compressed."""
    return f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


class SharedAnswers:
    """One per process. Concurrent requests for the same answer wait for one execution."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._max_ages: LRUCache[int] = LRUCache()
        self._kept: OrderedDict[Key, SharedAnswer] = OrderedDict()
        self._bytes = 0
        self._computing: dict[Key, asyncio.Task[SharedAnswer]] = {}

    def max_age_s(self, text: str, document: DocumentNode) -> int:
        """Return for how many seconds the answers to a document may be kept; 0: they belong to their caller."""
        known = self._max_ages.get(text)
        if known is None:
            known = min(_ages(self._schema, document), default=0)
            self._max_ages.add(text, known)
        return known

    async def get(self, key: Key, max_age_s: int, compute: Callable[[], Awaitable[Answer]]) -> SharedAnswer:
        """Return the kept answer, or compute it. An error of `compute` is raised for every caller that waits."""
        if (kept := self.kept(key)) is not None:
            return kept
        task = self._computing.get(key)
        if task is None:
            task = self._computing[key] = asyncio.create_task(self._compute(key, max_age_s, compute))
            task.add_done_callback(lambda done: self._end(key, done))
        return await asyncio.shield(task)

    def kept(self, key: Key) -> SharedAnswer | None:
        kept = self._kept.get(key)
        if kept is None or kept.kept_until <= monotonic():
            return None
        self._kept.move_to_end(key)
        return kept

    def clear(self) -> None:
        """Forget all answers, also those that are being computed: something was written."""
        self._kept.clear()
        self._computing.clear()
        self._bytes = 0

    async def _compute(self, key: Key, max_age_s: int, compute: Callable[[], Awaitable[Answer]]) -> SharedAnswer:
        begun = monotonic()
        answer = await compute()
        body = orjson.dumps(answer)
        keeps = "errors" not in answer and not _NOT_KEPT_WITH & answer.get("extensions", {}).keys()
        made = SharedAnswer(answer, body, etag_of(body), begun + max_age_s if keeps else begun)
        if keeps and self._computing.get(key) is asyncio.current_task():
            self._keep(key, made)
        return made

    def _keep(self, key: Key, made: SharedAnswer) -> None:
        if len(made.body) > _MAX_BYTES_OF_ONE:
            return
        if (old := self._kept.pop(key, None)) is not None:
            self._bytes -= _size(key, old)
        self._kept[key] = made
        self._bytes += _size(key, made)
        while self._bytes > _MAX_BYTES:
            self._bytes -= _size(*self._kept.popitem(last=False))

    def _end(self, key: Key, task: asyncio.Task[SharedAnswer]) -> None:
        if self._computing.get(key) is task:
            del self._computing[key]
        if not task.cancelled():
            task.exception()  # marks it as retrieved, even if every waiter has gone


def _size(key: Key, kept: SharedAnswer) -> int:
    """Return about how many bytes an entry takes: the decoded answer has some times the size of its JSON."""
    return len(key[0]) + len(key[2]) + 10 * len(kept.body) + 1000


class _Fields(Visitor):
    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self.info = info
        self.found: list[tuple[GraphQLNamedType | None, str]] = []

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self.found.append((self.info.get_parent_type(), node.name.value))


def selected_fields(
    schema: GraphQLSchema, document: DocumentNode
) -> Iterator[tuple[GraphQLNamedType | None, GraphQLField]]:
    """Yield all fields of a document with the types that they belong to, whether they are executed or not."""
    info = TypeInfo(schema)
    fields = _Fields(info)
    visit(document, TypeInfoVisitor(info, fields))
    for parent, name in fields.found:
        for field in _definitions(schema, parent, name):
            yield parent, field


def _ages(schema: GraphQLSchema, document: DocumentNode) -> Iterator[int]:
    """Yield the ages that bound the answer's."""
    for _, field in selected_fields(schema, document):
        hint = hint_of(field)
        is_private = hint.scope is CacheControlScope.PRIVATE
        if is_private or hint.max_age_s is not None:
            yield 0 if is_private else hint.max_age_s or 0


def _definitions(schema: GraphQLSchema, parent: GraphQLNamedType | None, name: str) -> Iterator[GraphQLField]:
    """Yield the field of the type and, below an interface, those that may answer in its place."""
    if name == "__typename":
        return
    if name.startswith("__"):
        yield GraphQLField(GraphQLString)  # introspection belongs to its caller: roles see different parts
    if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) and name in parent.fields:
        yield parent.fields[name]
    if is_abstract_type(parent):
        abstract: GraphQLAbstractType = parent
        for type_ in schema.get_possible_types(abstract):
            if name in type_.fields:
                yield type_.fields[name]
