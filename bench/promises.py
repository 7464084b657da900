"""Whether nine of ten launches are playable within the time that was promised for them.

    python -m bench.promises [--launches 1000] [--warm-up 200] [--seed 1]

Simulates launches one after another with random delays around the public figures, as in simulator/delays.py, and with
faults: full sites, machines that fail, slow package mirrors, and hardware of warm machines that was given away. Each
launch is promised what launch.playable_time says from the launches before it, and then takes its time. Launches of the
warm-up are not counted. The exit status is 1 if the share of promises kept is not 90 % within 3 points.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from launch.playable_time import History, PastTime
from models.catalog import PresetName
from models.launch_times import PlayableBasis
from providers.base import ProviderName

_NEWEST: Final = 2000
_WANTED, _TOLERATED = 0.90, 0.03
_SITES: Final = {
    ProviderName.TENSORDOCK: ("dallas", "chicago", "tallinn", "warsaw", "singapore", "rare"),
    ProviderName.CLOUDYPAD: ("us-central1", "europe-west4", "asia-southeast1"),
}
_WEIGHTS: Final = (8, 6, 4, 3, 2, 1)  # how often launches go to each site
_PRESETS: Final = (PresetName.RETRO, PresetName.PREMIUM)
_FULL, _FAILS, _SLOW_MIRROR, _GIVEN_AWAY = 0.04, 0.02, 0.03, 0.05
_IS_WARM: Final = 0.2


@dataclass(frozen=True, slots=True)
class Outcome:
    """A launch with a promise: whether it was kept, and what it was based on."""

    kept: bool
    basis: PlayableBasis
    provider: ProviderName
    warm: bool


def simulate(launches: int, warm_up: int, seed: int) -> list[Outcome]:
    """Return the outcomes of the launches after the warm-up that had a promise."""
    random = Random(seed)  # noqa: S311 - not a secret
    past: list[PastTime] = []
    outcomes: list[Outcome] = []
    for number in range(warm_up + launches):
        wanted = _wanted(random)
        promise = History(past[-_NEWEST:]).expected(wanted.provider, wanted.site_id, wanted.preset, warm=wanted.warm)
        taken = _take(random, wanted)
        if promise is not None and number >= warm_up:
            kept = taken.seconds <= promise.p90_seconds
            outcomes.append(Outcome(kept, promise.basis, wanted.provider, wanted.warm))
        past.append(taken)
    return outcomes


def kept_share(outcomes: list[Outcome]) -> float:
    """Return the share of promises that were kept."""
    return sum(each.kept for each in outcomes) / len(outcomes)


def _wanted(random: Random) -> PastTime:
    """Return where a launch is to go; its time is not known yet."""
    provider = random.choice(list(ProviderName))
    sites = _SITES[provider]
    site = random.choices(sites, _WEIGHTS[: len(sites)])[0]
    return PastTime(provider, site, random.choice(_PRESETS), random.random() < _IS_WARM, seconds=0.0)


def _take(random: Random, wanted: PastTime) -> PastTime:
    """Return the launch as it went: perhaps elsewhere, and perhaps on a new machine after all."""
    seconds, site, warm = 0.0, wanted.site_id, wanted.warm
    if warm:
        seconds += random.uniform(20, 45) + random.lognormvariate(2.7, 0.3)
        if random.random() >= _GIVEN_AWAY:
            return PastTime(wanted.provider, site, wanted.preset, True, seconds)
        warm = False
    while random.random() < _FULL:
        seconds += random.uniform(5, 40)
        site = random.choice(_SITES[wanted.provider])
    while random.random() < _FAILS:
        seconds += _set_up(random, wanted.provider) * random.uniform(0.3, 1.0)
    return PastTime(wanted.provider, site, wanted.preset, warm, seconds + _set_up(random, wanted.provider))


def _set_up(random: Random, provider: ProviderName) -> float:
    """Return how long a new machine takes from its order until it plays."""
    return sum(_phases(random, provider))


def _phases(random: Random, provider: ProviderName) -> Iterator[float]:
    if provider is ProviderName.TENSORDOCK:
        yield 12 + random.expovariate(1 / 4)
        yield random.uniform(5, 30)
        yield random.uniform(60, 90)
        yield random.uniform(120, 300)  # unattended-upgrades
    else:
        yield 19 + random.uniform(23, 42)
    yield 420 * random.lognormvariate(0, 0.15)
    if random.random() < _SLOW_MIRROR:
        yield random.uniform(60, 600)


def _print(outcomes: list[Outcome]) -> None:
    by_kind = Counter((each.provider, each.warm, each.basis) for each in outcomes)
    for (provider, warm, basis), count in sorted(by_kind.items()):
        alike = [each for each in outcomes if (each.provider, each.warm, each.basis) == (provider, warm, basis)]
        kind = "warm" if warm else "new"
        print(f"{provider:<11} {kind:<5} {basis:<15} {count:>5} launches  {kept_share(alike):6.1%} kept")
    print(f"{'all':<33} {len(outcomes):>5} launches  {kept_share(outcomes):6.1%} kept")


def main() -> int:
    """Run the bench and return the exit status."""
    parser = argparse.ArgumentParser(description="Check how many promises of the playable time are kept.")
    parser.add_argument("--launches", type=int, default=1000)
    parser.add_argument("--warm-up", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    outcomes = simulate(arguments.launches, arguments.warm_up, arguments.seed)
    _print(outcomes)
    return 0 if abs(kept_share(outcomes) - _WANTED) <= _TOLERATED else 1


if __name__ == "__main__":
    sys.exit(main())
