"""Chooses the machines of the warm pool that a launch may take: those that beat the best new machine.

Both are scored as placements are, by distance, price and waiting, so that a machine that is ready far away does not win
over a new one nearby. Of equal machines, the one that has been ready for longest is the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from launch.playable_time import PlayableTimes
from models.catalog import Console
from models.database import Database
from models.golden_images import BUILDER
from models.launches import Launch
from models.warm_machines import WarmMachine, WarmStatus
from placement.coordinates import Position
from placement.distance import distance_km, estimated_rtt_ms
from placement.ranking import RankedPlacement, Weights
from providers.base import SiteId
from providers.tags import belongs_to

_AT_MOST: Final = 5  # another launch may take the first ones
_USUAL_WAIT_S: Final = 60.0  # of a machine that is only started, until launches of our own say more


class WarmChoice:
    def __init__(self, db: Database, playable: PlayableTimes, weights: Weights, deployment: str) -> None:
        self._db = db
        self._playable = playable
        self._weights = weights
        self._deployment = deployment

    async def choose(self, launch: Launch, wanted: Console, ranked: Sequence[RankedPlacement]) -> tuple[str, ...]:
        """Return the ids of machines to try, the best first.

        There are none for machines that disk images are made from: each must have the full set-up, at its location.
        """
        if launch.user_id == BUILDER:
            return ()
        ready, _ = await self._db.find_readable(WarmMachine, {"status": WarmStatus.READY}, sort=[("created_at", 1)])
        may = [each for each in ready if self._is_allowed(each, launch, wanted)]
        if not may:
            return ()
        best = None if not ranked else await self._score_new(ranked[0], wanted)
        scored = [(score, each.id) for each in may if (score := await self._score(each, launch)) is not None]
        better = sorted((each for each in scored if best is None or each[0] <= best), key=lambda each: each[0])
        return tuple(machine_id for _, machine_id in better[:_AT_MOST])

    def _is_allowed(self, machine: WarmMachine, launch: Launch, wanted: Console) -> bool:
        """Return whether the machine is of the right kind and within every limit of the launch and the console."""
        price = machine.usd_per_hour + machine.usd_per_hour_egress
        allowed = [
            each.max_usd_per_hour
            for each in wanted.providers
            if each.enabled and each.provider is machine.provider and launch.provider in {None, machine.provider}
        ]
        if not allowed or machine.preset is not wanted.preset.name or not belongs_to(machine.tag, self._deployment):
            return False
        return all(most is None or price <= most for most in (*allowed, launch.max_usd_per_hour))

    async def _score_new(self, placement: RankedPlacement, wanted: Console) -> float:
        """Return the score of a new machine there."""
        offer = placement.offer
        waits = await self._playable.usual_waits(offer.provider, wanted.preset.name)
        rtt_ms = placement.estimated_rtt_ms if placement.measured_rtt_ms is None else placement.measured_rtt_ms
        return self._weights.score(rtt_ms or 0.0, offer.usd_per_hour, waits.at(offer.site_id))

    async def _score(self, machine: WarmMachine, launch: Launch) -> float | None:
        """Return the score of a machine that is ready; None if its distance is unknown."""
        place, rtt_ms = machine.place, 0.0
        measured_ms = launch.measured.get((machine.provider, SiteId(place.site_id)))
        if measured_ms is not None:
            rtt_ms = measured_ms
        elif launch.latitude is not None and launch.longitude is not None:
            if place.latitude is None or place.longitude is None:
                return None
            near = Position(launch.latitude, launch.longitude)
            km = distance_km(near, Position(place.latitude, place.longitude))
            rtt_ms = float(estimated_rtt_ms(np.array([km]))[0])
        known = await self._playable.expected(machine.provider, place.site_id, machine.preset, warm=True)
        waiting_s = _USUAL_WAIT_S if known is None else known.p50_seconds
        return self._weights.score(rtt_ms, machine.usd_per_hour + machine.usd_per_hour_egress, waiting_s)
