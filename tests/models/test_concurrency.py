"""Calls to the database under way at once are bounded; the others wait in order, as long as it answers."""

from __future__ import annotations

import asyncio
import time

import pytest

from errors import ConflictError, UnavailableError
from models.concurrency import Turns


class Calls:
    """Each holds a turn until it is let go."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.begun: list[int] = []
        self.ends = [asyncio.Event() for _ in range(10)]

    async def make(self, number: int, error: Exception | None = None) -> None:
        async with self._turns.turn():
            self.begun.append(number)
            await self.ends[number].wait()
            if error is not None:
                raise error

    def begin(self, *numbers: int) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.make(number)) for number in numbers]


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_so_many_are_under_way_and_the_others_follow_in_order() -> None:
    calls = Calls(Turns(2, silence_s=5, longest_s=5))
    tasks = calls.begin(0, 1, 2, 3)
    await settled()
    assert calls.begun == [0, 1]

    calls.ends[1].set()
    await settled()
    assert calls.begun == [0, 1, 2]

    for end in calls.ends:
        end.set()
    await asyncio.gather(*tasks)
    assert calls.begun == [0, 1, 2, 3]


async def test_who_leaves_while_waiting_or_holding_keeps_no_turn() -> None:
    calls = Calls(Turns(1, silence_s=5, longest_s=5))
    holding, leaving, staying = calls.begin(0, 1, 2)
    await settled()

    leaving.cancel()
    holding.cancel()
    calls.ends[2].set()

    await staying
    assert calls.begun == [0, 2]


async def test_who_leaves_as_its_turn_comes_passes_it_on() -> None:
    turns = Turns(1, silence_s=5, longest_s=5)
    calls, end = Calls(turns), asyncio.Event()

    async def hold() -> None:
        async with turns.turn():
            await end.wait()
        leaving.cancel()  # the turn was given to it, and it has not run yet

    holding = asyncio.create_task(hold())
    await settled()
    leaving, staying = calls.begin(1, 2)
    await settled()

    end.set()
    calls.ends[2].set()

    await asyncio.gather(holding, staying)
    assert calls.begun == [2]


async def test_a_silent_database_ends_every_wait() -> None:
    calls = Calls(Turns(1, silence_s=0.05, longest_s=60))
    holding, *waiting = calls.begin(0, 1, 2)

    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    calls.ends[0].set()
    await holding

    assert [type(outcome) for outcome in outcomes] == [UnavailableError, UnavailableError]
    assert calls.begun == [0]


async def test_a_wait_is_longer_than_the_silence_while_others_are_answered() -> None:
    turns = Turns(1, silence_s=0.2, longest_s=60)
    waited_s = []

    async def call() -> None:
        begun = asyncio.get_running_loop().time()
        async with turns.turn():
            waited_s.append(asyncio.get_running_loop().time() - begun)
            await asyncio.sleep(0.05)

    await asyncio.gather(*(call() for _ in range(10)))

    assert len(waited_s) == 10
    assert max(waited_s) > 0.4


async def test_no_wait_lasts_longer_than_the_longest() -> None:
    turns = Turns(1, silence_s=60, longest_s=0.05)
    calls = Calls(turns)
    holding, waiting = calls.begin(0, 1)

    with pytest.raises(UnavailableError):
        await waiting

    calls.ends[0].set()
    await holding


async def test_the_time_in_which_this_process_was_busy_does_not_count() -> None:
    turns = Turns(1, silence_s=0.5, longest_s=0.6)
    calls = Calls(turns)
    holding, waiting = calls.begin(0, 1)
    await settled()

    time.sleep(1.0)  # noqa: ASYNC251 - the loop is busy
    for end in calls.ends:
        end.set()
    await asyncio.sleep(0)  # the timers that became due meanwhile

    await asyncio.gather(holding, waiting)
    assert calls.begun == [0, 1]
    assert turns.stalled_s > 0.5


async def test_calls_within_a_turn_are_part_of_it() -> None:
    turns = Turns(1, silence_s=0.1, longest_s=0.1)

    async with turns.turn(), turns.turn():
        pass

    async with turns.turn():
        pass


async def test_a_refusal_is_an_answer() -> None:
    calls = Calls(Turns(1, silence_s=5, longest_s=5))
    refused = asyncio.create_task(calls.make(0, ConflictError("taken")))
    (following,) = calls.begin(1)
    calls.ends[0].set()
    calls.ends[1].set()

    with pytest.raises(ConflictError):
        await refused
    await following
