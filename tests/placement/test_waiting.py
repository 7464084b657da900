"""The ranking weighs how long players wait: a setting decides against how much distance and money."""

from __future__ import annotations

import pytest

from models.catalog import CONSOLES, ConsoleType, PresetName
from models.database import Database
from placement.coordinates import Position
from placement.geocoding import Geocoder
from placement.ranking import Placements, Weights
from placement.scoring import UsualWaits
from providers.base import Place, ProviderName
from providers.registry import Registry
from tests.fakes.cloud import FakeCloud, site

DALLAS = Position(32.7767, -96.7970)
# Chicago is some 1,300 km from Dallas: 19.4 ms by the estimate.
SITES = [
    site("dallas", Place("Dallas", "Texas", "United States")),
    site("chicago", Place("Chicago", "Illinois", "United States")),
]


class Waits:
    """A player waits 30 minutes in Dallas, and 10 elsewhere."""

    async def usual_waits(self, provider: ProviderName, preset: PresetName) -> UsualWaits:
        return UsualWaits(elsewhere_s=600, by_site_s={"dallas": 1800})


async def ranked(db: Database, per_minute: float, near: Position | None = DALLAS) -> list[tuple[str, float]]:
    placements = Placements(
        db,
        Registry([FakeCloud(sites=SITES)]),
        Geocoder(db, online=False),
        Weights(per_waiting_minute=per_minute),
        waiting=Waits(),
    )
    found = await placements.rank(CONSOLES[ConsoleType.WII], near)
    return [(each.located.site.id, each.score) for each in found]


@pytest.mark.parametrize(("per_minute", "first"), [(0, "dallas"), (0.9, "dallas"), (1, "chicago"), (5, "chicago")])
async def test_a_shorter_wait_beats_distance_as_its_weight_says(db: Database, per_minute: float, first: str) -> None:
    assert (await ranked(db, per_minute))[0][0] == first


async def test_each_minute_adds_its_weight_to_the_score(db: Database) -> None:
    without, weighed = dict(await ranked(db, 0)), dict(await ranked(db, 2))

    added = {name: round(weighed[name] - without[name], 6) for name in without}
    assert added == {"dallas": 60, "chicago": 20}


async def test_waiting_counts_without_a_position_too(db: Database) -> None:
    assert [name for name, _ in await ranked(db, 1, near=None)] == ["chicago", "dallas"]


async def test_the_reasons_say_how_long_players_wait(db: Database) -> None:
    placements = Placements(
        db,
        Registry([FakeCloud(sites=SITES)]),
        Geocoder(db, online=False),
        Weights(per_waiting_minute=1),
        waiting=Waits(),
    )

    first, second = await placements.rank(CONSOLES[ConsoleType.WII], DALLAS)

    assert "usually playable in 10 minutes" in first.reasons
    assert "usually playable in 30 minutes" in second.reasons
