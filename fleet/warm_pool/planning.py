"""Plans the warm pool once a minute: rents what the forecast wants and the ceiling allows, and releases the rest.

A new machine is a record first, written together with a new revision of the pool. A plan that was made from an older
revision writes nothing, so that two planners never exceed the ceiling together.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from temporalio import activity

from billing.limits import SpendingLimits
from billing.operator_alerts import OperatorAlerts
from errors import ConflictError, GatewayError, ProviderError, UnavailableError
from fleet.warm_pool.budget import PREPARE_WITHIN, Budget, committed, most_of, over_ceiling, read_spent_today
from fleet.warm_pool.forecast import PastLaunches, Spot, count_consoles, forecast, machines_wanted
from fleet.warm_pool.holding import Holding, KnownWorkflows
from fleet.warm_pool.messages import PoolRound, PoolWork
from fleet.warm_pool.metering import WarmMeter
from models.catalog import Console, ConsoleType, consoles
from models.database import Database
from models.launches import new_id
from models.operator_alerts import OperatorAlertCode
from models.usage import UsageState
from models.vms import VmPlace
from models.warm_machines import OPEN, POOL_ID, WarmMachine, WarmPool, WarmStatus
from placement.ranking import LocatedSite, Placements
from placement.unavailable_sites import EVERY_SITE, FullSites
from providers.base import Machine, MachineId, MachineState, Offer, PricePart, ProviderName
from providers.registry import Registry
from providers.tags import belongs_to, tag_of

log = logging.getLogger(__name__)

_KEPT: Final = timedelta(hours=1)  # a machine that the forecast no longer wants
_OLDEST: Final = timedelta(days=1)  # afterwards its packages and images are out of date
_FAILED_FOR: Final = timedelta(hours=1)  # no new machine where one could not be made ready
_SEEN_EVERY: Final = timedelta(minutes=5)  # is written; a cloud is read in every round
_OFF: Final = frozenset({MachineState.STOPPED, MachineState.STOPPED_RELEASED, MachineState.STOPPING})


@dataclass(frozen=True, slots=True)
class _Pool:
    """The pool as one round found it."""

    settings: WarmPool
    ceiling_usd: Decimal  # 0 while spending is stopped
    machines: list[WarmMachine]  # open ones, the oldest first
    has_unreadable: bool  # there are more machines, of which even the price is unknown
    spent_today_usd: Decimal
    now: datetime

    @property
    def budget(self) -> Budget:
        return committed(self.spent_today_usd, self.machines, self.now)


class WarmPlanning:
    """The activity that plans. It may run on several workers at once."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        placements: Placements,
        workflows: KnownWorkflows,
        *,
        deployment: str = "main",
    ) -> None:
        self._db = db
        self._registry = registry
        self._placements = placements
        self._deployment = deployment
        self._limits = SpendingLimits(db)
        self._full_sites = FullSites(db)
        self._alerts = OperatorAlerts(db)
        self._past = PastLaunches(db)
        self._meter = WarmMeter(db)
        self._holding = Holding(db, workflows)

    @activity.defn(name="plan_warm_pool")
    async def plan(self, _: PoolRound) -> PoolWork:
        """Plan one round and return the machines that need a workflow."""
        return await self.plan_at(datetime.now(UTC))

    async def plan_at(self, now: datetime) -> PoolWork:
        """Plan as of this moment."""
        pool = await self._read(now)
        if pool.machines or pool.ceiling_usd:
            wanted = await self._wanted(pool)
            await self._release_strangers(pool)
            await self._release_surplus(pool, wanted)
            await self._rent(pool, wanted)
        at_work = {"status": {"$in": [WarmStatus.PREPARING, WarmStatus.RELEASING]}}
        found, _ = await self._db.find_readable(WarmMachine, at_work, columns=frozenset({"id", "tag"}))
        return PoolWork(tuple(sorted(each.id for each in found if belongs_to(each.tag, self._deployment))))

    async def _read(self, now: datetime) -> _Pool:
        """Read the pool's revision before everything that a decision is made from."""
        settings = await self._db.get(WarmPool, POOL_ID) or WarmPool(id=POOL_ID)
        ceiling = settings.ceiling_usd_per_day
        if ceiling and (await self._limits.find_must_stop(now)).everybody is not None:
            ceiling = Decimal(0)
        still_open = {"status": {"$in": sorted(OPEN)}}
        found, unreadable = await self._db.find_readable(WarmMachine, still_open, sort=[("created_at", 1)])
        # A database that was copied for another deployment has records of machines that are not its own.
        machines = [each for each in found if belongs_to(each.tag, self._deployment)]
        return _Pool(settings, ceiling, machines, bool(unreadable), await read_spent_today(self._db, now), now)

    async def _wanted(self, pool: _Pool) -> dict[Spot, int]:
        if not pool.ceiling_usd:
            return {}
        return machines_wanted(forecast(await self._past.read(pool.now), pool.now))

    async def _release_strangers(self, pool: _Pool) -> None:
        """Release machines that are not as the pool left them: gone, or on, which means that others used them."""
        for name in {each.provider for each in pool.machines if each.status is WarmStatus.READY}:
            try:
                listed = {each.id: each for each in await self._registry.get(name).machines()}
                ready = [each for each in pool.machines if each.provider is name and each.status is WarmStatus.READY]
                await self._record_there(ready, listed, pool.now)
                for machine in ready:
                    await self._check(machine, listed.get(MachineId(machine.provider_id or "")), pool.now)
            except GatewayError as error:
                log.warning("failed to check the warm pool", extra={"provider": name, "why": error.message})

    async def _record_there(
        self, ready: Sequence[WarmMachine], listed: Mapping[MachineId, Machine], now: datetime
    ) -> None:
        """Record of machines that are as the pool left them that their cloud has them now."""
        off = {machine_id for machine_id, machine in listed.items() if machine.state in _OFF}
        there = [each for each in ready if MachineId(each.provider_id or "") in off]
        due = [each.id for each in there if each.there_at is None or now - each.there_at >= _SEEN_EVERY]
        if due:
            guard = {"_id": {"$in": due}, "status": WarmStatus.READY}
            await self._db.update_many(WarmMachine, guard, {"$set": {"there_at": now}})

    async def _check(self, machine: WarmMachine, listed: Machine | None, now: datetime) -> None:
        if listed is not None and listed.state in _OFF | {MachineState.UNKNOWN}:
            return
        # Lists lag behind, so the machine itself is read as well.
        there = await self._registry.get(machine.provider).machine(MachineId(machine.provider_id or ""))
        if there is not None and there.state in _OFF | {MachineState.UNKNOWN}:
            return
        why = "it vanished" if there is None else f"it is {there.state}, not off"
        is_on = there is not None and there.state in {MachineState.RUNNING, MachineState.STARTING}
        await self._release(machine, why, on_since=now if is_on else None)

    async def _release_surplus(self, pool: _Pool, wanted: Mapping[Spot, int]) -> None:
        """Release what exceeds the ceiling, what is out of date, and what the forecast has not wanted for a while."""
        staying = [each for each in pool.machines if each.status in {WarmStatus.PREPARING, WarmStatus.READY}]
        for place in over_ceiling(staying, pool.budget, pool.ceiling_usd, pool.now):
            await self._release(staying[place], "the pool's ceiling is reached")
        kept: Counter[Spot] = Counter()
        for machine in staying:
            if machine.status is not WarmStatus.READY or machine.ready_at is None:
                continue
            kept[_spot(machine)] += 1
            if pool.now - machine.created_at > _OLDEST:
                await self._release(machine, "it is out of date")
            elif kept[_spot(machine)] > wanted.get(_spot(machine), 0) and pool.now - machine.ready_at > _KEPT:
                await self._release(machine, "fewer launches are expected")

    async def _release(self, machine: WarmMachine, why: str, *, on_since: datetime | None = None) -> None:
        """Let the machine leave the pool, unless a launch has taken it. From `on_since` on it costs its full price."""
        try:
            if await self._holding.is_held(machine.id):
                return
        except UnavailableError as error:
            log.warning("a warm machine is not released yet", extra={"warm": machine.id, "why": error.message})
            return
        stays = {"_id": machine.id, "status": {"$in": [WarmStatus.PREPARING, WarmStatus.READY]}}
        leaves = {"status": WarmStatus.RELEASING, "detail": why}

        async def write() -> WarmMachine | None:
            left = await self._db.update(WarmMachine, stays, {"$set": leaves})
            if left is not None and on_since is not None:
                await self._meter.record_state(left, UsageState.RUNNING, on_since)
            return left

        if await self._db.transaction(write) is not None:
            log.info("releasing warm machine", extra={"warm": machine.id, "why": why})
            machine.status = WarmStatus.RELEASING

    async def _rent(self, pool: _Pool, wanted: Mapping[Spot, int]) -> None:
        """Write the records of new machines, if no other planner has decided anything since the pool was read."""
        there = Counter(
            _spot(each) for each in pool.machines if each.status in {WarmStatus.PREPARING, WarmStatus.READY}
        )
        missing = [spot for spot, count in wanted.items() for _ in range(count - there[spot])]
        if not missing or pool.has_unreadable:
            return
        new = await self._choose(pool, missing)
        revision = {
            "_id": POOL_ID,
            "revision": pool.settings.revision,
            "ceiling_usd_per_day": pool.settings.ceiling_usd_per_day,
        }

        async def write() -> None:
            if await self._db.update(WarmPool, revision, {"$inc": {"revision": 1}}) is None:
                raise ConflictError("another planner has decided")
            await self._db.insert_many(new)

        if not new:
            return
        try:
            await self._db.transaction(write)
        except ConflictError as error:
            log.info("the warm pool is planned again", extra={"why": error.message})

    async def _choose(self, pool: _Pool, missing: Sequence[Spot]) -> list[WarmMachine]:
        """Return machines for as many of the spots as the ceiling allows, in their order."""
        offers = _Offers(self, await consoles(self._db), await count_consoles(self._db, pool.now))
        full = await self._full_sites.list_full()
        failed = await self._find_failed(pool.now)
        low = await self._find_low_balances()
        budget, new = pool.budget, list[WarmMachine]()
        for spot in missing:
            if (
                spot.provider in low
                or spot in failed
                or {(spot.provider, spot.site_id), (spot.provider, EVERY_SITE)} & full.sites
            ):
                continue
            machine = await offers.machine_at(spot, pool.now)
            if machine is None or not machine.usd_per_hour_stopped < machine.usd_per_hour:
                continue
            if (more := budget.plus(most_of(machine, pool.now))).is_within(pool.ceiling_usd):
                budget = more
                new.append(machine)
        return new

    async def _find_low_balances(self) -> set[ProviderName]:
        """Return the clouds whose prepaid balance is needed for players' machines."""
        code = OperatorAlertCode.BALANCE_LOW
        return {provider for provider in ProviderName if await self._alerts.is_open(code, provider)}

    async def _find_failed(self, now: datetime) -> set[Spot]:
        """Return where machines could not be made ready lately: trying again at once would cost the same again."""
        failed = {
            "created_at": {"$gte": now - _FAILED_FOR},
            "status": {"$in": [WarmStatus.RELEASING, WarmStatus.RELEASED]},
            "ready_at": None,
        }
        found, _ = await self._db.find_readable(WarmMachine, failed)
        return {_spot(each) for each in found}

    async def located_sites(self, provider: ProviderName) -> list[LocatedSite]:
        """Return the sites of a cloud; none if it does not respond."""
        try:
            return await self._placements.sites(provider)
        except (ProviderError, GatewayError) as error:
            log.warning("no warm machines at a failing provider", extra={"provider": provider, "why": error.message})
            return []

    def offer(self, site: LocatedSite, console: Console) -> Offer | None:
        """Return what the site asks for the console's machine."""
        return self._registry.get(site.site.provider).offer(site.site, console.preset.shape)

    def tag(self, machine_id: str) -> str:
        """Return the machine's name at its cloud."""
        return tag_of(self._deployment, machine_id)


class _Offers:
    """Makes records of machines from the clouds' offers. Each cloud is asked once."""

    def __init__(
        self, planning: WarmPlanning, known: Mapping[ConsoleType, Console], launched: Mapping[ConsoleType, int]
    ) -> None:
        self._planning = planning
        self._consoles = sorted(known.values(), key=lambda each: -launched.get(each.type, 0))
        self._sites: dict[ProviderName, dict[str, LocatedSite]] = {}

    async def machine_at(self, spot: Spot, now: datetime) -> WarmMachine | None:
        """Return a new record; None if the site has no such machine at a price that an operator allows."""
        console = next((each for each in self._consoles if _allows(each, spot)), None)
        site = (await self._sites_of(spot.provider)).get(spot.site_id)
        if console is None or site is None or not site.site.online:
            return None
        offer = self._planning.offer(site, console)
        most = next(each.max_usd_per_hour for each in console.providers if each.provider is spot.provider)
        if offer is None or (most is not None and offer.usd_per_hour > most):
            return None
        return _record(self._planning, offer, site, console, now)

    async def _sites_of(self, provider: ProviderName) -> Mapping[str, LocatedSite]:
        if provider not in self._sites:
            found = await self._planning.located_sites(provider)
            self._sites[provider] = {each.site.id: each for each in found}
        return self._sites[provider]


def _allows(console: Console, spot: Spot) -> bool:
    enabled = {each.provider for each in console.providers if each.enabled}
    return console.preset.name is spot.preset and spot.provider in enabled


def _record(planning: WarmPlanning, offer: Offer, site: LocatedSite, console: Console, now: datetime) -> WarmMachine:
    machine_id, place, position = new_id(), site.site.place, site.position
    egress = offer.usd_per_hour_for(PricePart.EGRESS)
    return WarmMachine(
        id=machine_id,
        tag=planning.tag(machine_id),
        provider=offer.provider,
        preset=console.preset.name,
        console=console.type,
        vcpus=offer.vcpus,
        ram_gb=offer.ram_gb,
        storage_gb=offer.storage_gb,
        gpu_model=offer.gpu_model,
        place=VmPlace(
            site_id=offer.site_id,
            city=place.city,
            region=place.region,
            country=place.country,
            country_code=site.country_code,
            latitude=None if position is None else position.latitude,
            longitude=None if position is None else position.longitude,
        ),
        usd_per_hour=offer.usd_per_hour - egress,
        usd_per_hour_stopped=offer.usd_per_hour_stopped,
        usd_per_hour_egress=egress,
        created_at=now,
        prepare_until=now + PREPARE_WITHIN,
    )


def _spot(machine: WarmMachine) -> Spot:
    return Spot(machine.provider, machine.place.site_id, machine.preset)
