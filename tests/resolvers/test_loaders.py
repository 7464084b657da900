"""What one answer loads once for all who ask."""

from __future__ import annotations

import asyncio

from resolvers.loaders import Loader


async def test_a_caller_that_is_cancelled_leaves_the_lookup_to_the_others() -> None:
    begun, let_go, asked = asyncio.Event(), asyncio.Event(), list[list[str]]()

    async def lengths(keys: list[str]) -> list[int]:
        asked.append(keys)
        begun.set()
        await let_go.wait()
        return [len(key) for key in keys]

    loader = Loader(lengths)
    leaving, staying = (asyncio.create_task(waiting(loader)) for _ in range(2))
    await begun.wait()

    leaving.cancel()
    let_go.set()

    assert (await staying, await loader.load("four")) == (4, 4)
    assert (leaving.cancelled(), asked) == (True, [["four"]])


async def waiting(loader: Loader[str, int]) -> int:
    return await loader.load("four")
