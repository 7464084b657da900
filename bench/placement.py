"""Time to rank 50,000 hosts for one player, beside a plain loop over the same hosts.

    python -m bench.placement [--hosts 50000] [--rounds 20] [--write]

Ranks the ten best of a simulated stock for players at random positions, in turns with a loop that computes each
distance with geopy's `great_circle` and sorts all scores. Both name the same hosts. The database is the embedded one;
reading which sites are full is part of the time. `--write` adds the table to bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

from geopy.distance import great_circle

from bench.costs import server
from bench.execution import git
from bench.side_by_side import RESULTS
from models.catalog import CONSOLES, ConsoleType
from models.database import Database
from models.registry import DOCUMENTS
from placement.coordinates import Position
from placement.distance import estimated_rtt_ms
from placement.geocoding import Geocoder
from placement.located_site import LocatedSite
from placement.ranking import Placements
from placement.scoring import DEFAULT_WEIGHTS
from providers.base import Place, ProviderName, Site
from providers.registry import Registry
from tests.fakes.cloud import FakeCloud, site

_HEADING: Final = "## Placement\n"
_BEST: Final = 10
_CONSOLE: Final = CONSOLES[ConsoleType.WII]
_CITIES: Final = [
    Place("Dallas", "Texas", "United States"),
    Place("Chicago", "Illinois", "United States"),
    Place("Joplin", "Missouri", "United States"),
    Place("New York City", "New York", "United States"),
    Place("London", "England", "United Kingdom"),
    Place("Warsaw", "Mazovia", "Poland"),
    Place("Mumbai", "Maharashtra", "India"),
    Place("Tokyo", "Tokyo", "Japan"),
    Place("São Paulo", "São Paulo", "Brazil"),
    Place("Sydney", "New South Wales", "Australia"),
]


class Cloud(FakeCloud):
    """A cloud that hands out the same tuple until its stock changes, as the real adapters do."""

    def __init__(self, sites: Sequence[Site]) -> None:
        super().__init__(ProviderName.TENSORDOCK)
        self._listed = tuple(sites)

    async def sites(self) -> Sequence[Site]:
        return self._listed


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--write", action="store_true", help="add the table to bench/RESULTS.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-placement-") as folder, server(Path(folder)) as uri:
        table = asyncio.run(measure(uri, arguments.hosts, arguments.rounds))
    print(table)
    if arguments.write:
        write(table)


async def measure(uri: str, hosts: int, rounds: int) -> str:
    """Return a table of the time that a ranking of so many hosts takes."""
    random = Random(7)  # noqa: S311 - the same players in every run
    stock = [site(f"host-{n:05}", random.choice(_CITIES), f"{random.uniform(0.2, 2):.4f}") for n in range(hosts)]
    db = Database(uri, "bench", timeout_s=60)
    await db.ensure_indexes(DOCUMENTS)
    cloud, geocoder = Cloud(stock), Geocoder(db)
    placements = Placements(db, Registry([cloud]), geocoder)
    first_ms = (await _rank(placements, Position(0, 0)))[1]
    located = await placements.sites(ProviderName.TENSORDOCK)
    ours, plain = [], []
    for _ in range(rounds):
        near = Position(random.uniform(-60, 70), random.uniform(-180, 180))
        ranked, ours_ms = await _rank(placements, near)
        looped, plain_ms = _loop(cloud, located, near)
        assert ranked == looped, "both rank alike"
        ours.append(ours_ms)
        plain.append(plain_ms)
    await geocoder.close()
    await db.close()
    return _report(hosts, first_ms, ours, plain)


async def _rank(placements: Placements, near: Position) -> tuple[list[str], float]:
    begun = time.perf_counter()
    ranked = await placements.rank(_CONSOLE, near, limit=_BEST)
    return [one.located.site.id for one in ranked], (time.perf_counter() - begun) * 1000


def _loop(cloud: Cloud, located: Sequence[LocatedSite], near: Position) -> tuple[list[str], float]:
    """Rank in the plainest way: every distance by geopy, every score, and a sort."""
    begun = time.perf_counter()
    scores = []
    for one in located:
        offer = cloud.offer(one.site, _CONSOLE.preset.shape)
        if offer is None or one.position is None:
            continue
        km = great_circle((near.latitude, near.longitude), (one.position.latitude, one.position.longitude)).km
        price_ms = DEFAULT_WEIGHTS.per_usd_per_hour * float(offer.usd_per_hour)
        scores.append((round(float(estimated_rtt_ms(km)) + price_ms, 1), offer.usd_per_hour, one.site.id))
    scores.sort()
    return [name for _, _, name in scores[:_BEST]], (time.perf_counter() - begun) * 1000


def _report(hosts: int, first_ms: float, ours: list[float], plain: list[float]) -> str:
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}"
    ratio = statistics.median(plain) / statistics.median(ours)
    return "\n".join(
        [
            f"Commit {git('rev-parse', '--short', 'HEAD')}, {machine}.",
            f"{len(ours)} rounds in turns over {hosts:,} hosts.",
            f"The first request after the stock has changed prices every host, in {first_ms:.0f} ms.",
            "",
            "| ranked by | median ms (least to most) | times faster than the loop |",
            "|---|---|---|",
            f"| this gateway | {_spread(ours)} | {ratio:.0f} |",
            f"| a loop over geopy's great_circle | {_spread(plain)} | 1 |",
        ]
    )


def _spread(times: list[float]) -> str:
    return f"{statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f})"


def write(table: str) -> None:
    """Replace this section of the results."""
    text = RESULTS.read_text(encoding="utf-8")
    before, _, after = text.partition(_HEADING)
    _, heading, others = after.partition("\n## ")
    RESULTS.write_text(f"{before.rstrip()}\n\n{_HEADING}\n{table}\n{heading}{others}", encoding="utf-8")


if __name__ == "__main__":
    main()
