"""How much a process begins in one round of its event loop."""

from __future__ import annotations

import asyncio

from resolvers.pace import Pace


async def test_of_a_crowd_so_many_begin_in_a_round_and_the_others_follow_in_order() -> None:
    pace, begun, rounds = Pace(per_round=3), list[int](), list[int]()

    async def begin(number: int) -> None:
        await pace.step()
        begun.append(number)

    tasks = [asyncio.create_task(begin(number)) for number in range(10)]
    while not all(task.done() for task in tasks):
        before = len(begun)
        await asyncio.sleep(0)
        rounds.append(len(begun) - before)

    assert begun == list(range(10))
    assert max(rounds) <= 3


async def test_one_who_comes_alone_never_waits() -> None:
    pace, yielded = Pace(per_round=1), False

    def note() -> None:
        nonlocal yielded
        yielded = True

    asyncio.get_running_loop().call_soon(note)
    await pace.step()

    assert not yielded


async def test_who_leaves_while_waiting_holds_up_nobody() -> None:
    pace = Pace(per_round=1)
    tasks = [asyncio.create_task(pace.step()) for _ in range(5)]
    await asyncio.sleep(0)

    for leaving in tasks[1:4]:
        leaving.cancel()

    async with asyncio.timeout(5):
        await tasks[4]
        await pace.step()
