from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest

from errors import ProviderBusyError, ProviderError, ProviderRefusedError
from models.database import Database
from placement.google_network_order import Finder, NetworkOrders, RegionOrder, fit_to_order
from providers.google.location_finder import CloudLocation

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SYDNEY, MELBOURNE, SINGAPORE, SANTIAGO = (
    *("australia-southeast1", "australia-southeast2"),
    *("asia-southeast1", "southamerica-west1"),
)


class FakeFinder:
    """Knows Sydney's neighbours; waits while `open` is not set."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failures: list[ProviderError] = []
        self.found = [
            CloudLocation(MELBOURNE, 40.5),
            CloudLocation("mars-north1", 100.0),
            CloudLocation(SINGAPORE, None),
            CloudLocation(SANTIAGO, 0.0),
        ]
        self.open = asyncio.Event()
        self.open.set()

    async def regions_near(self, region: str) -> list[CloudLocation]:
        self.asked.append(region)
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        return self.found


Make = Callable[..., NetworkOrders]


@pytest.fixture
async def make_orders(db: Database) -> AsyncIterator[Make]:
    made: list[NetworkOrders] = []

    def make(
        finder: Finder | None, deadline_s: float = 5.0, now: Callable[[], datetime] = lambda: NOON
    ) -> NetworkOrders:
        made.append(NetworkOrders(db, finder, deadline_s=deadline_s, now=now))
        return made[-1]

    yield make
    for orders in made:
        await orders.close()


async def test_the_anchor_comes_first_and_unknown_regions_are_left_out(make_orders: Make) -> None:
    order = await make_orders(FakeFinder()).regions_near(SYDNEY)

    assert order.regions == (SYDNEY, MELBOURNE, SINGAPORE, SANTIAGO)
    assert order.reason == ("order of Google's regions by its network around australia-southeast1 (Location Finder)")


async def test_an_answer_serves_all_processes_for_days(make_orders: Make) -> None:
    finder = FakeFinder()

    await make_orders(finder).regions_near(SYDNEY)
    again = await make_orders(finder, now=lambda: NOON + timedelta(days=6)).regions_near(SYDNEY)
    much_later = await make_orders(finder, now=lambda: NOON + timedelta(days=8)).regions_near(SYDNEY)

    assert again.regions == much_later.regions
    assert finder.asked == [SYDNEY, SYDNEY]


async def test_all_who_ask_at_once_share_one_question(make_orders: Make) -> None:
    finder = FakeFinder()
    orders = make_orders(finder)

    await asyncio.gather(*(orders.regions_near(SYDNEY) for _ in range(20)))

    assert finder.asked == [SYDNEY]


async def test_without_a_project_distance_decides_and_says_so(make_orders: Make) -> None:
    order = await make_orders(None).regions_near(SYDNEY)

    assert order.regions == ()
    assert order.reason == "order of Google's regions by distance: no Google project is set up for Location Finder"


async def test_after_the_deadline_distance_decides_and_the_late_answer_serves_the_next(make_orders: Make) -> None:
    finder = FakeFinder()
    finder.open.clear()
    orders = make_orders(finder, deadline_s=0.05)

    too_late = await orders.regions_near(SYDNEY)
    finder.open.set()
    next_time = await make_orders(finder).regions_near(SYDNEY)

    assert too_late.regions == ()
    assert too_late.reason == "order of Google's regions by distance: Location Finder did not respond in time"
    assert next_time.regions[0] == SYDNEY


@pytest.mark.parametrize(
    ("failure", "words", "quiet"),
    [
        (ProviderBusyError("status 503"), "Location Finder gave no response", timedelta(minutes=5)),
        (ProviderRefusedError("status 403"), "Location Finder rejected the request", timedelta(hours=1)),
    ],
)
async def test_after_a_failure_google_is_left_alone_for_a_while(
    make_orders: Make, failure: ProviderError, words: str, quiet: timedelta
) -> None:
    finder = FakeFinder()
    finder.failures = [failure]
    times = [NOON]
    orders = make_orders(finder, now=lambda: times[-1])

    failed = await orders.regions_near(SYDNEY)
    times.append(NOON + quiet - timedelta(seconds=1))
    still_quiet = await orders.regions_near(SYDNEY)
    asked_meanwhile = len(finder.asked)
    times.append(NOON + quiet)
    asked_again = await orders.regions_near(SYDNEY)

    assert failed.reason == still_quiet.reason == f"order of Google's regions by distance: {words}"
    assert asked_meanwhile == 1
    assert asked_again.regions[0] == SYDNEY


async def test_an_answer_without_regions_is_none_and_not_kept(make_orders: Make) -> None:
    finder = FakeFinder()
    finder.found = [
        CloudLocation("mars-north1", 100.0),
        CloudLocation(f"{SINGAPORE}-b", None),
        CloudLocation(SYDNEY, 1.0),
    ]

    empty = await make_orders(finder).regions_near(SYDNEY)
    finder.found = [CloudLocation(SINGAPORE, None), CloudLocation(MELBOURNE, None), CloudLocation(SINGAPORE, 5.0)]
    whole = await make_orders(finder).regions_near(SYDNEY)

    assert empty.reason == "order of Google's regions by distance: Location Finder gave no response"
    assert whole.regions == (SYDNEY, SINGAPORE, MELBOURNE)


async def test_googles_word_on_carbon_comes_before_its_old_table(make_orders: Make) -> None:
    orders = make_orders(FakeFinder())

    before = orders.carbon_free_percent(MELBOURNE)
    await orders.regions_near(SYDNEY)

    assert before == 39.0
    assert orders.carbon_free_percent(MELBOURNE) == 40.5
    assert orders.carbon_free_percent(SANTIAGO) == 0.0  # none, which is not unknown
    assert orders.carbon_free_percent(SINGAPORE) == 4.0  # Google did not say: the table
    assert orders.carbon_free_percent("asia-southeast3") is None


def test_estimates_that_contradict_the_order_are_evened_out_and_no_others() -> None:
    order = RegionOrder("a", ("a", "b", "c", "d"))

    settled = fit_to_order(["d", "c", "b", "a", "elsewhere"], [100.0, 40.0, 60.0, 10.0, 20.0], order)

    assert settled == pytest.approx([100.0, 50.1, 50.0, 10.0, 20.0])


def test_an_order_that_agrees_changes_nothing() -> None:
    assert fit_to_order(["a", "b"], [10.0, 20.0], RegionOrder("a", ("a", "b"))) == [10.0, 20.0]
    assert fit_to_order(["a", "b"], [20.0, 10.0], RegionOrder("a")) == [20.0, 10.0]
    assert fit_to_order([], [], RegionOrder("a", ("a",))) == []


def test_even_a_wholly_reversed_order_is_kept() -> None:
    regions = [f"r{number}" for number in range(40)]

    settled = fit_to_order(regions[::-1], [float(number) for number in range(40)], RegionOrder("r0", tuple(regions)))

    assert settled[::-1] == sorted(settled)
    assert len(set(settled)) == 40
