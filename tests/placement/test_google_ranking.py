"""Google's regions among the candidates: where players are sent, and how the two clouds compete."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal

import pytest

from models.catalog import CONSOLES, PRESETS, ConsoleType, PresetName
from models.database import Database
from placement.coordinates import Position
from placement.geocoding import Geocoder
from placement.google_network_order import NetworkOrders
from placement.ranking import Placements
from providers.base import GpuStock, Place, ProviderName, Site, SiteId
from providers.google.location_finder import CloudLocation
from providers.google.machines import fitting_machine_types
from providers.google.regions import Region, regions
from providers.registry import Registry
from tests.fakes.cloud import FakeCloud
from tests.fakes.cloud import site as tensordock_site

SWITCH = CONSOLES[ConsoleType.SWITCH]
PREMIUM = PRESETS[PresetName.PREMIUM].shape
TODAY = date(2026, 11, 21)
AUCKLAND = Position(-36.85, 174.76)
DALLAS = Position(32.78, -96.80)

# Players, and the region with a GPU for them that a look at the map names.
CITIES = [
    ("Amsterdam", 52.37, 4.90, "europe-west4"),
    ("Atlanta", 33.75, -84.39, "us-east1"),
    ("Auckland", -36.85, 174.76, "australia-southeast1"),
    ("Berlin", 52.52, 13.41, "europe-west3"),
    ("Boston", 42.36, -71.06, "northamerica-northeast1"),
    ("Buenos Aires", -34.60, -58.38, "southamerica-east1"),
    ("Chicago", 41.88, -87.63, "us-central1"),
    ("Dallas", 32.78, -96.80, "us-central1"),
    ("Delhi", 28.61, 77.21, "asia-south1"),
    ("Dubai", 25.20, 55.27, "me-central2"),
    ("Dublin", 53.35, -6.26, "europe-west2"),
    ("Hong Kong", 22.32, 114.17, "asia-east2"),
    ("Honolulu", 21.31, -157.86, "us-west2"),
    ("Krakow", 50.06, 19.94, "europe-central2"),
    ("Manila", 14.60, 120.98, "asia-east1"),
    ("Milan", 45.46, 9.19, "europe-west6"),
    ("Osaka", 34.69, 135.50, "asia-northeast1"),
    ("San Francisco", 37.77, -122.42, "us-west2"),
    ("Suva", -18.14, 178.44, "australia-southeast1"),
    ("Toronto", 43.65, -79.38, "northamerica-northeast2"),
    ("Washington", 38.91, -77.04, "us-east4"),
]


def google_site(region: Region, usd_per_hour: str = "1.50") -> Site:
    gpus = tuple(GpuStock(model, 24, 1, Decimal(usd_per_hour)) for model in region.gpu_models(TODAY))
    return Site(
        id=SiteId(region.name),
        provider=ProviderName.CLOUDYPAD,
        place=region.place,
        online=True,
        vcpus_available=16,
        ram_gb_available=64,
        storage_gb_available=1000,
        gpus=gpus,
        usd_per_vcpu_hour=Decimal(0),
        usd_per_ram_gb_hour=Decimal(0),
        usd_per_storage_gb_hour=Decimal(0),
        dedicated_ip_available=True,
    )


def google_cloud() -> FakeCloud:
    usable = [region for region in regions().values() if fitting_machine_types(region, PREMIUM, TODAY)]
    return FakeCloud(ProviderName.CLOUDYPAD, [google_site(region) for region in usable])


class PacificFinder:
    """From Sydney, Singapore answers sooner than Tokyo, and both sooner than Jakarta, which is nearer on the map."""

    async def regions_near(self, region: str) -> list[CloudLocation]:
        assert region == "australia-southeast1"
        names = ("asia-southeast1", "asia-northeast1", "asia-southeast2", "us-west2", "southamerica-east1")
        return [CloudLocation(name, None) for name in names]


@pytest.fixture
async def geocoder(db: Database) -> AsyncIterator[Geocoder]:
    geocoder = Geocoder(db)
    yield geocoder
    await geocoder.close()


@pytest.mark.parametrize(("city", "latitude", "longitude", "region"), CITIES, ids=[city[0] for city in CITIES])
async def test_a_player_is_sent_to_the_region_that_the_map_names(
    db: Database, geocoder: Geocoder, city: str, latitude: float, longitude: float, region: str
) -> None:
    placements = Placements(db, Registry([google_cloud()]), geocoder)

    ranked = await placements.rank(SWITCH, Position(latitude, longitude), closest_first=True)

    assert ranked[0].located.site.id == region


async def test_only_regions_with_the_consoles_gpu_are_candidates(db: Database, geocoder: Geocoder) -> None:
    no_gpu = FakeCloud(ProviderName.CLOUDYPAD, [google_site(regions()["africa-south1"])])

    ranked = await Placements(db, Registry([no_gpu]), geocoder).rank(SWITCH, AUCKLAND)

    assert ranked == []


async def test_googles_network_orders_what_lies_around_the_nearest_region(db: Database, geocoder: Geocoder) -> None:
    by_map = Placements(db, Registry([google_cloud()]), geocoder)
    by_network = Placements(db, Registry([google_cloud()]), geocoder, orders=NetworkOrders(db, PacificFinder()))

    map_order = await by_map.rank(SWITCH, AUCKLAND, closest_first=True, limit=30)
    network_order = await by_network.rank(SWITCH, AUCKLAND, closest_first=True, limit=30)

    on_map = [placement.located.site.id for placement in map_order]
    on_network = [placement.located.site.id for placement in network_order]
    assert on_map[:3] == ["australia-southeast1", "asia-southeast2", "asia-southeast1"]
    named = ("australia-southeast1", "asia-southeast1", "asia-northeast1", "asia-southeast2", "us-west2")
    assert [region for region in on_network if region in named] == list(named)
    assert "order of Google's regions by distance: no Google project is set up for Location Finder" in (
        map_order[0].reasons
    )
    assert "order of Google's regions by its network around australia-southeast1 (Location Finder)" in (
        network_order[0].reasons
    )


async def test_a_near_cheap_host_beats_a_region_and_a_far_one_does_not(db: Database, geocoder: Geocoder) -> None:
    near = tensordock_site("joplin", Place("Joplin", "Missouri", "United States"))
    far = tensordock_site("tokyo", Place("Tokyo", "Tokyo", "Japan"))
    google = FakeCloud(ProviderName.CLOUDYPAD, [google_site(regions()["us-central1"])])

    with_near = Placements(db, Registry([FakeCloud(sites=[near]), google]), geocoder)
    with_far = Placements(db, Registry([FakeCloud(sites=[far]), google]), geocoder)

    assert [one.located.site.id for one in await with_near.rank(SWITCH, DALLAS)] == ["joplin", "us-central1"]
    assert [one.located.site.id for one in await with_far.rank(SWITCH, DALLAS)] == ["us-central1", "tokyo"]
