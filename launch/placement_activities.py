"""Activities that choose where a launch runs: the player's own machine, or the best placements to rent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from temporalio import activity

from errors import (
    NoCapacityError,
    ProviderBusyError,
    ProviderDownError,
)
from fleet.inputs import VmRef
from fleet.messages import Command, CommandRequest, Done, RentOrder, SiteFacts
from fleet.service import MachineCommandClient
from launch.messages import Candidate, FullOffer, LaunchInput, OrderInput, Plan
from launch.own_machines import OwnMachines
from launch.playable_time import PlayableTimes
from launch.records import require_launch, require_launched_vm
from launch.warm_choice import WarmChoice
from models.catalog import Console, console
from models.database import Database
from models.launch_times import PlayablePromise
from models.launches import Launch
from models.vms import Vm, VmStatus
from models.warm_machines import WarmMachine
from placement.coordinates import Position
from placement.ranking import Placements, RankedPlacement
from providers.base import Offer, PricePart

_CANDIDATES = 10
_OF_EACH_CLOUD = 3  # at least, so that a launch can move to another cloud
_RANKED = 100


class PlacementActivities:
    def __init__(
        self,
        db: Database,
        placements: Placements,
        machines: MachineCommandClient,
        *,
        poll_s: float = 1.0,
        deployment: str = "main",
    ) -> None:
        """Set up the activities.

        `machines` sends commands to the machines' own workflows; `poll_s` is the pause while waiting for them. Only
        machines of `deployment` are reused.
        """
        self._db = db
        self._placements = placements
        self._machines = machines
        self._poll_s = poll_s
        self._own = OwnMachines(db, deployment)
        self._playable = PlayableTimes(db)
        self._warm = WarmChoice(db, self._playable, placements.weights, deployment)

    @activity.defn(name="choose")
    async def choose_placement(self, ticket: LaunchInput) -> Plan:
        """Return the player's own machine for this console, running or stopped, or else the ranked placements.

        What they promise the player is recorded.
        """
        launch = await require_launch(self._db, ticket.launch_id)
        plan = await self._plan(launch)
        await self._playable.promise(launch, await self._expected(launch, plan))
        return plan

    async def _expected(self, launch: Launch, plan: Plan) -> PlayablePromise | None:
        if plan.reuse_vm_id is not None:
            vm = await require_launched_vm(self._db, plan.reuse_vm_id)
            return await self._playable.expected(vm.provider, vm.place.site_id, vm.preset, warm=True)
        if plan.warm and (ready := await self._db.get(WarmMachine, plan.warm[0])) is not None:
            promised = await self._playable.expected(ready.provider, ready.place.site_id, ready.preset, warm=True)
            if promised is not None:
                return promised
        offer = plan.candidates[0].offer
        preset = (await console(self._db, launch.console)).preset.name
        return await self._playable.expected(offer.provider, offer.site_id, preset)

    async def _plan(self, launch: Launch) -> Plan:
        if (own := await self._own.find_running(launch)) is not None:
            # The player is about to use it, so it must not be stopped as idle now.
            await self._db.update(Vm, {"_id": own.id}, {"$set": {"last_activity_at": datetime.now(UTC)}})
            return Plan(message=f"Your machine in {own.place.city or own.place.country} is running", reuse_vm_id=own.id)
        wanted = await console(self._db, launch.console)
        asleep = await self._own.find_stopped(launch, wanted)
        ranked = await self._rank(launch, wanted)
        if asleep is not None:
            where = asleep.place.city or asleep.place.country
            return Plan(
                message=f"Your stopped machine in {where} is being started, which is faster than setting up a new one",
                candidates=tuple(map(_candidate, ranked)),
                reuse_vm_id=asleep.id,
                asleep=True,
            )
        if not ranked:
            refusal = await self._placements.explain_empty(
                wanted, provider=launch.provider, max_usd_per_hour=launch.max_usd_per_hour
            )
            raise NoCapacityError(refusal.message)
        first = ranked[0]
        return Plan(
            message=f"{_where(first)}: {'; '.join(first.reasons[:3])}",
            candidates=tuple(map(_candidate, ranked)),
            warm=await self._warm.choose(launch, wanted, ranked),
        )

    async def _rank(self, launch: Launch, wanted: Console) -> list[RankedPlacement]:
        near = None
        if launch.latitude is not None and launch.longitude is not None:
            near = Position(launch.latitude, launch.longitude)
        try:
            ranked = await self._placements.rank(
                wanted,
                near,
                provider=launch.provider,
                max_usd_per_hour=launch.max_usd_per_hour,
                limit=_RANKED,
                measured=launch.measured,
            )
        except ProviderDownError as error:
            raise ProviderBusyError(error.message) from error
        return with_every_cloud(ranked)

    @activity.defn(name="wake")
    async def wake(self, ref: VmRef) -> Done:
        """Let the machine's own workflow start it and wait until it runs.

        Raises NoCapacityError if it cannot be started.
        """
        if not (
            await self._machines.ask_machine(ref.vm_id, CommandRequest(Command.START, "a launch needs it"))
        ).accepted:
            raise NoCapacityError("it cannot be started now")
        while True:
            vm = await require_launched_vm(self._db, ref.vm_id)
            if vm.status is VmStatus.RUNNING:
                return Done("Your machine runs again")
            if vm.status is not VmStatus.STARTING:
                raise NoCapacityError(vm.detail or "it could not be started")
            await asyncio.sleep(self._poll_s)

    @activity.defn(name="order")
    async def prepare_order(self, wish: OrderInput) -> RentOrder:
        """Return the order for a candidate, with the console's preset and the limits of the launch."""
        chosen, candidate = wish.step, wish.candidate
        launch = await require_launch(self._db, chosen.launch_id)
        wanted = await console(self._db, launch.console)
        return RentOrder(
            vm_id=chosen.vm_id,
            launch_id=launch.id,
            user_id=launch.user_id,
            console=launch.console,
            preset=wanted.preset.name,
            game_id=launch.game_id,
            offer=candidate.offer,
            site=candidate.site,
            idle_stop_minutes=launch.idle_stop_minutes,
            max_session_hours=launch.max_session_hours,
        )

    @activity.defn(name="remember_full")
    async def record_full_offer(self, full: FullOffer) -> None:
        await self._placements.mark_offer_full(full.candidate.offer, full.reason)


def with_every_cloud(ranked: Sequence[RankedPlacement]) -> list[RankedPlacement]:
    """Return the best placements, followed by the best of each cloud that has too few among them."""
    chosen = list(ranked[:_CANDIDATES])
    for placement in ranked[_CANDIDATES:]:
        if sum(each.offer.provider is placement.offer.provider for each in chosen) < _OF_EACH_CLOUD:
            chosen.append(placement)
    return chosen


def for_earlier_builds(offer: Offer) -> Offer:
    """Return the offer with only the price parts that builds before the external address know.

    The address counts as disk, which a stopped machine pays for too. A launch itself needs only the traffic.
    """
    extra = offer.usd_per_hour_for(PricePart.ADDRESS)
    if not extra:
        return offer
    lines = tuple(
        replace(line, usd_per_hour=line.usd_per_hour + extra) if line.part is PricePart.DISK else line
        for line in offer.lines
        if line.part is not PricePart.ADDRESS
    )
    return replace(offer, lines=lines)


def _candidate(placement: RankedPlacement) -> Candidate:
    located, position = placement.located, placement.located.position
    place = located.site.place
    return Candidate(
        offer=for_earlier_builds(placement.offer),
        site=SiteFacts(
            city=place.city,
            region=place.region,
            country=place.country,
            country_code=located.country_code,
            latitude=None if position is None else position.latitude,
            longitude=None if position is None else position.longitude,
        ),
        reasons=placement.reasons,
    )


def _where(placement: RankedPlacement) -> str:
    place = placement.located.site.place
    return place.city or place.region or place.country or "Somewhere"
