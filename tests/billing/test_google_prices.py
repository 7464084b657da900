from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.google_catalog import RULES, SPOT_RULES, PricedSku
from billing.google_prices import GooglePrices, PriceRefresh, refresh
from errors import ProviderBusyError, UnavailableError
from models.database import Database
from models.google_prices import GoogleRegionPrices
from providers.google.prices import Part, PriceSource, Usage, hourly_price, shipped_prices

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
USAGE = Usage(disk_gib=100, network_tier="PREMIUM")


class FakeCatalog:
    def __init__(self, *skus: PricedSku) -> None:
        self._skus = skus

    async def skus(self) -> AsyncIterator[PricedSku]:
        for sku in self._skus:
            yield sku


class AwayDatabase(Database):
    def __init__(self) -> None:
        """Connects to nothing."""

    async def find_readable(self, *_: Any, **__: Any) -> tuple[list[Any], list[Any]]:
        raise UnavailableError("the database does not respond")


def sku(part: str, usd: str, *regions: str) -> PricedSku:
    rule = next(rule for rule in RULES if rule.part == part)
    place = regions or ("us-central1",)
    return PricedSku(
        f"{rule.begins} in {place[0]}", rule.family, rule.group, "OnDemand", place, rule.unit, Decimal(usd)
    )


def spot_sku(part: str, usd: str) -> PricedSku:
    rule = next(rule for rule in SPOT_RULES if rule.part == f"spot:{part}")
    described = f"{rule.begins} running in Americas"
    return PricedSku(described, rule.family, rule.group, "Preemptible", ("us-central1",), rule.unit, Decimal(usd))


G2_IN_IOWA = (
    sku("vcpu:g2-standard", "0.025"),
    sku("gib:g2-standard", "0.003"),
    sku("gpu:nvidia-l4", "0.57"),
    sku("disk:pd-balanced", "0.11"),
)


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


async def test_before_any_refresh_the_shipped_list_is_used_with_its_date(db: Database) -> None:
    prices = await GooglePrices(db, now=at(NOON)).current()

    assert prices == shipped_prices()
    assert prices.by_region["us-central1"].source is PriceSource.SHIPPED


async def test_the_catalogs_prices_replace_the_shipped_ones_part_by_part(db: Database) -> None:
    done = await refresh(db, FakeCatalog(*G2_IN_IOWA), now=at(NOON))

    iowa = (await GooglePrices(db, now=at(NOON)).current()).by_region["us-central1"]
    price = hourly_price(iowa, "g2-standard-8", "nvidia-l4", USAGE)
    untouched = hourly_price(iowa, "n1-standard-4", "nvidia-tesla-t4", USAGE)
    assert done == PriceRefresh(regions=1, parts=4, doubtful=())
    assert price is not None
    assert untouched is not None
    assert price.lines == {
        Part.MACHINE: Decimal("0.296"),  # 8 x 0.025 + 32 x 0.003
        Part.GPU: Decimal("0.57"),
        Part.DISK: Decimal("0.015068"),
        Part.ADDRESS: Decimal("0.005"),
        Part.EGRESS: Decimal("1.005828"),
    }
    assert (price.source, price.as_of) == (PriceSource.CATALOG, NOON)
    assert untouched.lines[Part.MACHINE] == Decimal("0.189999")


async def test_a_refresh_may_be_repeated_and_brings_the_newer_price(db: Database) -> None:
    await refresh(db, FakeCatalog(*G2_IN_IOWA), now=at(NOON))
    await refresh(db, FakeCatalog(sku("gpu:nvidia-l4", "0.60")), now=at(NOON + timedelta(days=1)))

    iowa = (await GooglePrices(db, now=at(NOON + timedelta(days=1))).current()).by_region["us-central1"]

    assert iowa.gpu_usd_per_hour["nvidia-l4"] == Decimal("0.60")
    assert await db.count(GoogleRegionPrices, {}) == 1


@pytest.mark.parametrize(
    "doubt",
    [
        (sku("gpu:nvidia-l4", "0.57"), sku("gpu:nvidia-l4", "0.40")),  # which of the two?
        (sku("gpu:nvidia-l4", "0.0057"),),  # cents taken for dollars, or another product
        (sku("gpu:nvidia-l4", "5.7"),),
    ],
    ids=["two prices", "far too low", "far too high"],
)
async def test_a_price_in_doubt_is_not_taken(db: Database, doubt: tuple[PricedSku, ...]) -> None:
    done = await refresh(db, FakeCatalog(*doubt), now=at(NOON))

    iowa = (await GooglePrices(db, now=at(NOON)).current()).by_region["us-central1"]
    assert done.doubtful == ("us-central1 gpu:nvidia-l4",)
    assert iowa.gpu_usd_per_hour["nvidia-l4"] == shipped_prices().by_region["us-central1"].gpu_usd_per_hour["nvidia-l4"]


async def test_one_price_under_two_names_is_no_doubt(db: Database) -> None:
    twice = (sku("gpu:nvidia-l4", "0.57", "us-east4"), sku("gpu:nvidia-l4", "0.57", "us-east4"))

    done = await refresh(db, FakeCatalog(*twice), now=at(NOON))

    assert done == PriceRefresh(regions=1, parts=1, doubtful=())


async def test_a_vcpu_without_the_price_of_its_memory_changes_nothing(db: Database) -> None:
    await refresh(db, FakeCatalog(sku("vcpu:g2-standard", "0.025")), now=at(NOON))

    iowa = (await GooglePrices(db, now=at(NOON)).current()).by_region["us-central1"]

    assert iowa.families == shipped_prices().by_region["us-central1"].families


async def test_a_price_is_not_an_offer(db: Database) -> None:
    prices = (sku("gpu:nvidia-l4", "0.57", "asia-east2", "mars-north1"), sku("vcpu:g2-standard", "0.02", "asia-east2"))

    await refresh(db, FakeCatalog(*prices), now=at(NOON))

    hong_kong = (await GooglePrices(db, now=at(NOON)).current()).by_region["asia-east2"]
    assert hong_kong.gpu_usd_per_hour.keys() == {"nvidia-tesla-t4"}
    assert hourly_price(hong_kong, "g2-standard-4", "nvidia-l4", USAGE) is None


async def test_an_empty_catalog_leaves_the_stored_prices_alone(db: Database) -> None:
    await refresh(db, FakeCatalog(*G2_IN_IOWA), now=at(NOON))

    with pytest.raises(ProviderBusyError):
        await refresh(db, FakeCatalog(), now=at(NOON + timedelta(days=1)))

    iowa = (await GooglePrices(db, now=at(NOON)).current()).by_region["us-central1"]
    assert iowa.gpu_usd_per_hour["nvidia-l4"] == Decimal("0.57")


G2_AS_SPOT_IN_IOWA = (
    spot_sku("vcpu:g2-standard", "0.010"),
    spot_sku("gib:g2-standard", "0.001"),
    spot_sku("gpu:nvidia-l4", "0.22"),
)


async def test_a_spot_machine_is_priced_as_google_prices_spot_and_no_other_is(db: Database) -> None:
    done = await refresh(db, FakeCatalog(*G2_IN_IOWA, *G2_AS_SPOT_IN_IOWA), now=at(NOON))

    iowa = (await GooglePrices(db, now=at(NOON)).current()).by_region["us-central1"]
    as_spot = hourly_price(iowa, "g2-standard-8", "nvidia-l4", replace(USAGE, spot=True))
    on_demand = hourly_price(iowa, "g2-standard-8", "nvidia-l4", USAGE)
    assert done == PriceRefresh(regions=1, parts=7, doubtful=())
    assert as_spot is not None
    assert on_demand is not None
    assert as_spot.lines == {
        Part.MACHINE: Decimal("0.112"),  # 8 x 0.010 + 32 x 0.001
        Part.GPU: Decimal("0.22"),
        Part.DISK: Decimal("0.015068"),
        Part.ADDRESS: Decimal("0.005"),
        Part.EGRESS: Decimal("1.005828"),
    }
    assert (on_demand.lines[Part.MACHINE], on_demand.lines[Part.GPU]) == (Decimal("0.296"), Decimal("0.57"))


async def test_what_has_no_clear_price_as_spot_keeps_the_one_on_demand(db: Database) -> None:
    half, dear, two = (
        spot_sku("vcpu:g2-standard", "0.010"),  # without its memory
        spot_sku("gpu:nvidia-l4", "0.70"),  # more than on demand
        spot_sku("gpu:nvidia-tesla-t4", "0.10"),
    )
    other = replace(two, usd_per_unit=Decimal("0.11"))
    done = await refresh(db, FakeCatalog(*G2_IN_IOWA, half, dear, two, other), now=at(NOON))

    iowa = (await GooglePrices(db, now=at(NOON)).current()).by_region["us-central1"]
    for machine_type, gpu in (("g2-standard-8", "nvidia-l4"), ("n1-standard-8", "nvidia-tesla-t4")):
        as_spot = hourly_price(iowa, machine_type, gpu, replace(USAGE, spot=True))
        assert as_spot == hourly_price(iowa, machine_type, gpu, USAGE)
    assert done.doubtful == ("us-central1 spot:gpu:nvidia-l4", "us-central1 spot:gpu:nvidia-tesla-t4")


async def test_the_shipped_list_prices_spot_as_on_demand() -> None:
    iowa = shipped_prices().by_region["us-central1"]

    assert hourly_price(iowa, "g2-standard-8", "nvidia-l4", replace(USAGE, spot=True)) == hourly_price(
        iowa, "g2-standard-8", "nvidia-l4", USAGE
    )


async def test_other_processes_see_a_refresh_within_ten_minutes(db: Database) -> None:
    times = [NOON]
    prices = GooglePrices(db, now=lambda: times[-1])
    await prices.current()
    await refresh(db, FakeCatalog(*G2_IN_IOWA), now=at(NOON))

    times.append(NOON + timedelta(minutes=9))
    soon = await prices.current()
    times.append(NOON + timedelta(minutes=10))
    later = await prices.current()

    assert soon.by_region["us-central1"].source is PriceSource.SHIPPED
    assert later.by_region["us-central1"].source is PriceSource.CATALOG


async def test_without_a_database_the_shipped_list_still_serves() -> None:
    prices = await GooglePrices(AwayDatabase(), now=at(NOON)).current()

    assert prices == shipped_prices()
