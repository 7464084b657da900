"""The pool rents what launches will need and the ceiling allows, releases the rest, and is empty when it is off."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing.meter import Meter
from billing.operator_alerts import OperatorAlerts
from fleet.sweeper import Sweeper
from fleet.warm_pool.budget import PREPARE_WITHIN, Budget, committed, most_of
from fleet.warm_pool.forecast import PastLaunch, Spot, forecast, machines_wanted
from fleet.warm_pool.metering import WarmMeter
from models.catalog import PresetName
from models.limits import AlertLevel, LimitPeriod, SpendingLimit
from models.operator_alerts import OperatorAlertCode
from models.usage import UsageState
from models.warm_machines import WarmMachine, WarmStatus
from providers.base import MachineId, MachineState, ProviderName, Tag
from tests.fleet.warm_pool.pool import DiedError, MortalDatabase, Pool, a_machine, open_ones

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
DALLAS = Spot(ProviderName.TENSORDOCK, "dallas", PresetName.PREMIUM)
# What one new machine may cost at noon: 90 minutes at its full price, and nothing while it is off at this cloud.
ONE_USD = Decimal("1.5") * Decimal("0.424")


def as_stored(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


async def machines(pool: Pool) -> list[WarmMachine]:
    return await pool.db.find(WarmMachine, {}, sort=[("created_at", 1)])


def test_the_forecast_is_the_mean_of_the_same_hour_of_the_last_days() -> None:
    at = [NOON - timedelta(days=day) + timedelta(minutes=minute) for day in (1, 2) for minute in (5, 30, 90)]

    expected = forecast([PastLaunch(DALLAS, moment) for moment in at], NOON)

    assert expected == {DALLAS: 2.0}


def test_a_busy_hour_counts_by_half_for_the_next_one() -> None:
    busy = [PastLaunch(DALLAS, NOON - timedelta(minutes=minute)) for minute in (5, 20, 59)]
    usual = [PastLaunch(DALLAS, NOON - timedelta(days=1) + timedelta(minutes=5))]

    assert forecast(busy, NOON) == forecast([*busy, *usual], NOON) == {DALLAS: 1.5}
    assert forecast([PastLaunch(DALLAS, NOON - timedelta(minutes=61))], NOON) == {}


def test_the_forecast_of_the_hour_before_midnight_reaches_into_the_next_day() -> None:
    now = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)

    expected = forecast([PastLaunch(DALLAS, datetime(2026, 11, 30, 0, 15, tzinfo=UTC))], now)

    assert expected == {DALLAS: 1.0}


def test_fewer_than_half_a_launch_wants_no_machine_and_the_busiest_spot_comes_first() -> None:
    quiet, busy = DALLAS._replace(site_id="quiet"), DALLAS._replace(site_id="busy")

    assert machines_wanted({quiet: 0.4, DALLAS: 0.5, busy: 2.4}) == {busy: 2, DALLAS: 1}
    assert list(machines_wanted({DALLAS: 0.5, busy: 2.4})) == [busy, DALLAS]


def test_a_machine_may_cost_its_full_price_until_it_is_deleted_and_its_storage_for_the_rest_of_each_day() -> None:
    machine = a_machine(created_at=NOON, prepare_until=NOON + PREPARE_WITHIN)

    most = most_of(machine, NOON)

    assert most.today_usd == Decimal("1.5") * Decimal("0.424") + Decimal("10.5") * Decimal("0.01")
    assert most.tomorrow_usd == Decimal(24) * Decimal("0.01")


def test_a_machine_that_is_prepared_over_midnight_counts_on_both_days() -> None:
    late = datetime(2026, 11, 30, 23, tzinfo=UTC)
    machine = a_machine(created_at=late, prepare_until=late + PREPARE_WITHIN)

    most = most_of(machine, late)

    assert most.today_usd == Decimal("0.424")
    assert most.tomorrow_usd == Decimal("0.5") * Decimal("0.424") + Decimal("23.5") * Decimal("0.01")


@pytest.mark.parametrize("status", [WarmStatus.PREPARING, WarmStatus.RELEASING])
def test_an_order_under_way_counts_from_its_beginning_until_the_meter_does(status: WarmStatus) -> None:
    ordered = {"created_at": NOON, "prepare_until": NOON + PREPARE_WITHIN, "ordered_at": NOON, "status": status}
    later = NOON + timedelta(hours=1)

    unmetered = most_of(a_machine(**ordered), later)
    metered = most_of(a_machine(**ordered, provider_id="m1"), later)

    assert unmetered.minus(metered) == Budget(Decimal("0.424"), Decimal(0))


def test_an_order_of_yesterday_counts_today_from_midnight_on() -> None:
    late, soon = datetime(2026, 11, 30, 23, 30, tzinfo=UTC), datetime(2026, 12, 1, 0, 15, tzinfo=UTC)
    machine = a_machine(created_at=late, prepare_until=late + PREPARE_WITHIN, ordered_at=late)

    assert most_of(machine, soon).today_usd == Decimal("0.424") + Decimal(23) * Decimal("0.01")


def test_what_was_spent_today_counts() -> None:
    assert committed(Decimal("2.5"), [], NOON).today_usd == Decimal("2.5")


async def test_the_pool_is_off_until_an_operator_sets_a_ceiling(pool: Pool) -> None:
    await pool.was_busy(NOON, a_day=3)

    assert (await pool.planning().plan_at(NOON)).machine_ids == ()
    assert await machines(pool) == []


async def test_the_pool_gets_the_machines_that_the_forecast_wants(pool: Pool) -> None:
    await pool.was_busy(NOON, a_day=2)
    await pool.set_ceiling("100")

    work = await pool.planning().plan_at(NOON)
    again = await pool.planning().plan_at(NOON + timedelta(seconds=1))

    found = await machines(pool)
    assert sorted(work.machine_ids) == sorted(again.machine_ids) == sorted(each.id for each in found)
    assert [(each.place.site_id, each.preset, each.usd_per_hour) for each in found] == [
        ("dallas", PresetName.PREMIUM, Decimal("0.424"))
    ] * 2


async def test_the_ceiling_is_not_exceeded_by_what_the_machines_may_cost(pool: Pool) -> None:
    await pool.was_busy(NOON, a_day=5)
    await pool.set_ceiling(str(2 * ONE_USD))

    await pool.planning().plan_at(NOON)

    assert len(await machines(pool)) == 2


async def test_a_record_that_cannot_be_read_lets_nothing_be_rented_and_everything_else_be_released(pool: Pool) -> None:
    await pool.was_busy(NOON, a_day=2)
    await pool.set_ceiling("100")
    strange, ready = (
        a_machine(),
        a_machine(status=WarmStatus.READY, created_at=NOON - timedelta(hours=25), ready_at=NOON),
    )
    await pool.db.insert(strange)
    await pool.db.insert(ready)
    await pool.db.update_many(WarmMachine, {"_id": strange.id}, {"$set": {"usd_per_hour": "of a later version"}})

    await pool.planning().plan_at(NOON)

    assert (await pool.again(ready)).status is WarmStatus.RELEASING
    assert await pool.db.count(WarmMachine, {}) == 2


async def test_nothing_is_rented_from_an_account_that_runs_out_of_money(pool: Pool) -> None:
    await pool.was_busy(NOON, a_day=1)
    await pool.set_ceiling("100")
    alerts, low = OperatorAlerts(pool.db), OperatorAlertCode.BALANCE_LOW
    await alerts.raise_alert(AlertLevel.WARNING, low, ProviderName.TENSORDOCK, "it lasts for 59 minutes")

    await pool.planning().plan_at(NOON)
    assert await machines(pool) == []
    await alerts.clear(low, ProviderName.TENSORDOCK)
    await pool.planning().plan_at(NOON)

    assert len(await machines(pool)) == 1


async def test_two_planners_do_not_exceed_the_ceiling_together(pool: Pool) -> None:
    await pool.was_busy(NOON, a_day=1)
    await pool.set_ceiling(str(ONE_USD))

    await asyncio.gather(*(pool.planning().plan_at(NOON) for _ in range(4)))

    assert len(await machines(pool)) == 1


async def test_a_planner_that_dies_leaves_no_machine_beyond_the_ceiling(pool: Pool, mortal: MortalDatabase) -> None:
    await pool.was_busy(NOON, a_day=1)
    await pool.set_ceiling(str(ONE_USD))
    for dies_at in (1, 2, 3, 4):
        mortal.writes, mortal.dies_at = 0, dies_at
        try:
            await pool.planning(mortal).plan_at(NOON)
        except DiedError:
            assert await machines(pool) == []

    await pool.planning().plan_at(NOON)

    assert len(await machines(pool)) == 1


async def test_no_second_machine_fits_while_the_order_of_the_first_is_under_way(pool: Pool) -> None:
    await pool.was_busy(NOON, a_day=2)
    await pool.was_busy(NOON + timedelta(minutes=45), a_day=2)
    await pool.set_ceiling(str(Decimal("1.5") * ONE_USD))
    (first,) = (await pool.planning().plan_at(NOON)).machine_ids
    await pool.db.update(WarmMachine, {"_id": first}, {"$set": {"ordered_at": NOON}})

    again = await pool.planning().plan_at(NOON + timedelta(minutes=50))

    assert again.machine_ids == (first,)


async def test_money_that_was_spent_today_is_not_spent_again(pool: Pool) -> None:
    await pool.was_busy(NOON, a_day=1)
    await pool.set_ceiling(str(ONE_USD))
    gone = a_machine(status=WarmStatus.RELEASED, created_at=NOON - timedelta(hours=8), ready_at=NOON)
    await pool.db.insert(gone)
    meter = WarmMeter(pool.db)
    await meter.record_state(gone, UsageState.RUNNING, NOON - timedelta(hours=2))
    await meter.record_state(gone, None, NOON - timedelta(hours=1))

    await pool.planning().plan_at(NOON)

    assert open_ones(await machines(pool)) == []


async def test_a_lower_ceiling_releases_the_newest_machines(pool: Pool) -> None:
    now = datetime.now(UTC)
    await pool.was_busy(now, a_day=2)
    first, second = await pool.ready(), await pool.ready()
    rest_of_days = max(most_of(first, now).today_usd, most_of(first, now).tomorrow_usd)
    spent = Decimal("0.01")  # at most, for preparing them
    await pool.set_ceiling(str(rest_of_days + spent))

    work = await pool.planning().plan_at(now)

    assert work.machine_ids == (second.id,)
    assert [(await pool.again(each)).status for each in (first, second)] == [WarmStatus.READY, WarmStatus.RELEASING]


async def test_a_pool_that_is_switched_off_is_emptied(pool: Pool) -> None:
    ready, preparing = await pool.ready(), a_machine()
    await pool.db.insert(preparing)
    await pool.set_ceiling("0")

    work = await pool.planning().plan_at(datetime.now(UTC))
    for machine in (ready, preparing):
        await pool.release(machine)

    assert sorted(work.machine_ids) == sorted([ready.id, preparing.id])
    assert pool.cloud.states() == []


async def test_a_spending_stop_of_the_platform_empties_the_pool(pool: Pool) -> None:
    ready = await pool.ready()
    await pool.set_ceiling("100")
    await pool.db.insert(
        SpendingLimit(id="DAILY:", period=LimitPeriod.DAILY, usd=Decimal("1e-9"), hard=True, set_at=NOON)
    )

    work = await pool.planning().plan_at(datetime.now(UTC))

    assert work.machine_ids == (ready.id,)


async def test_a_machine_that_is_not_wanted_stays_for_an_hour(pool: Pool) -> None:
    ready = await pool.ready()
    await pool.set_ceiling("100")
    now = datetime.now(UTC)

    assert (await pool.planning().plan_at(now + timedelta(minutes=59))).machine_ids == ()
    assert (await pool.planning().plan_at(now + timedelta(minutes=61))).machine_ids == (ready.id,)


async def test_a_machine_that_others_turned_on_is_released_and_metered_in_full(pool: Pool) -> None:
    ready = await pool.ready()
    await pool.set_ceiling("100")
    pool.cloud.become(MachineId(ready.provider_id or ""), MachineState.RUNNING)

    await pool.planning().plan_at(datetime.now(UTC))

    assert (await pool.again(ready)).status is WarmStatus.RELEASING
    assert (await pool.intervals(ready))[-1].state is UsageState.RUNNING


async def test_a_machine_that_a_launch_starts_during_a_round_is_not_metered_in_the_pool_again(pool: Pool) -> None:
    ready, launch = await pool.ready(), await pool.launch()
    await pool.set_ceiling("100")
    listing = pool.cloud.hold("machines")
    planning = asyncio.ensure_future(pool.planning().plan_at(datetime.now(UTC)))
    await listing.wait()
    await pool.take(launch, ready)
    pool.cloud.become(MachineId(ready.provider_id or ""), MachineState.RUNNING)

    pool.cloud.let_go("machines")
    await planning

    assert (await pool.again(ready)).status is WarmStatus.TAKEN
    assert [each.end is None for each in await pool.intervals(ready)] == [False, False]


async def test_a_machine_that_its_cloud_lost_costs_nothing_any_longer(pool: Pool) -> None:
    ready = await pool.ready()
    await pool.set_ceiling("100")
    pool.cloud.vanish_all()

    await pool.planning().plan_at(datetime.now(UTC))
    await pool.release(ready)

    assert (await pool.again(ready)).status is WarmStatus.RELEASED
    assert (await pool.intervals(ready))[-1].end is not None


async def test_a_machine_that_its_cloud_lost_costs_until_it_was_last_there(pool: Pool) -> None:
    ready = await pool.ready()
    await pool.set_ceiling("100")
    now = (ready.ready_at or NOON) + timedelta(minutes=1)
    seen_at = [now + timedelta(minutes=minute) for minute in (0, 7, 9)]
    for moment in seen_at:
        await pool.planning().plan_at(moment)
    pool.cloud.vanish_all()

    await pool.planning().plan_at(now + timedelta(hours=5))
    await pool.release(ready)

    # The time is written every five minutes at most.
    assert (await pool.intervals(ready))[-1].end == as_stored(seen_at[1])


async def test_a_machine_that_was_never_seen_again_costs_until_it_became_ready(pool: Pool) -> None:
    ready = await pool.ready()
    await pool.set_ceiling("100")
    pool.cloud.vanish_all()

    await pool.planning().plan_at(datetime.now(UTC) + timedelta(hours=5))
    await pool.release(ready)

    assert (await pool.intervals(ready))[-1].end == ready.ready_at


async def test_machines_of_another_deployment_are_left_alone(pool: Pool) -> None:
    machine = await pool.ready()
    await pool.db.update(WarmMachine, {"_id": machine.id}, {"$set": {"tag": f"gamer-other-{machine.id}"}})
    await pool.set_ceiling("0")

    assert (await pool.planning().plan_at(datetime.now(UTC))).machine_ids == ()
    assert (await pool.again(machine)).status is WarmStatus.READY


async def test_where_a_machine_failed_the_pool_waits_an_hour(pool: Pool) -> None:
    await pool.was_busy(NOON, a_day=1)
    await pool.set_ceiling("100")
    await pool.db.insert(a_machine(status=WarmStatus.RELEASED, created_at=NOON - timedelta(minutes=55)))

    assert (await pool.planning().plan_at(NOON)).machine_ids == ()
    assert len((await pool.planning().plan_at(NOON + timedelta(minutes=6))).machine_ids) == 1


async def test_the_sweeper_leaves_the_pools_machines_alone_until_their_record_is_gone(pool: Pool) -> None:
    ready, ordering = await pool.ready(), a_machine()
    await pool.db.insert(ordering)
    await pool.cloud.rent(pool.offer(), Tag(ordering.tag))  # its answer has not been recorded yet
    sweeper = Sweeper(pool.db, pool.registry, Meter(pool.db), spare_s=0)

    assert await sweeper.sweep(confirm=True) == []
    await pool.db.delete(WarmMachine, {"_id": ready.id})
    (orphan,) = await sweeper.sweep(confirm=True)

    assert (orphan.machine_id, orphan.done) == (ready.provider_id, True)
    assert [machine.tag for machine in pool.cloud.rented.values()] == [ordering.tag]
