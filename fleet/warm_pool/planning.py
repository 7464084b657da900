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
from errors import ConflictError, GatewayError, UnavailableError
from fleet.warm_pool.budget import Budget, committed, most_of, over_ceiling, read_spent_today
from fleet.warm_pool.forecast import PastLaunches, Spot, count_consoles, forecast, machines_wanted
from fleet.warm_pool.holding import Holding, KnownWorkflows
from fleet.warm_pool.messages import PoolRound, PoolWork
from fleet.warm_pool.metering import WarmMeter
from fleet.warm_pool.offers import Offers
from models.catalog import consoles
from models.database import Database
from models.operator_alerts import OperatorAlertCode
from models.usage import UsageState
from models.warm_machines import OPEN, POOL_ID, WarmMachine, WarmPool, WarmStatus
from placement.ranking import Placements
from placement.unavailable_sites import EVERY_SITE, FullSites
from providers.base import Machine, MachineId, MachineState, ProviderName
from providers.registry import Registry
from providers.tags import belongs_to

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
                machine.status = WarmStatus.TAKEN
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
        launched = await count_consoles(self._db, pool.now)
        offers = Offers(self._registry, self._placements, self._deployment, await consoles(self._db), launched)
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


def _spot(machine: WarmMachine) -> Spot:
    return Spot(machine.provider, machine.place.site_id, machine.preset)
