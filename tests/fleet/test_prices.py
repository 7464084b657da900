"""What a provider charges is what is metered, shown, and held against the player's cap."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing.meter import Meter
from errors import MachineLostError
from fleet.prices import ProviderPrices, provider_price
from models.database import Database
from models.launches import LaunchStatus
from models.placement_cache import FullSite
from models.usage import UsageInterval, UsageState
from models.vms import Vm, VmStatus
from providers.base import Machine, MachineId, MachineState, Tag
from tests.gateway import a_launch, a_vm
from tests.world import World

RENTED = datetime(2026, 5, 1, 12, tzinfo=UTC)
MACHINE = Machine(MachineId("m1"), Tag("gamer-1"), MachineState.RUNNING, ip_address="127.0.0.7")


@pytest.fixture
async def meter(db: Database) -> Meter:
    return Meter(db)


async def metered(db: Database, meter: Meter, cap: str | None = None) -> Vm:
    """A machine that was offered for 0.45 USD an hour, runs since noon, and costs 0.05 while it is stopped."""
    await db.insert(a_launch("100000000000000001", max_usd_per_hour=None if cap is None else Decimal(cap)))
    vm = a_vm("200000000000000001", usd_per_hour_stopped=Decimal("0.05"), usd_per_hour_offered=Decimal("0.45"))
    await db.insert(vm)
    await meter.record_state(vm, UsageState.RUNNING, RENTED)
    return vm


async def rates(db: Database) -> list[tuple[Decimal, datetime, datetime | None]]:
    found = await db.find(UsageInterval, {}, sort=[("number", 1)])
    return [(each.usd_per_hour, each.start, each.end) for each in found]


@pytest.mark.parametrize(
    ("told", "known"),
    [
        ("1.038", "1.038"),
        ("0.45", "0.45"),
        ("0.5", "0.5"),
        ("0.450", "0.45"),
        ("0.44", "0.44"),
        ("0", None),
        ("-1", None),
        ("NaN", None),
        (None, None),
    ],
)
def test_a_price_that_is_told_counts_unless_it_is_none_or_a_rounded_one(told: str | None, known: str | None) -> None:
    machine = replace(MACHINE, usd_per_hour=None if told is None else Decimal(told))

    assert provider_price(machine, Decimal("0.45")) == (None if known is None else Decimal(known))


def test_the_known_price_in_fewer_digits_is_no_other_price() -> None:
    known = Decimal("0.47383")

    assert provider_price(replace(MACHINE, usd_per_hour=Decimal("0.474")), known) == known
    assert provider_price(replace(MACHINE, usd_per_hour=Decimal("0.475")), known) == Decimal("0.475")


async def test_at_the_start_the_whole_time_is_metered_at_what_is_charged(db: Database, meter: Meter) -> None:
    vm = await metered(db, meter)
    told = replace(MACHINE, usd_per_hour=Decimal("1.038"))

    vm = await ProviderPrices(db, meter).follow(vm, told, RENTED)
    vm = await ProviderPrices(db, meter).follow(vm, told, RENTED)

    assert vm.usd_per_hour == Decimal("1.038")
    assert vm.warnings == "The machine costs 1.038 USD per hour; 0.45 USD per hour was offered"
    assert await rates(db) == [(Decimal("0.45"), RENTED, RENTED), (Decimal("1.038"), RENTED, None)]


async def test_a_later_change_is_metered_from_then_on_and_taken_back_without_a_warning_left(
    db: Database, meter: Meter
) -> None:
    vm = await metered(db, meter, cap="0.50")
    prices, one, two = ProviderPrices(db, meter), RENTED + timedelta(hours=1), RENTED + timedelta(hours=2)

    dearer = await prices.follow(vm, replace(MACHINE, usd_per_hour=Decimal("0.60")), one)
    again = await prices.follow(dearer, replace(MACHINE, usd_per_hour=Decimal("0.45")), two)

    assert dearer.warnings == ("The machine costs 0.6 USD per hour, more than the 0.5 USD per hour that was allowed")
    assert again.warnings is None
    assert await rates(db) == [
        (Decimal("0.45"), RENTED, one),
        (Decimal("0.60"), one, two),
        (Decimal("0.45"), two, None),
    ]


async def test_a_change_that_was_torn_by_a_crash_is_completed(db: Database, meter: Meter) -> None:
    vm = await metered(db, meter)
    one = RENTED + timedelta(hours=1)
    await db.update(UsageInterval, {"number": 1}, {"$set": {"end": one}})
    vm = await db.update(Vm, {"_id": vm.id}, {"$set": {"usd_per_hour": Decimal("0.60")}}) or vm

    await ProviderPrices(db, meter).follow(
        vm, replace(MACHINE, usd_per_hour=Decimal("0.60")), RENTED + timedelta(hours=3)
    )

    assert await rates(db) == [(Decimal("0.45"), RENTED, one), (Decimal("0.60"), one, None)]


async def test_above_the_cap_the_machine_is_hopeless_and_the_place_is_passed_over(db: Database, meter: Meter) -> None:
    vm = await metered(db, meter, cap="0.40")

    with pytest.raises(MachineLostError, match=r"it costs 0\.45 USD per hour, and the launch allows 0\.4 USD per hour"):
        await ProviderPrices(db, meter).require_cap(vm)

    assert [full.site_id for full in await db.find(FullSite, {})] == ["dallas"]


async def test_a_launch_gives_a_machine_back_that_costs_more_than_allowed_and_tries_the_next_place(
    world: World,
) -> None:
    world.cloud.charges = {"dallas": Decimal("1.038")}

    launch = await world.until_over(await world.launch(max_usd_per_hour=Decimal("0.50")))

    vm = await world.vm(launch)
    assert (launch.status, vm.status, vm.place.site_id) == (LaunchStatus.READY, VmStatus.RUNNING, "chicago")
    assert [(each.site_id, each.outcome) for each in launch.attempts] == [
        ("dallas", "rented"),
        ("dallas", "failed: it costs 1.038 USD per hour, and the launch allows 0.5 USD per hour"),
        ("chicago", "rented"),
    ]
    assert len(world.cloud.rented) == 1


async def test_a_price_that_rises_while_it_is_played_on_is_shown_and_metered(world: World) -> None:
    vm = await world.vm(await world.until_over(await world.launch(max_usd_per_hour=Decimal("0.50"))))
    world.cloud.charges = {"dallas": Decimal("0.90")}

    warned = await world.until_changed(vm, lambda now: now.price_warning is not None)

    assert warned.usd_per_hour == Decimal("0.90")
    async with world.db.watch(UsageInterval, []) as changes:
        while not [each for each in await rates(world.db) if each[0] == Decimal("0.90") and each[2] is None]:
            await changes.try_next()
