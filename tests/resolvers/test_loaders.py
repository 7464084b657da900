"""What one answer loads once for all who ask."""

from __future__ import annotations

import asyncio

from models.launches import Launch
from models.vms import VmStatus
from resolvers.context import Context
from resolvers.loaders import Loader
from tests.gateway import ANN, GatewayWorld, a_launch, a_vm


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


async def test_what_a_write_returned_is_shown_although_the_record_has_moved_on(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_vm("200000000000000001", status=VmStatus.STOPPED))
    await gateway.db.insert(a_launch("100000000000000001"))
    context = Context(ANN, gateway.services, "request-1")
    await context.loaders.vm.load("200000000000000001")
    returned = a_vm("200000000000000001", status=VmStatus.STOPPING)

    context.forget(returned)

    assert await context.loaders.vm.load("200000000000000001") is returned
    assert await context.loaders.launch.load("100000000000000001") == await gateway.db.get(Launch, "100000000000000001")
