"""What is remembered of documents, and how much of it."""

from __future__ import annotations

import pytest

from resolvers.context import Context
from schema.execution.document_cache import LRUCache
from schema.execution.executor import GraphQLExecution
from schema.execution.requests import GraphQLRequest, RequestFailedError
from tests.gateway import ANN, GatewayWorld


def test_what_was_not_used_for_longest_is_forgotten_first() -> None:
    remembered: LRUCache[int] = LRUCache(max_characters=10)

    remembered.add("aaaa", 1)
    remembered.add("bbbb", 2)
    assert remembered.get("aaaa") == 1
    remembered.add("cccc", 3)

    assert [remembered.get(text) for text in ("aaaa", "bbbb", "cccc")] == [1, None, 3]
    assert remembered.characters == 8


def test_a_text_too_long_for_all_is_not_kept() -> None:
    remembered: LRUCache[int] = LRUCache(max_characters=10)

    remembered.add("a" * 11, 1)

    assert (remembered.get("a" * 11), remembered.characters) == (None, 0)


def test_a_text_added_twice_counts_once() -> None:
    remembered: LRUCache[int] = LRUCache(max_characters=10)

    remembered.add("aaaaa", 1)
    remembered.add("aaaaa", 2)

    assert (remembered.get("aaaaa"), remembered.characters) == (2, 5)


@pytest.mark.parametrize(
    "refused",
    ["query Q%d { viewer { " + "id " * 60 + "} }", "query Q%d { vewer { id } }", "query Q%d { viewer { id }"],
    ids=["over a limit", "not valid", "broken off"],
)
def test_a_refused_document_takes_no_room(gateway: GatewayWorld, refused: str) -> None:
    execution = GraphQLExecution()
    context = Context(ANN, gateway.services, "request-1")

    for number in range(20):
        with pytest.raises(RequestFailedError):
            execution.prepare(GraphQLRequest(refused % number), context)
    execution.prepare(GraphQLRequest("{ viewer { id } }"), context)

    assert execution.remembered_characters == len("{ viewer { id } }")
