"""From when a machine is metered: from the order that brought it, whose answer may have been lost."""

from __future__ import annotations

from models.usage import UsageInterval
from tests.world import World


async def test_a_machine_whose_orders_answer_was_lost_is_metered_from_that_order(world: World) -> None:
    world.cloud.lost_answers = 1

    vm = await world.machine()

    (interval,) = await world.db.find(UsageInterval, {"vm_id": vm.id})
    assert interval.start == vm.started_at
    assert interval.start >= vm.created_at
    # It was asked for again half a second later at the earliest: by then it had cost for as long.
    assert vm.ordered_at is not None
    assert (vm.ordered_at - interval.start).total_seconds() >= 0.5
