from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from geopy.exc import GeocoderTimedOut, GeocoderUnavailable

from models.database import Database
from models.placement_cache import GeocodedPlace
from placement.coordinates import Position
from placement.gazetteer import Precision
from placement.geocoding import Geocoder
from placement.nominatim import Nominatim, geopy_nominatim
from providers.base import Place

JOPLIN = Place("Joplin", "Missouri", "United States")
MISCHII = Place("Mischii", "Dolj", "Romania")  # a village: the gazetteer knows its region only
NOWHERE = Place("Xyzzy", "", "Atlantis")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class FoundPlace:
    latitude: float
    longitude: float
    raw: dict[str, Any]


@dataclass
class FakeNominatim:
    """Knows what it is told; counts the questions."""

    answers: dict[str, FoundPlace] = field(default_factory=dict)
    failures: list[Exception] = field(default_factory=list)
    questions: list[dict[str, str]] = field(default_factory=list)

    def geocode(self, query: dict[str, str], *, addressdetails: bool, language: str) -> FoundPlace | None:
        self.questions.append(query)
        if self.failures:
            raise self.failures.pop(0)
        return self.answers.get(query.get("city", ""))


class Clock:
    def __init__(self) -> None:
        self.now = NOON
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def nominatim() -> FakeNominatim:
    return FakeNominatim({"Mischii": FoundPlace(44.383, 23.833, {"address": {"country_code": "ro"}})})


@pytest.fixture
def clock() -> Clock:
    return Clock()


Make = Callable[..., Geocoder]


@pytest.fixture
async def make_geocoder(db: Database, nominatim: FakeNominatim, clock: Clock) -> AsyncIterator[Make]:
    made: list[Geocoder] = []

    def make(online: bool = False) -> Geocoder:
        def factory() -> Nominatim:
            assert online, "Nominatim is not allowed"
            return nominatim

        made.append(Geocoder(db, online, factory, sleep=clock.sleep, now=clock))
        return made[-1]

    yield make
    for geocoder in made:
        await geocoder.close()


async def test_a_place_is_found_and_known_to_all_processes_from_then_on(make_geocoder: Make, db: Database) -> None:
    found = await make_geocoder().locate([JOPLIN, JOPLIN, NOWHERE])

    joplin = found[JOPLIN]
    assert joplin is not None
    assert joplin.position == Position(37.08423, -94.51328)
    assert found[NOWHERE] is None
    rows = {row.id: row for row in await db.find(GeocodedPlace, {})}
    assert rows.keys() == {"Joplin|Missouri|United States", "Xyzzy||Atlantis"}
    assert rows["Joplin|Missouri|United States"].source == "gazetteer"


async def test_what_another_process_stored_is_believed(make_geocoder: Make, db: Database) -> None:
    row = GeocodedPlace(
        id="Xyzzy||Atlantis", latitude=1.0, longitude=2.0, country_code="XX", source="nominatim", at=NOON
    )
    await db.insert(row)

    found = await make_geocoder().locate([NOWHERE])

    located = found[NOWHERE]
    assert located is not None
    assert (located.position, located.country_code) == (Position(1.0, 2.0), "XX")


async def test_what_was_stored_long_ago_is_looked_for_again(make_geocoder: Make, db: Database) -> None:
    long_ago = NOON - timedelta(days=31)
    await db.insert(GeocodedPlace(id="Joplin|Missouri|United States", source="gazetteer", at=long_ago))

    found = await make_geocoder().locate([JOPLIN])

    assert found[JOPLIN] is not None


async def test_nobody_online_is_asked_unless_that_is_allowed(make_geocoder: Make, nominatim: FakeNominatim) -> None:
    geocoder = make_geocoder(online=False)

    await geocoder.locate([MISCHII, NOWHERE])
    await geocoder.wait_until_idle()

    assert nominatim.questions == []


async def test_what_is_vague_is_asked_online_once_a_second_while_nobody_waits(
    make_geocoder: Make, nominatim: FakeNominatim, clock: Clock
) -> None:
    geocoder = make_geocoder(online=True)

    at_once = await geocoder.locate([JOPLIN, MISCHII, NOWHERE])
    await geocoder.wait_until_idle()
    later = await geocoder.locate([JOPLIN, MISCHII, NOWHERE])
    await geocoder.wait_until_idle()

    first, second = at_once[MISCHII], later[MISCHII]
    assert first is not None
    assert second is not None
    assert (first.precision, second.precision) == (Precision.REGION, Precision.TOWN)
    assert (second.position, second.country_code) == (Position(44.383, 23.833), "RO")
    assert later[NOWHERE] is None
    assert nominatim.questions == [
        {"city": "Mischii", "state": "Dolj", "country": "Romania"},
        {"city": "Xyzzy", "country": "Atlantis"},
    ]
    assert clock.slept == [1.0, 1.0]


async def test_a_restart_does_not_ask_online_again(make_geocoder: Make, nominatim: FakeNominatim) -> None:
    before = make_geocoder(online=True)
    await before.locate([MISCHII, NOWHERE])
    await before.wait_until_idle()
    after_restart = make_geocoder(online=True)

    found = await after_restart.locate([MISCHII, NOWHERE])
    await after_restart.wait_until_idle()

    located = found[MISCHII]
    assert located is not None
    assert located.precision is Precision.TOWN
    assert len(nominatim.questions) == 2


@pytest.mark.parametrize("failure", [GeocoderTimedOut("slow"), GeocoderUnavailable("away")])
async def test_an_error_online_is_not_remembered_as_an_answer(
    make_geocoder: Make, nominatim: FakeNominatim, clock: Clock, db: Database, failure: Exception
) -> None:
    nominatim.failures = [failure]
    geocoder = make_geocoder(online=True)

    await geocoder.locate([MISCHII])
    await geocoder.wait_until_idle()
    await geocoder.locate([MISCHII])  # too soon after the failure
    await geocoder.wait_until_idle()
    asked_soon, row_soon = len(nominatim.questions), await db.get(GeocodedPlace, "Mischii|Dolj|Romania")
    clock.now += timedelta(minutes=11)
    await geocoder.locate([MISCHII])
    await geocoder.wait_until_idle()
    found = await geocoder.locate([MISCHII])

    assert asked_soon == 1
    assert row_soon is not None
    assert row_soon.source == "gazetteer"
    located = found[MISCHII]
    assert located is not None
    assert located.precision is Precision.TOWN


async def test_impossible_coordinates_from_online_are_not_taken(
    make_geocoder: Make, nominatim: FakeNominatim, db: Database
) -> None:
    nominatim.answers["Mischii"] = FoundPlace(float("nan"), 23.8, {})
    geocoder = make_geocoder(online=True)

    await geocoder.locate([MISCHII])
    await geocoder.wait_until_idle()

    row = await db.get(GeocodedPlace, "Mischii|Dolj|Romania")
    assert row is not None
    assert row.source == "gazetteer"


async def test_all_who_ask_at_once_share_one_look_up(make_geocoder: Make, nominatim: FakeNominatim) -> None:
    geocoder = make_geocoder(online=True)

    answers = await asyncio.gather(*(geocoder.locate([MISCHII]) for _ in range(20)))
    await geocoder.wait_until_idle()

    assert all(answer == answers[0] for answer in answers)
    assert len(nominatim.questions) == 1


def test_the_real_geocoder_names_itself_and_has_a_time_limit() -> None:
    nominatim: Any = geopy_nominatim()

    assert nominatim.headers["User-Agent"] == "gamer-provisioner"
    assert nominatim.timeout == 5
