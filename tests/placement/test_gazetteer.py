from __future__ import annotations

import asyncio
import time

import pytest

from placement.coordinates import Position
from placement.distance import distance_km
from placement.gazetteer import Gazetteer, LazyGazetteer, Precision, load_gazetteer
from placement.place_names import country_code, normalise
from providers.base import Place

# What hosts type, and where that is: (city, region, country), latitude, longitude, how far off is still right (km).
HOSTS = [
    ("Winnipeg", "Manitoba", "Canada", 49.88, -97.15, 10),
    ("Chubbuck", "Idaho", "United States", 42.92, -112.47, 10),
    ("Joplin", "Missouri", "United States", 37.08, -94.51, 10),
    ("Manassas", "Virginia", "United States", 38.75, -77.48, 10),
    ("Orlando", "Florida", "United States", 28.54, -81.38, 10),
    ("Wilmington", "Delaware", "United States", 39.75, -75.55, 10),
    ("Delaware", "Wilmington", "United States", 39.75, -75.55, 10),
    ("New York City", "New York", "United States", 40.71, -74.01, 10),
    ("Chicago", "Illinois", "United States", 41.88, -87.63, 10),
    ("Las Vegas", "Nevada", "United States", 36.17, -115.14, 10),
    ("Texas", "Texas", "United States", 31.0, -97.5, 30),  # the middle of where Texans live
    ("Los Angeles", "California", "United States", 34.05, -118.24, 10),
    ("Seattle", "Washington", "United States", 47.61, -122.33, 10),
    ("Miami", "Florida", "United States", 25.77, -80.19, 10),
    ("Montreal", "Quebec", "Canada", 45.51, -73.59, 10),
    ("Eygelshoven", "Limburg", "Netherlands", 50.89, 6.06, 40),  # not in the lists: its region
    ("Mölln", "Hamburg", "Germany", 53.63, 10.69, 10),  # beside its region, and one of two Möllns
    ("Frankfurt", "Hesse", "Germany", 50.11, 8.68, 10),
    ("Wolverhampton", "Midlands", "United Kingdom", 52.59, -2.13, 10),
    ("London", "England", "United Kingdom", 51.51, -0.13, 10),
    ("Paris", "Ile-de-France", "France", 48.86, 2.35, 10),
    ("Prague", "Prague", "Czech Republic", 50.08, 14.44, 10),
    ("Warsaw", "Masovia", "Poland", 52.23, 21.01, 10),
    ("Mischii", "Dolj", "Romania", 44.38, 23.83, 40),  # a village: its region
    ("Tallinn", "Harjumaa", "Estonia", 59.44, 24.75, 10),
    ("Oslo", "Oslo", "Norway", 59.91, 10.75, 10),
    ("Stockholm", "Stockholm County", "Sweden", 59.33, 18.07, 10),
    ("Madrid", "Community of Madrid", "Spain", 40.42, -3.70, 10),
    ("Milan", "Lombardy", "Italy", 45.46, 9.19, 10),
    ("Mumbai", "Maharashtra", "India", 19.07, 72.88, 10),
    ("Singapore", "Singapore", "Singapore", 1.29, 103.85, 10),
    ("Tokyo", "Tokyo", "Japan", 35.69, 139.69, 10),
    ("Sydney", "New South Wales", "Australia", -33.87, 151.21, 10),
    ("Sao Paulo", "Sao Paulo", "Brazil", -23.55, -46.63, 10),
]

SAME_NAMES = [
    ("Springfield", "Missouri", "United States", 37.22, -93.29, 10),
    ("Springfield", "Illinois", "United States", 39.80, -89.64, 10),
    ("Portland", "Maine", "United States", 43.66, -70.26, 10),
    ("Portland", "OR", "United States", 45.52, -122.68, 10),
    ("Birmingham", "Alabama", "United States", 33.52, -86.80, 10),
    ("Birmingham", "", "United Kingdom", 52.48, -1.90, 10),
    ("London", "Ontario", "Canada", 42.98, -81.23, 10),
    ("Paris", "Texas", "United States", 33.66, -95.56, 10),
    ("Athens", "Georgia", "United States", 33.96, -83.38, 10),
    ("Tbilisi", "", "Georgia", 41.69, 44.83, 10),
    ("Frankfurt", "", "Germany", 50.11, 8.68, 10),  # not the one on the Oder
    ("New York, NY", "", "United States", 40.71, -74.01, 10),
    ("Paris", "", "", 48.86, 2.35, 10),
    ("Chicago", "Illinois", "Untied States", 41.88, -87.63, 10),
]

COUNTRY_NAMES = [
    ("Chicago", *("Illinois", "USA"), "US"),
    ("Chicago", *("Illinois", "U.S."), "US"),
    ("Chicago", *("Illinois", "United States of America"), "US"),
    ("London", *("", "UK"), "GB"),
    ("London", *("", "Great Britain"), "GB"),
    ("Brno", *("", "Czech Republic"), "CZ"),
    ("Brno", *("", "Czechia"), "CZ"),
    ("Rotterdam", *("", "The Netherlands"), "NL"),
    ("Seoul", *("", "South Korea"), "KR"),
    ("Istanbul", *("", "Turkey"), "TR"),
    ("Hanoi", *("", "Viet Nam"), "VN"),
    ("Moscow", *("", "Russian Federation"), "RU"),
    ("Köln", *("", "DE"), "DE"),
]


@pytest.fixture(scope="module")
def gazetteer() -> Gazetteer:
    return load_gazetteer()


@pytest.mark.parametrize(("city", "region", "country", "latitude", "longitude", "within_km"), HOSTS + SAME_NAMES)
def test_a_host_typed_place_is_found_where_it_is(
    gazetteer: Gazetteer, city: str, region: str, country: str, latitude: float, longitude: float, within_km: float
) -> None:
    located = gazetteer.locate(Place(city, region, country))

    assert located is not None
    off_by_km = distance_km(Position(latitude, longitude), located.position)
    assert off_by_km is not None
    assert off_by_km <= within_km


@pytest.mark.parametrize(("city", "region", "country", "code"), COUNTRY_NAMES)
def test_a_country_is_known_by_its_usual_names(
    gazetteer: Gazetteer, city: str, region: str, country: str, code: str
) -> None:
    located = gazetteer.locate(Place(city, region, country))

    assert located is not None
    assert located.country_code == code
    assert located.precision is Precision.TOWN


@pytest.mark.parametrize(
    ("place", "precision"),
    [
        (Place("Dallas", "Texas", "United States"), Precision.TOWN),
        (Place("Texas", "Texas", "United States"), Precision.REGION),
        (Place("", "", "Romania"), Precision.COUNTRY),
        (Place("Springfield", "Idaho", "United States"), Precision.REGION),  # not a namesake in another state
    ],
)
def test_it_says_how_much_of_the_name_was_understood(gazetteer: Gazetteer, place: Place, precision: Precision) -> None:
    located = gazetteer.locate(place)

    assert located is not None
    assert located.precision is precision


@pytest.mark.parametrize(
    "place",
    [
        Place("", "", ""),
        Place("Atlantis", "", "Atlantis"),
        Place("London", "", "Atlantis"),
        Place("", "", "United States"),  # too wide for its middle to mean anything
        Place("🎮", "💾", "🕹️"),
        Place("x" * 100_000, "$where", "../../etc"),
    ],
)
def test_what_means_nothing_is_placed_nowhere(gazetteer: Gazetteer, place: Place) -> None:
    assert gazetteer.locate(place) is None


@pytest.mark.parametrize(
    ("typed", "read"),
    [("São Paulo", "sao paulo"), ("  Île-de-France ", "ile de france"), ("ŁÓDŹ", "lodz"), ("Straße", "strasse")],
)
def test_spellings_of_one_name_are_one(typed: str, read: str) -> None:
    assert normalise(typed) == read


async def test_the_event_loop_runs_on_while_the_gazetteer_loads() -> None:
    load_gazetteer.cache_clear()
    began = before = time.perf_counter()
    loading = asyncio.create_task(LazyGazetteer().get())
    longest_pause_s = 0.0

    while not loading.done():
        await asyncio.sleep(0)
        longest_pause_s, before = max(longest_pause_s, time.perf_counter() - before), time.perf_counter()

    assert longest_pause_s < (before - began) / 2


async def test_it_is_loaded_once_for_all_who_ask_at_the_same_time() -> None:
    lazy = LazyGazetteer()

    first, second = await asyncio.gather(lazy.get(), lazy.get())

    assert first is second


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Korea, Republic of", "KR"),
        ("Korea (the Republic of)", "KR"),
        ("Korea, Democratic People's Republic of", "KP"),
        ("Korea (the Democratic People's Republic of)", "KP"),
        ("Bolivia (Plurinational State of)", "BO"),
        ("Netherlands (Kingdom of the)", "NL"),
        ("United States of America (the)", "US"),
        ("United Kingdom of Great Britain and Northern Ireland (the)", "GB"),
        ("Moldova (the Republic of)", "MD"),
        ("Taiwan (Province of China)", "TW"),
        ("Congo (the Democratic Republic of the)", "CD"),
        ("Congo (the)", "CG"),
        ("Kingdom of Sweden", "SE"),
        ("Federal Republic of Germany", "DE"),
        ("Viet Nam", "VN"),
        ("Tanzania, United Republic of", "TZ"),
        ("Virgin Islands (British)", "VG"),
        ("Atlantis, Republic of", None),
    ],
)
def test_countries_are_understood_as_standards_write_them(name: str, code: str | None) -> None:
    assert country_code(name, load_gazetteer()._countries) == code


@pytest.mark.parametrize(
    ("place", "latitude", "longitude"),
    [
        (Place("Hague, The", "", "Netherlands"), 52.08, 4.30),
        (Place("Den Haag ('s-Gravenhage)", "", "Netherlands (Kingdom of the)"), 52.08, 4.30),
        (Place("City of London", "", "United Kingdom"), 51.51, -0.09),
        (Place("St. Louis", "US-MO", "United States of America (the)"), 38.63, -90.20),
        (Place("Québec", "CA-QC", "Canada"), 46.81, -71.21),
        (Place("Seoul", "", "Korea, Republic of"), 37.57, 126.98),
    ],
)
def test_towns_are_understood_as_standards_write_them(place: Place, latitude: float, longitude: float) -> None:
    found = load_gazetteer().locate(place)

    assert found is not None
    away_km = distance_km(found.position, Position(latitude, longitude))
    assert away_km is not None
    assert away_km < 10
