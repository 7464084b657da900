from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from errors import ProviderBusyError, ProviderDownError
from models.catalog import CONSOLES, Console, ConsoleType, ProviderPreference
from models.database import Database
from placement.coordinates import Position
from placement.geocoding import Geocoder
from placement.ranking import Placements, RankedPlacement, Weights
from placement.scoring import DEFAULT_WEIGHTS
from placement.unavailable_sites import BALANCE_FOR, FullSites
from providers.base import Place, Provider, ProviderHealth, ProviderName, Site, SiteId
from providers.registry import Registry
from tests.fakes.cloud import FakeCloud
from tests.fakes.cloud import site as priced_site

DALLAS = Position(32.7767, -96.7970)
JOPLIN = Place("Joplin", "Missouri", "United States")
CHICAGO = Place("Chicago", "Illinois", "United States")
LONDON = Place("London", "England", "United Kingdom")
MISCHII = Place("Mischii", "Dolj", "Romania")
NOWHERE = Place("Xyzzy", "", "Atlantis")
SWITCH = replace(CONSOLES[ConsoleType.SWITCH], emulator=CONSOLES[ConsoleType.WII].emulator)  # one that plays games
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def site(name: str, place: Place, usd_per_hour: str = "0.40", gpus: int = 4) -> Site:
    """A host whose price is that of its GPU alone."""
    return replace(priced_site(name, place, usd_per_hour, gpus), usd_per_vcpu_hour=Decimal(0))


class UnwellCloud(FakeCloud):
    async def health(self) -> ProviderHealth:
        return ProviderHealth(configured=True, healthy=False, simulated=True, detail="balance below zero")


Make = Callable[..., Placements]


@pytest.fixture
async def make_placements(db: Database) -> AsyncIterator[Make]:
    geocoder = Geocoder(db)

    def make(*clouds: Provider, weights: Weights = DEFAULT_WEIGHTS) -> Placements:
        return Placements(db, Registry(clouds), geocoder, weights)

    yield make
    await geocoder.close()


def tensordock(*sites: Site) -> FakeCloud:
    return FakeCloud(ProviderName.TENSORDOCK, sites)


def google(*sites: Site) -> FakeCloud:
    moved = [replace(one, provider=ProviderName.CLOUDYPAD) for one in sites]
    return FakeCloud(ProviderName.CLOUDYPAD, moved)


def preferring(*preferences: ProviderPreference) -> Console:
    return replace(SWITCH, providers=preferences)


def ids(placements: list[RankedPlacement]) -> list[str]:
    return [placement.located.site.id for placement in placements]


async def test_at_one_price_the_nearest_is_first(make_placements: Make) -> None:
    placements = make_placements(tensordock(site("l", LONDON), site("c", CHICAGO), site("j", JOPLIN)))

    ranked = await placements.rank(SWITCH, DALLAS)

    assert ids(ranked) == ["j", "c", "l"]
    assert [placement.rank for placement in ranked] == [1, 2, 3]
    assert [round(placement.distance_km or 0) for placement in ranked] == [522, 1292, 7641]
    assert ranked[0].reasons == (
        "522 km away, about 13 ms (estimated)",
        "nearest that fits",
        "0.4 USD per hour, cheapest that fits",
        "RTX 4090 24 GB",
        "dedicated IP",
        "first: neither farther nor more expensive than the next",
    )
    assert not any(reason.startswith("first") for reason in ranked[1].reasons)


async def test_a_score_is_the_round_trip_and_the_price_in_milliseconds(make_placements: Make) -> None:
    placements = make_placements(tensordock(site("j", JOPLIN, "0.40")))

    (only,) = await placements.rank(SWITCH, DALLAS)

    assert only.distance_km == pytest.approx(522.2, abs=0.1)
    assert only.estimated_rtt_ms == pytest.approx(5 + 5.222 * 1.5, abs=0.01)
    assert only.score == pytest.approx(5 + 5.222 * 1.5 + 0.40 * 30, abs=0.01)


async def test_a_much_cheaper_host_is_worth_some_distance_but_not_an_ocean(make_placements: Make) -> None:
    hosts = tensordock(site("j", JOPLIN, "0.90"), site("c", CHICAGO, "0.40"), site("l", LONDON, "0.10"))

    ranked = await make_placements(hosts).rank(SWITCH, DALLAS)
    price_alone = await make_placements(hosts, weights=Weights(per_rtt_ms=0)).rank(SWITCH, DALLAS)

    assert ids(ranked) == ["c", "j", "l"]
    assert [round(placement.score, 1) for placement in ranked] == [36.4, 39.8, 122.6]  # as docs/placement.md tells it
    assert ranked[0].reasons[-1] == "first: 0.5 USD per hour less than the next, which outweighs 12 ms more"
    assert ids(price_alone) == ["l", "c", "j"]


async def test_those_who_ask_for_the_closest_get_it_whatever_it_costs(make_placements: Make) -> None:
    hosts = tensordock(site("j", JOPLIN, "0.90"), site("c", CHICAGO, "0.40"))

    ranked = await make_placements(hosts).rank(SWITCH, DALLAS, closest_first=True)

    assert ids(ranked) == ["j", "c"]


async def test_without_a_position_the_cheapest_that_fits_is_first(make_placements: Make) -> None:
    placements = make_placements(tensordock(site("a", CHICAGO, "0.5"), site("b", NOWHERE, "0.3")))

    ranked = await placements.rank(SWITCH, None)

    assert ids(ranked) == ["b", "a"]
    assert (ranked[0].distance_km, ranked[0].estimated_rtt_ms) == (None, None)
    assert ranked[0].score == pytest.approx(9.0)
    assert ranked[0].reasons == ("0.3 USD per hour, cheapest that fits", "RTX 4090 24 GB", "dedicated IP")


async def test_a_site_whose_place_is_unknown_comes_last_and_says_so(make_placements: Make) -> None:
    placements = make_placements(tensordock(site("x", NOWHERE, "0.01"), site("l", LONDON, "12.00")))

    ranked = await placements.rank(SWITCH, DALLAS)

    assert ids(ranked) == ["l", "x"]
    assert ranked[1].distance_km is None
    assert "place unknown: ranked after every known place" in ranked[1].reasons


async def test_a_rough_place_is_called_rough(make_placements: Make) -> None:
    (only,) = await make_placements(tensordock(site("m", MISCHII))).rank(SWITCH, DALLAS)

    assert "only its region is known, so the distance is rough" in only.reasons


async def test_what_does_not_fit_is_off_or_costs_too_much_is_left_out(make_placements: Make) -> None:
    hosts = tensordock(
        site("fits", JOPLIN, "0.40"),
        site("taken", JOPLIN, gpus=0),
        replace(site("off", JOPLIN), online=False),
        site("dear", JOPLIN, "0.41"),
    )

    ranked = await make_placements(hosts).rank(SWITCH, DALLAS, max_usd_per_hour=Decimal("0.40"))

    assert ids(ranked) == ["fits"]


async def test_an_empty_ranking_can_be_explained(make_placements: Make) -> None:
    placements = make_placements(tensordock(site("j", JOPLIN, "0.40")))
    limit = Decimal("0.05")

    ranked = await placements.rank(SWITCH, DALLAS, max_usd_per_hour=limit)
    refusal = await placements.explain_empty(SWITCH, max_usd_per_hour=limit)
    nothing_there = await make_placements(tensordock()).explain_empty(SWITCH, max_usd_per_hour=limit)

    assert ranked == []
    assert refusal.path == ("maxHourlyPrice",)
    assert refusal.message == (
        "nothing for Nintendo Switch costs at most 0.05 USD per hour; the cheapest that fits is 0.4 USD per hour"
    )
    assert nothing_there.message == "no site has a machine for Nintendo Switch available now"


async def test_ties_go_to_the_preferred_cloud_then_the_lower_price_then_the_id(make_placements: Make) -> None:
    here, there = (
        tensordock(site("b", JOPLIN), site("a", JOPLIN)),
        google(site("z", JOPLIN), site("y", JOPLIN, "0.399")),
    )
    google_first = preferring(ProviderPreference(ProviderName.CLOUDYPAD), ProviderPreference(ProviderName.TENSORDOCK))

    by_default = await make_placements(here, there).rank(SWITCH, DALLAS)
    by_preference = await make_placements(here, there).rank(google_first, DALLAS)

    assert ids(by_default) == ["a", "b", "y", "z"]
    assert ids(by_preference) == ["y", "z", "a", "b"]


async def test_a_cloud_that_is_switched_off_or_too_dear_for_the_console_is_not_used(make_placements: Make) -> None:
    clouds = (tensordock(site("t", JOPLIN)), google(site("g", JOPLIN)))
    switched_off = preferring(
        ProviderPreference(ProviderName.TENSORDOCK, enabled=False), ProviderPreference(ProviderName.CLOUDYPAD)
    )
    too_dear = preferring(
        ProviderPreference(ProviderName.TENSORDOCK, max_usd_per_hour=Decimal("0.39")),
        ProviderPreference(ProviderName.CLOUDYPAD, max_usd_per_hour=Decimal("0.40")),
    )

    assert ids(await make_placements(*clouds).rank(switched_off, DALLAS)) == ["g"]
    assert ids(await make_placements(*clouds).rank(too_dear, DALLAS)) == ["g"]
    assert await make_placements(*clouds).rank(switched_off, DALLAS, provider=ProviderName.TENSORDOCK) == []


async def test_one_cloud_can_be_asked_for(make_placements: Make) -> None:
    placements = make_placements(tensordock(site("t", JOPLIN)), google(site("g", JOPLIN)))

    ranked = await placements.rank(SWITCH, DALLAS, provider=ProviderName.CLOUDYPAD)

    assert ids(ranked) == ["g"]


async def test_a_cloud_that_is_not_configured_is_refused_by_name(make_placements: Make) -> None:
    placements = make_placements(tensordock(site("t", JOPLIN)))

    with pytest.raises(ProviderDownError) as refused:
        await placements.rank(SWITCH, DALLAS, provider=ProviderName.CLOUDYPAD)

    assert refused.value.provider == "CLOUDYPAD"


async def test_a_cloud_that_fails_is_passed_over_while_another_answers(make_placements: Make) -> None:
    broken, working = tensordock(site("t", JOPLIN)), google(site("g", LONDON))
    broken.failures["sites"] = [ProviderBusyError("HTTP 502")]

    ranked = await make_placements(broken, working).rank(SWITCH, DALLAS)

    assert ids(ranked) == ["g"]


async def test_when_a_failing_cloud_leaves_nothing_that_is_what_is_said(make_placements: Make) -> None:
    broken, empty = tensordock(site("t", JOPLIN)), google()
    broken.failures["sites"] = [ProviderBusyError("HTTP 502")]

    with pytest.raises(ProviderDownError) as refused:
        await make_placements(broken, empty).rank(SWITCH, DALLAS)

    assert refused.value.provider == "TENSORDOCK"


async def test_a_cloud_in_trouble_comes_after_the_healthy_ones(make_placements: Make) -> None:
    unwell = UnwellCloud(ProviderName.TENSORDOCK, [site("t", JOPLIN)])

    ranked = await make_placements(unwell, google(site("g", LONDON))).rank(SWITCH, DALLAS)

    assert ids(ranked) == ["g", "t"]
    assert ranked[1].reasons[-1] == "TENSORDOCK reports trouble, so other providers come first"


async def test_a_full_site_is_passed_over_by_all_processes(make_placements: Make) -> None:
    hosts = tensordock(site("j", JOPLIN), site("c", CHICAGO))
    await make_placements(hosts).mark_full(ProviderName.TENSORDOCK, SiteId("j"), "no free GPU")

    in_another_process = await make_placements(hosts).rank(SWITCH, DALLAS)

    assert ids(in_another_process) == ["c"]


async def test_a_full_site_is_forgotten_after_five_minutes(db: Database) -> None:
    await FullSites(db, lambda: NOON).mark_full(ProviderName.TENSORDOCK, SiteId("j"), "no free GPU")

    soon = await FullSites(db, lambda: NOON + timedelta(minutes=4)).list_full()
    later = await FullSites(db, lambda: NOON + timedelta(minutes=6)).list_full()

    assert soon.sites == {(ProviderName.TENSORDOCK, "j")}
    assert later.sites == set()


async def test_offers_that_the_balance_does_not_cover_are_left_out_for_a_minute(
    make_placements: Make, db: Database
) -> None:
    placements = make_placements(tensordock(site("dear", JOPLIN, "1.60"), site("cheap", CHICAGO, "1.50")))
    await FullSites(db).mark_cloud_full(
        ProviderName.TENSORDOCK, "the balance is too low", BALANCE_FOR, covers_usd_per_hour=Decimal("1.50")
    )

    assert ids(await placements.rank(SWITCH, DALLAS)) == ["cheap"]
    later = await FullSites(db, lambda: datetime.now(UTC) + timedelta(seconds=61)).list_full()
    assert (later.sites, later.covered_usd_per_hour) == (set(), {})


async def test_sites_come_located_and_in_the_clouds_order(make_placements: Make) -> None:
    off = replace(site("off", LONDON), online=False)
    placements = make_placements(tensordock(site("x", NOWHERE), off))

    located = await placements.sites(ProviderName.TENSORDOCK)

    assert [(one.site.id, one.country_code) for one in located] == [("x", None), ("off", "GB")]
    assert located[0].distance_km(DALLAS) is None
    assert located[1].distance_km(DALLAS) == pytest.approx(7641, abs=1)


async def test_only_as_many_as_asked_for_are_returned(make_placements: Make) -> None:
    hosts = tensordock(*(site(f"h{number:03}", CHICAGO) for number in range(30)))

    ranked = await make_placements(hosts).rank(SWITCH, DALLAS, limit=3)

    assert ids(ranked) == ["h000", "h001", "h002"]


async def test_a_console_without_a_gpu_is_described_by_its_processors(make_placements: Make) -> None:
    (only,) = await make_placements(tensordock(site("j", JOPLIN))).rank(CONSOLES[ConsoleType.NES], DALLAS)

    assert "2 vCPU, 4 GB RAM, no GPU" in only.reasons
