"""From when a machine is metered: from the order that brought it, whose answer may have been lost."""

from __future__ import annotations

from models.usage import UsageInterval
from tests.world import World


async def test_a_machine_whose_orders_answer_was_lost_is_metered_from_that_order(world: World) -> None:
    world.cloud.lost_answers = 1

    vm = await world.machine()

    (interval,) = await world.db.find(UsageInterval, {"vm_id": vm.id})
    # It was asked for again, and found, half a second later at the earliest: by then it had cost for as long.
    assert (world.cloud.calls["rent"], world.cloud.ever_rented) == (2, 1)
    assert interval.start == vm.started_at == vm.ordered_at
    assert interval.start >= vm.created_at
