"""The meter: intervals without gap or overlap, however it is told."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.meter import Meter
from models.database import Database
from models.usage import UsageInterval, UsageState
from models.vms import VmStatus
from tests.billing.exact import utc
from tests.gateway import a_vm

NOON = utc(2026, 5, 1, 12)
VM = a_vm("1", usd_per_hour=Decimal("1.50"), usd_per_hour_stopped=Decimal("0.10"), usd_per_hour_egress=Decimal("1.00"))


async def intervals(db: Database) -> list[UsageInterval]:
    return await db.find(UsageInterval, {"vm_id": VM.id}, sort=[("number", 1)])


async def test_the_parts_of_the_price_are_those_of_the_state(db: Database) -> None:
    meter = Meter(db)

    await meter.record_state(VM, UsageState.RUNNING, NOON)
    await meter.record_state(VM, UsageState.STOPPED, NOON + timedelta(hours=1))

    prices = [
        (each.machine_usd_per_hour, each.storage_usd_per_hour, each.egress_usd_per_hour) for each in await intervals(db)
    ]
    assert prices == [
        (Decimal("0.40"), Decimal("0.10"), Decimal("1.00")),
        (Decimal("0"), Decimal("0.10"), Decimal("0")),
    ]
    assert (await intervals(db))[0].usd_per_hour == VM.usd_per_hour


async def test_what_never_started_costs_nothing(db: Database) -> None:
    await Meter(db).record_state(VM, None, NOON)

    assert await intervals(db) == []


async def test_a_machine_told_of_when_its_record_is_closed_costs_until_then(db: Database) -> None:
    vm = VM.model_copy(update={"status": VmStatus.DELETED, "deleted_at": NOON + timedelta(minutes=30)})
    await db.insert(vm)

    await Meter(db).record_state(VM, UsageState.RUNNING, NOON)

    (interval,) = await intervals(db)
    assert (interval.start, interval.end) == (NOON, NOON + timedelta(minutes=30))


@pytest.mark.timeout(300)
@given(
    tellings=st.lists(
        st.tuples(st.sampled_from([UsageState.RUNNING, UsageState.STOPPED]), st.integers(-3_600, 7_200)), max_size=8
    )
)
@settings(max_examples=40)
async def test_whatever_it_is_told_there_is_no_gap_and_no_overlap(
    db: Database, tellings: list[tuple[UsageState, int]]
) -> None:
    """Told again, out of order, or of a moment before the last one."""
    await db.delete(UsageInterval, {})
    meter = Meter(db)

    for state, seconds in tellings:
        await meter.record_state(VM, state, NOON + timedelta(seconds=seconds))
        await meter.record_state(VM, state, NOON + timedelta(seconds=seconds + 5))

    known = await intervals(db)
    assert [each.number for each in known] == list(range(1, len(known) + 1))
    assert all(one.end == next_.start and one.state is not next_.state for one, next_ in pairwise(known))
    assert all(each.end is None or each.end >= each.start for each in known)
    assert [each.end for each in known[-1:]] == [None] * bool(known)


async def test_a_change_that_was_torn_by_a_crash_is_completed_where_it_broke_off(db: Database) -> None:
    meter = Meter(db)
    await meter.record_state(VM, UsageState.RUNNING, NOON)
    closed_at = NOON + timedelta(minutes=10)
    await db.update(UsageInterval, {"_id": "1:1"}, {"$set": {"end": closed_at}})  # and then the process died

    await meter.record_state(VM, UsageState.STOPPED, NOON + timedelta(minutes=30))

    assert [(each.start, each.end) for each in await intervals(db)] == [(NOON, closed_at), (closed_at, None)]


async def test_processes_that_tell_at_once_open_one_interval(db: Database) -> None:

    await asyncio.gather(*(Meter(db).record_state(VM, UsageState.RUNNING, NOON) for _ in range(5)))

    assert len(await intervals(db)) == 1
