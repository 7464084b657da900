"""In how many seconds a game will be playable, from our own launches; where those are few, from published figures.

A 90th percentile needs nine launches: with fewer, the slowest one says less than that. Below nine at a site, all
launches at its provider count; below nine there, the published figures are used, raised to the slowest launch of our
own. Nothing is known of machines that are there already before the ninth one.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Final

from errors import ConflictError
from models.catalog import PresetName
from models.database import DESCENDING, Database
from models.launch_times import LaunchTime, PlayableBasis, PlayablePromise
from models.launches import Launch, LaunchStepName, StepStatus
from models.vms import Vm
from models.warm_machines import WarmMachine, WarmStatus
from placement.scoring import UsualWaits
from providers.base import ProviderName

_ENOUGH: Final = 9
_NEWEST: Final = 2000
_NO_OLDER: Final = timedelta(days=90)
_MEMORY_S: Final = 30.0
_READY_MEMORY_S: Final = 5.0
_WHERE: Final = frozenset({"provider", "place", "preset"})
_COLUMNS: Final = frozenset({"provider", "site_id", "preset", "warm", "seconds", "ready_at"})
# Seconds from the request to a playable game on a new machine, median and 90th percentile, as added up from what others
# have published. TensorDock: an order of 12 s, an address after 18 s, cloud-init of 75 s, 210 s of unattended-upgrades
# (its users' reports), and the 420 s of Ansible that CloudyPad's documentation shows. Google: 33 s from the request to
# SSH (Compute Engine users' measurements), 19 s and 420 s of CloudyPad's recorded run. The slow end is the 20 to 30
# minutes that CloudyPad's developers note for a set-up with Ansible (February 2026).
PUBLIC_FIGURES: Final = {ProviderName.TENSORDOCK: (735.0, 1800.0), ProviderName.CLOUDYPAD: (472.0, 1800.0)}


@dataclass(frozen=True, slots=True)
class PastTime:
    """How long one launch took."""

    provider: ProviderName
    site_id: str
    preset: PresetName
    warm: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class History:
    """The launches that count, and what they say about the next one."""

    launches: Sequence[PastTime] = ()

    def usual_waits(self, provider: ProviderName, preset: PresetName) -> UsualWaits:
        """Return the median times until a game is playable on a new machine."""
        cold = self._alike(provider, preset, warm=False)
        by_site: dict[str, list[float]] = defaultdict(list)
        for each in cold:
            by_site[each.site_id].append(each.seconds)
        p50, _ = PUBLIC_FIGURES[provider]
        return UsualWaits(
            elsewhere_s=median([each.seconds for each in cold]) if len(cold) >= _ENOUGH else p50,
            by_site_s={site: median(seconds) for site, seconds in by_site.items() if len(seconds) >= _ENOUGH},
        )

    def expected(
        self, provider: ProviderName, site_id: str, preset: PresetName, *, warm: bool
    ) -> PlayablePromise | None:
        """Return what can be promised there, or None if nothing is known."""
        alike = self._alike(provider, preset, warm=warm)
        at_site = [each.seconds for each in alike if each.site_id == site_id]
        anywhere = [each.seconds for each in alike]
        if len(at_site) >= _ENOUGH:
            return _promise(at_site, PlayableBasis.SITE, warm=warm)
        if len(anywhere) >= _ENOUGH:
            return _promise(anywhere, PlayableBasis.PROVIDER, warm=warm)
        return None if warm else _published(provider, anywhere)

    def _alike(self, provider: ProviderName, preset: PresetName, *, warm: bool) -> list[PastTime]:
        return [
            each for each in self.launches if each.provider is provider and each.preset is preset and each.warm is warm
        ]


class PlayableTimes:
    """Remembers our launches for half a minute, and where warm machines are ready for some seconds."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._history = History()
        self._read_at = -math.inf
        self._ready: frozenset[tuple[ProviderName, str, PresetName]] = frozenset()
        self._ready_read_at = -math.inf
        self._reading = asyncio.Lock()  # callers that come together share one read

    async def usual_waits(self, provider: ProviderName, preset: PresetName) -> UsualWaits:
        """Return the median times until a game is playable on a new machine."""
        return (await self._known()).usual_waits(provider, preset)

    async def expected(
        self, provider: ProviderName, site_id: str, preset: PresetName, *, warm: bool = False
    ) -> PlayablePromise | None:
        """Return what can be promised there, or None if nothing is known."""
        return (await self._known()).expected(provider, site_id, preset, warm=warm)

    async def expected_now(self, provider: ProviderName, site_id: str, preset: PresetName) -> PlayablePromise | None:
        """Return what can be promised for a launch there now: on a warm machine if one is ready, else on a new one."""
        if (provider, site_id, preset) in await self._warm_sites():
            promise = await self.expected(provider, site_id, preset, warm=True)
            if promise is not None:
                return promise
        return await self.expected(provider, site_id, preset)

    async def promise(self, launch: Launch, promise: PlayablePromise | None) -> None:
        """Record what is promised for a launch, once."""
        if promise is not None:
            unpromised = {"_id": launch.id, "promises.0": {"$exists": False}}
            await self._db.update(Launch, unpromised, {"$set": {"promises": [promise.model_dump_doc()]}})

    async def record(self, launch_id: str, ready_at: datetime) -> None:
        """Record how long a launch took, once however often this is called."""
        launch = await self._db.get(Launch, launch_id)
        vm = None if launch is None else await self._db.get(Vm, launch.vm_id)
        if launch is None or vm is None:
            return
        created = launch.steps[list(LaunchStepName).index(LaunchStepName.CREATE_VM)]
        taken = LaunchTime(
            id=launch.id,
            provider=vm.provider,
            site_id=vm.place.site_id,
            preset=vm.preset,
            warm=created.status is StepStatus.SKIPPED,
            seconds=(ready_at - launch.requested_at).total_seconds(),
            ready_at=ready_at,
            promised_p90_seconds=None if launch.promise is None else launch.promise.p90_seconds,
        )
        try:
            await self._db.insert(taken)
        except ConflictError:
            return  # recorded by an earlier attempt

    async def _warm_sites(self) -> frozenset[tuple[ProviderName, str, PresetName]]:
        async with self._reading:
            if time.monotonic() - self._ready_read_at > _READY_MEMORY_S:
                ready, _ = await self._db.find_readable(WarmMachine, {"status": WarmStatus.READY}, columns=_WHERE)
                self._ready = frozenset((each.provider, each.place.site_id, each.preset) for each in ready)
                self._ready_read_at = time.monotonic()
            return self._ready

    async def _known(self) -> History:
        async with self._reading:
            return await self._read_history()

    async def _read_history(self) -> History:
        if time.monotonic() - self._read_at > _MEMORY_S:
            since = datetime.now(UTC) - _NO_OLDER
            newest: list[dict[str, Any]] = [
                {"$match": {"ready_at": {"$gte": since}}},
                {"$sort": {"ready_at": DESCENDING}},
                {"$limit": _NEWEST},
                {"$project": dict.fromkeys(_COLUMNS, 1)},
            ]
            rows = await self._db.aggregate(LaunchTime, newest)
            self._history = History([taken for row in rows if (taken := _past_time(row)) is not None])
            self._read_at = time.monotonic()
        return self._history


def _past_time(row: dict[str, Any]) -> PastTime | None:
    """Return a record's part in the figures; None if this version cannot read it."""
    try:
        provider, preset, seconds = ProviderName(row["provider"]), PresetName(row["preset"]), float(row["seconds"])
        return PastTime(provider, row["site_id"], preset, row["warm"], seconds)
    except (KeyError, ValueError, TypeError):
        return None


def _promise(seconds: Sequence[float], basis: PlayableBasis, *, warm: bool) -> PlayablePromise:
    return PlayablePromise(
        p50_seconds=round(median(seconds), 1),
        p90_seconds=round(percentile_90(seconds), 1),
        samples=len(seconds),
        basis=basis,
        warm=warm,
    )


def _published(provider: ProviderName, seconds: Sequence[float]) -> PlayablePromise:
    p50, p90 = PUBLIC_FIGURES[provider]
    return PlayablePromise(
        p50_seconds=p50,
        p90_seconds=round(max(p90, *seconds), 1) if seconds else p90,
        samples=len(seconds),
        basis=PlayableBasis.PUBLIC_FIGURES,
        warm=False,
    )


def percentile_90(seconds: Sequence[float]) -> float:
    """Return the value within which the next one falls with a probability of at least 90 %, from nine values on.

    Of n values in order it is number 0.9 (n + 1), rounded up.
    """
    rank = min(len(seconds), math.ceil(0.9 * (len(seconds) + 1) - 1e-9))
    return sorted(seconds)[rank - 1]
