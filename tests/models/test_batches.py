"""One call answers all who ask while it waits for its turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from errors import UnavailableError
from models.batches import Batches


class Upstream:
    """Knows the lengths of words, but not of `unknown`. Its turns come when they are let go."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.away = False
        self.turn_comes = asyncio.Event()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        await self.turn_comes.wait()
        yield

    async def lengths(self, words: list[str]) -> dict[str, int]:
        self.asked.append(words)
        if self.away:
            raise UnavailableError("away")
        if "bad" in words:
            raise ValueError("bad")
        return {word: len(word) for word in words if word != "unknown"}


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_all_who_ask_before_the_turn_are_answered_by_one_call() -> None:
    upstream = Upstream()
    batches = Batches(upstream.turn, upstream.lengths)
    early = asyncio.create_task(batches.get("one"))
    await settled()
    late = [asyncio.create_task(batches.get(word)) for word in ("three", "one", "unknown")]
    await settled()

    upstream.turn_comes.set()

    assert [await early, *[await task for task in late]] == [3, 5, 3, None]
    assert upstream.asked == [["one", "three", "unknown"]]


async def test_who_asks_after_the_call_has_begun_is_answered_by_a_later_one() -> None:
    upstream = Upstream()
    upstream.turn_comes.set()
    batches = Batches(upstream.turn, upstream.lengths)

    assert [await batches.get("one"), await batches.get("one")] == [3, 3]
    assert upstream.asked == [["one"], ["one"]]


async def test_a_large_batch_is_asked_for_in_parts() -> None:
    upstream = Upstream()
    upstream.turn_comes.set()
    batches = Batches(upstream.turn, upstream.lengths, most=2)

    assert await batches.get_all(["a", "bb", "ccc", "unknown", "eeeee"]) == {"a": 1, "bb": 2, "ccc": 3, "eeeee": 5}
    assert upstream.asked == [["a", "bb"], ["ccc", "unknown"], ["eeeee"]]


async def test_a_key_that_cannot_be_looked_up_fails_for_its_own_asker_alone() -> None:
    upstream = Upstream()
    upstream.turn_comes.set()
    batches = Batches(upstream.turn, upstream.lengths)

    outcomes = await asyncio.gather(*map(batches.get, ("good", "bad", "fine")), return_exceptions=True)

    assert [str(outcome) for outcome in outcomes] == ["4", "bad", "4"]


async def test_a_database_that_is_away_is_told_to_all() -> None:
    upstream = Upstream()
    upstream.away = True
    upstream.turn_comes.set()
    batches = Batches(upstream.turn, upstream.lengths)

    outcomes = await asyncio.gather(*map(batches.get, ("one", "two")), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [UnavailableError, UnavailableError]
    assert upstream.asked == [["one", "two"]]


async def test_an_asker_that_is_cancelled_cancels_nothing_for_the_others() -> None:
    upstream = Upstream()
    batches = Batches(upstream.turn, upstream.lengths)
    leaving, staying = (asyncio.create_task(batches.get("one")) for _ in range(2))
    await settled()

    leaving.cancel()
    upstream.turn_comes.set()

    assert await staying == 3
    with pytest.raises(asyncio.CancelledError):
        await leaving
