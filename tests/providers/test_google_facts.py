"""Regions, machine types and shipped prices: the data in the repository, and the arithmetic on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from models.catalog import PRESETS, PresetName
from providers.google.machines import MACHINE_TYPES, cheapest, fitting_machine_types, zones_of
from providers.google.prices import Part, PriceSource, Usage, hourly_price, shipped_prices
from providers.google.regions import find_region, gpus, regions

TODAY = date(2026, 11, 21)
T4_IS_GONE = date(2027, 8, 1)
PREMIUM = PRESETS[PresetName.PREMIUM].shape
USAGE = Usage(disk_gib=100, network_tier="PREMIUM")


def test_there_are_more_than_forty_regions_and_each_is_complete() -> None:
    known = regions()

    assert len(known) == 43
    for region in known.values():
        assert -90 <= region.latitude <= 90
        assert -180 <= region.longitude <= 180
        assert len(region.country_code) == 2
        assert region.place.city
        assert region.place.country
        assert region.continent in {"Africa", "Asia", "Europe", "North America", "Oceania", "South America"}
        assert region.carbon_free_percent is None or 0 <= region.carbon_free_percent <= 100
        assert all(zone.startswith(f"{region.name}-") for zone in region.zones)
        assert region.gpu_zones.keys() <= gpus().keys()


def test_the_southern_and_western_hemispheres_have_their_signs() -> None:
    known = regions()

    assert known["africa-south1"].latitude < 0
    assert known["australia-southeast1"].latitude < 0
    assert known["southamerica-east1"].latitude < 0
    assert known["us-west1"].longitude < 0
    assert known["asia-northeast1"].longitude > 0


def test_a_region_is_found_by_its_name_and_by_its_zones() -> None:
    assert find_region("europe-west4") is regions()["europe-west4"]
    assert find_region("europe-west4-a") is regions()["europe-west4"]
    assert find_region("europe-west99") is None
    assert find_region("") is None


def test_a_gpu_is_not_offered_after_google_ends_its_support() -> None:
    sydney = regions()["australia-southeast1"]

    assert sydney.gpu_models(TODAY) == ("nvidia-tesla-t4",)
    assert sydney.gpu_models(T4_IS_GONE) == ()
    assert fitting_machine_types(sydney, PREMIUM, T4_IS_GONE) == []


def test_every_region_that_can_play_has_a_price_for_what_it_offers() -> None:
    without = [
        (region.name, type_.name)
        for region in regions().values()
        for type_ in fitting_machine_types(region, PREMIUM, TODAY)
        if hourly_price(shipped_prices().by_region[region.name], type_.name, type_.gpu_model, USAGE) is None
    ]

    assert without == []


def test_a_shape_gets_the_cheapest_machine_that_is_at_least_as_large() -> None:
    choice = cheapest(regions()["us-central1"], PREMIUM, USAGE, shipped_prices(), TODAY)
    next_year = cheapest(regions()["us-central1"], PREMIUM, USAGE, shipped_prices(), T4_IS_GONE)

    assert choice is not None
    assert next_year is not None
    assert (choice[0].name, choice[0].gpu_model) == ("n1-standard-8", "nvidia-tesla-t4")
    assert (next_year[0].name, next_year[0].gpu_model) == ("g2-standard-8", "nvidia-l4")


def test_more_video_memory_than_a_gpu_has_is_not_promised() -> None:
    needs_24_gb = replace(PREMIUM, min_vram_gb=24)
    us_central1, jakarta = regions()["us-central1"], regions()["asia-southeast2"]

    assert {type_.gpu_model for type_ in fitting_machine_types(us_central1, needs_24_gb, TODAY)} == {"nvidia-l4"}
    assert fitting_machine_types(jakarta, needs_24_gb, TODAY) == []
    assert fitting_machine_types(us_central1, replace(PREMIUM, vcpus=64), TODAY) == []


def test_a_shape_without_a_gpu_gets_one_because_cloudypad_makes_no_machine_without() -> None:
    retro = PRESETS[PresetName.RETRO].shape

    choice = cheapest(regions()["us-central1"], retro, USAGE, shipped_prices(), TODAY)

    assert choice is not None
    assert choice[0].name == "n1-standard-4"


def test_an_hour_is_priced_part_by_part_to_the_last_digit() -> None:
    price = hourly_price(shipped_prices().by_region["us-central1"], "n1-standard-4", "nvidia-tesla-t4", USAGE)

    assert price is not None
    assert price.lines == {
        Part.MACHINE: Decimal("0.189999"),  # 4 x 0.031611 + 15 x 0.004237
        Part.GPU: Decimal("0.35"),
        Part.DISK: Decimal("0.013699"),  # 100 GiB x 0.10 / 730 h
        Part.ADDRESS: Decimal("0.005"),
        Part.EGRESS: Decimal("1.005828"),  # 20 Mbit/s are 8.3819 GiB/h, x 0.12
    }
    assert price.usd_per_hour == Decimal("1.564526")
    assert price.usd_per_hour_stopped == Decimal("0.023699")  # the disk, and 0.01 for the address
    assert (price.source, price.as_of.date()) == (PriceSource.SHIPPED, date(2026, 8, 20))


@pytest.mark.parametrize(
    ("machine_type", "gpu", "usage"),
    [
        ("g2-standard-4", "nvidia-l4", USAGE),  # no L4 in Hong Kong
        ("n1-standard-4", "nvidia-l4", USAGE),
        ("n1-standard-4", "nvidia-tesla-t4", replace(USAGE, disk_type="pd-extreme")),
        ("n1-standard-4", "nvidia-tesla-t4", replace(USAGE, network_tier="GOLD")),
        ("e2-standard-4", "nvidia-tesla-t4", USAGE),
    ],
)
def test_a_sum_that_would_leave_something_out_is_no_price(machine_type: str, gpu: str, usage: Usage) -> None:
    assert hourly_price(shipped_prices().by_region["asia-east2"], machine_type, gpu, usage) is None


def test_a_machine_type_is_ordered_in_the_zones_that_have_its_gpu() -> None:
    n1, g2 = MACHINE_TYPES[0], MACHINE_TYPES[3]

    assert zones_of(regions()["us-east4"], n1) == ("us-east4-a", "us-east4-b", "us-east4-c")
    assert zones_of(regions()["us-east4"], g2) == ("us-east4-a", "us-east4-c")
    assert zones_of(regions()["africa-south1"], n1) == ()
