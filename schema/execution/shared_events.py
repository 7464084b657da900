"""Answers to the events of subscriptions: executed and serialised once for all subscribers that get the same one.

Subscribers share an answer if they follow the same object with the same document and variables, and either the document
selects plain attributes of the event alone, or they are the same caller. The resolver has authorised each of them. An
answer is never older than its event: it is executed after the event was read.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from time import monotonic
from typing import Any, Final

import orjson
from graphql import DocumentNode, GraphQLSchema

from schema.cache_control import CacheControlScope, hint_of
from schema.execution.document_cache import LRUCache
from schema.execution.shared_answers import selected_fields

_KEPT_S: Final = 0.5  # an object beside the event is shown as it is "now"
_MOST: Final = 4096

Answer = dict[str, Any]


class SerializedAnswer(dict[str, Any]):
    """An answer that carries its JSON."""

    __slots__ = ("json",)

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.json = orjson.dumps(answer)


def json_of(answer: Answer) -> bytes:
    """Return the answer as JSON, serialized once for all who get it."""
    return answer.json if isinstance(answer, SerializedAnswer) else orjson.dumps(answer)


class SharedEvents:
    """One per process."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._plain: LRUCache[bool] = LRUCache()
        self._answers: OrderedDict[Hashable, tuple[float, asyncio.Task[SerializedAnswer]]] = OrderedDict()

    def is_plain(self, text: str, document: DocumentNode) -> bool:
        """Return whether the document selects nothing but plain attributes of its event."""
        known = self._plain.get(text)
        if known is None:
            root = self._schema.subscription_type
            fields = selected_fields(self._schema, document)
            known = all(
                hint_of(field).scope is CacheControlScope.PUBLIC for parent, field in fields if parent is not root
            )
            self._plain.add(text, known)
        return known

    async def get(self, key: Hashable, execute: Callable[[], Awaitable[Answer]]) -> SerializedAnswer:
        """Return the answer to an event, executed by the first subscriber that wants it."""
        now = monotonic()
        self._forget(now)
        _, task = self._answers.get(key, (now, None))
        if task is None:
            task = asyncio.create_task(_serialized(execute))
            self._answers[key] = (now, task)
            task.add_done_callback(_retrieve)
        return task.result() if task.done() else await asyncio.shield(task)

    def _forget(self, now: float) -> None:
        while self._answers:
            key, (begun, _) = next(iter(self._answers.items()))
            if now - begun < _KEPT_S and len(self._answers) < _MOST:
                return
            del self._answers[key]


async def _serialized(execute: Callable[[], Awaitable[Answer]]) -> SerializedAnswer:
    return SerializedAnswer(await execute())


def _retrieve(task: asyncio.Task[SerializedAnswer]) -> None:
    """Mark an exception as retrieved, even if every subscriber has gone."""
    if not task.cancelled():
        task.exception()
