"""Google's Billing Catalog as Google's own client and the service's daily refresh see it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import billing_v1
from google.cloud.billing_v1.services.cloud_catalog.transports import CloudCatalogGrpcAsyncIOTransport
from grpc import aio

from billing.google_catalog import CloudCatalog
from billing.google_prices import GooglePrices, PriceRefresh, refresh
from models.database import Database
from models.google_prices import GoogleRegionPrices
from providers.google.prices import shipped_prices
from simulator.google.catalog import COMPUTE_ENGINE, BillingCatalog
from simulator.simulation import Simulation, SimulationError, SimulationOptions
from simulator.state import StateFile

FILE = Path(__file__).parents[3] / "simulator" / "google" / "prices.json"


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[BillingCatalog]:
    serving = BillingCatalog("127.0.0.1", StateFile(tmp_path / "catalog.json"))
    await serving.start()
    yield serving
    await serving.close()


@pytest.fixture
async def client(catalog: BillingCatalog) -> AsyncIterator[billing_v1.CloudCatalogAsyncClient]:
    channel = aio.insecure_channel(catalog.url.removeprefix("http://"))
    async with billing_v1.CloudCatalogAsyncClient(
        transport=CloudCatalogGrpcAsyncIOTransport(channel=channel)
    ) as google:
        yield google


async def test_the_services_refresh_stores_the_files_prices_and_doubts_none(tmp_path: Path, db: Database) -> None:
    async with Simulation(SimulationOptions(tmp_path)) as simulation:
        done = await refresh(db, CloudCatalog(simulation.environment()["GOOGLE_CATALOG_URL"]))

    stored = {each.id: each.usd for each in await db.find(GoogleRegionPrices, {})}
    rows = json.loads(FILE.read_text())["regions"]
    listed = {row["region"]: {**row["usd"], **_as_spot(row["spot_usd"])} for row in rows}
    assert done == PriceRefresh(regions=30, parts=sum(map(len, listed.values())), doubtful=())
    assert {region: in_numbers(usd.values()) for region, usd in stored.items()} == {
        region: in_numbers(usd.values()) for region, usd in listed.items()
    }
    assert Decimal(stored["asia-east1"]["spot:gpu:nvidia-l4"]) == Decimal("0.3718")
    virginia = stored["us-east4"]
    assert Decimal(virginia["gpu:nvidia-l4"]) == Decimal("0.558206")  # listed twice, at one price
    assert Decimal(virginia["vcpu:n1-standard"]) == Decimal("0.035605")
    assert Decimal(stored["us-west1"]["disk:pd-standard"]) == Decimal("0.04")  # after a free tier


async def test_a_g2_costs_by_the_catalog_what_it_costs_by_the_shipped_list(
    catalog: BillingCatalog, db: Database
) -> None:
    await refresh(db, CloudCatalog(catalog.url))

    prices = (await GooglePrices(db).current()).by_region
    for region, shipped in shipped_prices().by_region.items():
        if bundle := shipped.families.get("g2-standard"):
            unit = prices[region].families["g2-standard"]
            assert unit.usd_per_vcpu_hour + 4 * unit.usd_per_gib_hour == bundle.usd_per_vcpu_hour


async def test_the_service_whose_skus_there_are_is_listed(client: billing_v1.CloudCatalogAsyncClient) -> None:
    found = [service async for service in await client.list_services()]

    assert [(service.name, service.display_name) for service in found] == [(COMPUTE_ENGINE, "Compute Engine")]


async def test_pages_follow_each_other_without_gap_or_repetition(client: billing_v1.CloudCatalogAsyncClient) -> None:
    whole = await names(client, page_size=5000)
    smaller = await names(client, page_size=150)

    assert [len(page) for page in whole] == [200, 179]
    assert [len(page) for page in smaller] == [150, 150, 79]
    assert list(chain(*whole)) == list(chain(*smaller))
    assert len(set(chain(*whole))) == 379


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        ({"parent": "services/0000-0000-0000"}, exceptions.NotFound),
        ({"parent": COMPUTE_ENGINE, "page_token": "../1"}, exceptions.InvalidArgument),
        ({"parent": COMPUTE_ENGINE, "page_size": -1}, exceptions.InvalidArgument),
        ({"parent": COMPUTE_ENGINE, "currency_code": "EUR"}, exceptions.InvalidArgument),
    ],
)
async def test_a_request_that_google_would_refuse_is_refused(
    client: billing_v1.CloudCatalogAsyncClient, request_: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        await client.list_skus(request=request_)


async def test_the_next_run_serves_where_the_last_one_did(tmp_path: Path) -> None:
    urls = []
    for _ in range(2):
        async with Simulation(SimulationOptions(tmp_path)) as simulation:
            urls.append(simulation.environment()["GOOGLE_CATALOG_URL"])

    assert urls[0] == urls[1]


async def test_a_port_that_somebody_else_took_is_left_to_them(catalog: BillingCatalog, tmp_path: Path) -> None:
    second = BillingCatalog("127.0.0.1", StateFile(tmp_path / "catalog.json"))

    await second.start()
    await second.close()

    assert second.url != catalog.url


async def test_a_damaged_port_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "google").mkdir()
    (tmp_path / "google" / "catalog.json").write_text("{")

    with pytest.raises(SimulationError, match=r"catalog\.json is damaged: remove it to begin anew$"):
        async with Simulation(SimulationOptions(tmp_path)):
            pass


async def names(client: billing_v1.CloudCatalogAsyncClient, page_size: int) -> list[list[str]]:
    pager = await client.list_skus(request={"parent": COMPUTE_ENGINE, "page_size": page_size})
    return [[sku.name for sku in page.skus] async for page in pager.pages]


def in_numbers(texts: Any) -> list[Decimal]:
    return sorted(map(Decimal, texts))


def _as_spot(usd: dict[str, str]) -> dict[str, str]:
    return {f"spot {name}": text for name, text in usd.items()}
