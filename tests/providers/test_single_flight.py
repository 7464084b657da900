from __future__ import annotations

import asyncio

import pytest

from errors import UnavailableError
from providers.single_flight import Depart, SingleFlight


class Upstream:
    """Counts its calls; each answers with its number when it is let go. `departs`: says that its question has left."""

    def __init__(self, *, departs: bool = False) -> None:
        self.calls = 0
        self.fails = False
        self.begun = asyncio.Event()
        self.let_go = asyncio.Event()
        self._departs = departs

    async def __call__(self, depart: Depart) -> int:
        self.calls += 1
        number = self.calls
        if self._departs:
            depart()
        self.begun.set()
        await self.let_go.wait()
        if self.fails:
            raise OSError("no answer")
        return number


async def test_one_call_serves_all_who_ask_at_once() -> None:
    upstream = Upstream()
    shared = SingleFlight(upstream)
    askers = [asyncio.create_task(shared.get()) for _ in range(50)]
    await upstream.begun.wait()

    upstream.let_go.set()

    assert await asyncio.gather(*askers) == [1] * 50


async def test_an_answer_is_kept_for_its_time_and_no_longer() -> None:
    upstream = Upstream()
    upstream.let_go.set()
    forever, never = SingleFlight(upstream, keep_s=60), SingleFlight(upstream)

    assert [await forever.get(), await forever.get()] == [1, 1]
    assert [await never.get(), await never.get()] == [2, 3]


async def test_a_failure_reaches_all_who_waited_and_is_not_kept() -> None:
    upstream = Upstream()
    upstream.fails = True
    upstream.let_go.set()
    shared = SingleFlight(upstream, keep_s=60)

    failures = await asyncio.gather(shared.get(), shared.get(), return_exceptions=True)
    upstream.fails = False

    assert [type(failure) for failure in failures] == [OSError, OSError]
    assert await shared.get() == 2


async def test_a_waiter_that_leaves_does_not_take_the_call_with_it() -> None:
    upstream = Upstream()
    shared = SingleFlight(upstream)
    leaving, staying = asyncio.create_task(shared.get()), asyncio.create_task(shared.get())
    await upstream.begun.wait()

    leaving.cancel()
    upstream.let_go.set()

    assert await staying == 1
    assert upstream.calls == 1


async def test_a_failure_nobody_waits_for_any_more_makes_no_noise() -> None:
    upstream = Upstream()
    upstream.fails = True
    shared = SingleFlight(upstream)
    leaving = asyncio.create_task(shared.get())
    await upstream.begun.wait()

    leaving.cancel()
    upstream.let_go.set()

    with pytest.raises(asyncio.CancelledError):
        await leaving
    with pytest.raises(OSError, match="no answer"):
        await shared.get()


async def test_who_asks_after_the_question_left_gets_a_later_answer() -> None:
    upstream = Upstream(departs=True)
    shared = SingleFlight(upstream)
    early = asyncio.create_task(shared.get())
    await upstream.begun.wait()

    late = asyncio.create_task(shared.get())
    upstream.let_go.set()

    assert (await early, await late) == (1, 2)


async def test_close_ends_what_is_under_way_and_says_so_to_those_who_wait() -> None:
    upstream = Upstream()
    shared = SingleFlight(upstream)
    waiting = asyncio.create_task(shared.get())
    await upstream.begun.wait()

    await shared.close()

    with pytest.raises(UnavailableError, match="interrupted"):
        await waiting
