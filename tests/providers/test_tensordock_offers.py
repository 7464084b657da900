from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from models.catalog import PRESETS, PresetName
from providers.base import GpuStock, Offer, Place, ProviderName, Shape, Site, SiteId
from providers.tensordock.offers import cheapest

RTX_4090 = GpuStock("geforcertx4090-pcie-24gb", 24, 2, Decimal("0.44"))
RTX_3090 = GpuStock("geforcertx3090-pcie-24gb", 24, 1, Decimal("0.20"))
GTX_1070 = GpuStock("geforcegtx1070-pcie-8gb", 8, 4, Decimal("0.05"))
PREMIUM, ADVANCED, RETRO = (PRESETS[name].shape for name in (PresetName.PREMIUM, PresetName.ADVANCED, PresetName.RETRO))


def site(**changes: Any) -> Site:
    roomy = Site(
        id=SiteId("host-1"),
        provider=ProviderName.TENSORDOCK,
        place=Place("Joplin", "Missouri", "United States"),
        online=True,
        vcpus_available=44,
        ram_gb_available=180,
        storage_gb_available=5400,
        gpus=(RTX_4090, RTX_3090, GTX_1070),
        usd_per_vcpu_hour=Decimal("0.003"),
        usd_per_ram_gb_hour=Decimal("0.002"),
        usd_per_storage_gb_hour=Decimal("0.00005"),
        dedicated_ip_available=True,
    )
    return replace(roomy, **changes)


def test_the_price_is_the_exact_sum_of_its_parts() -> None:
    assert cheapest(site(), PREMIUM) == Offer(
        provider=ProviderName.TENSORDOCK,
        site_id=SiteId("host-1"),
        vcpus=8,
        ram_gb=16,
        storage_gb=200,
        gpu_model="geforcertx3090-pcie-24gb",
        usd_per_hour=Decimal("0.266"),  # 0.20 + 8 * 0.003 + 16 * 0.002 + 200 * 0.00005
        usd_per_hour_stopped=Decimal("0.01"),
    )


@pytest.mark.parametrize(
    ("asked", "ordered"),
    [
        (Shape(vcpus=1, ram_gb=1, storage_gb=10), (2, 2, 100)),
        (Shape(vcpus=3, ram_gb=5, storage_gb=100), (4, 6, 100)),
        (Shape(vcpus=4, ram_gb=9, storage_gb=101), (4, 10, 150)),
        (Shape(vcpus=7, ram_gb=12, storage_gb=150), (8, 16, 150)),
        (Shape(vcpus=8, ram_gb=17, storage_gb=201), (8, 32, 250)),
        (Shape(vcpus=8, ram_gb=65, storage_gb=200), (8, 80, 200)),
    ],
)
def test_sizes_are_rounded_up_to_what_is_sold(asked: Shape, ordered: tuple[int, int, int]) -> None:
    offer = cheapest(site(), asked)

    assert offer is not None
    assert (offer.vcpus, offer.ram_gb, offer.storage_gb) == ordered


def test_a_shape_without_a_gpu_is_ordered_without_one_even_where_all_gpus_are_taken() -> None:
    offer = cheapest(site(gpus=()), RETRO)

    assert offer is not None
    assert (offer.gpu_model, offer.usd_per_hour) == (None, Decimal("0.019"))


def test_the_cheapest_gpu_that_will_do_is_taken() -> None:
    basic, high_end = cheapest(site(), ADVANCED), cheapest(site(), PREMIUM)

    assert basic is not None
    assert high_end is not None
    assert (basic.gpu_model, high_end.gpu_model) == (GTX_1070.model, RTX_3090.model)


@pytest.mark.parametrize(
    "taken",
    [
        {"online": False},
        {"dedicated_ip_available": False},
        {"vcpus_available": 7},
        {"ram_gb_available": 15},
        {"storage_gb_available": 199},
        {"max_vcpus": 6},
        {"max_ram_gb": 8},
        {"max_storage_gb": 150},
        {"gpus": ()},
        {"gpus": (replace(RTX_4090, available=0),)},
        {"gpus": (GTX_1070,)},
        {"gpus": (GpuStock("v100-pcie-16gb", 16, 1, Decimal("0.1")),)},
        {"gpus": (GpuStock("geforcertx3090-pcie", 0, 1, Decimal("0.1")),)},
    ],
)
def test_a_site_that_lacks_one_thing_does_not_fit(taken: dict[str, Any]) -> None:
    assert cheapest(site(**taken), PREMIUM) is None


def test_no_machine_has_more_ram_than_is_sold() -> None:
    assert cheapest(site(ram_gb_available=2000), Shape(vcpus=2, ram_gb=513, storage_gb=100)) is None


def test_any_gpu_will_do_where_no_model_is_named() -> None:
    offer = cheapest(site(), Shape(vcpus=2, ram_gb=4, storage_gb=100, min_vram_gb=1))

    assert offer is not None
    assert offer.gpu_model == GTX_1070.model
