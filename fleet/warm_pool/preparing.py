"""Rents a machine for the warm pool, sets it up and turns it off. Every step may be repeated.

Only the newest attempt may order, start or stop, and only while the record is PREPARING: the intent is written before
the order. What is rented is metered from its order on, and turned off only once everything is on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol, TypeVar

from temporalio import activity

from errors import MachineLostError, NoCapacityError, ProviderBusyError, ProviderRefusedError
from fleet.warm_pool.budget import DELETED_WITHIN
from fleet.warm_pool.holding import Holding, KnownWorkflows
from fleet.warm_pool.messages import WarmMachineInput
from fleet.warm_pool.metering import WarmMeter
from models.catalog import console
from models.database import Database, Document
from models.usage import UsageState
from models.warm_machines import WarmMachine, WarmStatus
from placement.unavailable_sites import FullSites
from providers.base import Machine, MachineId, MachineState, Offer, ProgressCallback, Provider, SiteId, Tag, no_progress
from providers.registry import Registry
from streaming.addresses import Address
from streaming.apps import GameToPlay
from streaming.emulator_images import EmulatorImages

T = TypeVar("T")

_HTTPS, _HTTP, _RTSP, _SSH = 47984, 47989, 48010, 22
_SUPERSEDED: Final = "superseded: a newer attempt prepares this machine, or it is no longer wanted"
_COMING: Final = {MachineState.CREATING, MachineState.STARTING, MachineState.RUNNING, MachineState.UNKNOWN}


class SetUp(Protocol):
    """The operations on a machine over SSH that its preparation needs. Each may be repeated."""

    async def read_host_key(self, address: Address) -> str: ...
    async def install(self, address: Address, tag: str, report: ProgressCallback) -> None: ...
    async def pull_image(self, address: Address, game: GameToPlay, report: ProgressCallback) -> None: ...
    async def arm_shutdown_timer(self, address: Address, after_s: float) -> None: ...


class WarmPreparing:
    """The activity that makes a machine of the pool ready."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        streaming: SetUp,
        images: EmulatorImages,
        workflows: KnownWorkflows,
        *,
        settle_s: float,
        poll_s: float = 2.0,
        billed_s: float = 300.0,
    ) -> None:
        """Set up the activity.

        `settle_s`: how long after its permit an order may be missing from lists. `billed_s`: how long a machine that is
        off may be billed in full until its hardware is given back.
        """
        self._db = db
        self._registry = registry
        self._streaming = streaming
        self._images = images
        self._meter = WarmMeter(db)
        self._holding = Holding(db, workflows)
        self._full_sites = FullSites(db)
        self._settle = timedelta(seconds=settle_s)
        self._poll_s = poll_s
        self._billed = timedelta(seconds=billed_s)

    @activity.defn(name="prepare_warm")
    async def prepare(self, wanted: WarmMachineInput) -> None:
        """Make the machine READY. Do nothing unless it is PREPARING.

        Raises MachineLostError if it is not ready in time, is no longer wanted or costs more than offered,
        NoCapacityError if nothing was rented, and ProviderBusyError if another attempt has taken over.
        """
        machine = await self._db.get(WarmMachine, wanted.machine_id)
        if machine is None or machine.status is not WarmStatus.PREPARING or await self._holding.is_held(machine.id):
            return
        left_s = (machine.prepare_until - _now()).total_seconds()
        try:
            async with asyncio.timeout(max(0.0, left_s)) as limit:
                mine = await self._claim(machine.id)
                await self._while_wanted(mine, self._prepare(mine))
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise MachineLostError("it was not ready in time") from error

    async def _prepare(self, machine: WarmMachine) -> None:
        provider = self._registry.get(machine.provider)
        machine = await self._rent(provider, machine)
        machine = await self._boot(provider, machine)
        await self._set_up(machine)
        await self._turn_off(provider, machine)

    async def _claim(self, machine_id: str) -> WarmMachine:
        """Make this attempt the newest one."""
        turn = _turn()
        claim = {"_id": machine_id, "status": WarmStatus.PREPARING, "order_turn": {"$lt": turn}}
        mine = await self._db.update(WarmMachine, claim, {"$set": {"order_turn": turn}})
        if mine is None:
            raise ProviderBusyError(_SUPERSEDED)
        return mine

    async def _while_wanted(self, mine: WarmMachine, work: Awaitable[None]) -> None:
        """Run the work, and end it when the machine is to be released or another attempt has taken over."""
        working = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait([working], timeout=self._poll_s))[0]:
                # READY is what the work itself writes at its end.
                await self._require_mine(mine, WarmStatus.PREPARING, WarmStatus.READY)
        finally:
            if not working.done():
                working.cancel()
                await asyncio.wait([working])
        working.result()

    async def _require_mine(self, mine: WarmMachine, *statuses: WarmStatus) -> None:
        """Raise an error unless this attempt is the newest one, and the record has one of these statuses."""
        now = await self._get(mine.id)
        if now.status is WarmStatus.RELEASING:
            raise MachineLostError("it is no longer wanted")
        if now.order_turn != mine.order_turn or now.status not in statuses:
            raise ProviderBusyError(_SUPERSEDED)

    async def _rent(self, provider: Provider, mine: WarmMachine) -> WarmMachine:
        """Order, and record the machine with the beginning of its usage."""
        asked_at = _now()
        if mine.provider_id is not None:
            rented = await provider.machine(MachineId(mine.provider_id))
            if rented is None and not self._may_be_unlisted(mine):
                raise MachineLostError("the machine vanished")
            return mine
        rented, since = await self._place_order(provider, mine)
        return await self._record(provider, mine, rented, since or asked_at)

    async def _place_order(self, provider: Provider, machine: WarmMachine) -> tuple[Machine, datetime | None]:
        """Return the machine, and since when it costs if that is known: since the order that it came from."""
        permits: list[datetime] = []
        newest = {"_id": machine.id, "order_turn": machine.order_turn}

        async def permit() -> datetime:
            permits.append(await self._permit(machine))
            return permits[-1]

        try:
            rented = await provider.rent(
                _offer(machine), Tag(machine.tag), ordered_at=machine.ordered_at, permit=permit, report=no_progress
            )
        except NoCapacityError as error:
            await self._db.update(WarmMachine, newest, {"$set": {"ordered_at": None}})
            await self._full_sites.mark_full(machine.provider, SiteId(machine.place.site_id), error.message)
            raise
        except ProviderRefusedError:
            if permits:
                refused = {**newest, "ordered_at": permits[-1]}
                await self._db.update(WarmMachine, refused, {"$set": {"order_refused": True}})
            raise
        return rented, rented.billed_from or machine.ordered_at or next(iter(permits), None)

    async def _permit(self, machine: WarmMachine) -> datetime:
        """Record the intent right before the paid call."""
        unrented = {**_newest(machine), "provider_id": None}
        intent = {"ordered_at": _now(), "order_refused": False}
        permitted = await self._db.update(WarmMachine, unrented, {"$set": intent})
        if permitted is None or permitted.ordered_at is None or activity.is_cancelled():
            raise ProviderBusyError("this attempt may no longer order")
        return permitted.ordered_at

    async def _record(self, provider: Provider, mine: WarmMachine, rented: Machine, since: datetime) -> WarmMachine:
        """Record the machine together with the beginning of its usage.

        If the record is being released, the machine is left to that release, which looks for its tag.
        """
        unrented = {**_newest(mine), "provider_id": {"$in": [None, rented.id]}}

        async def write() -> WarmMachine | None:
            recorded = await self._db.update(WarmMachine, unrented, {"$set": _machine_fields(rented)})
            if recorded is not None:
                await self._meter.record_state(recorded, UsageState.RUNNING, since)
            return recorded

        recorded = await self._db.transaction(write)
        if recorded is not None:
            return recorded
        if (await self._get(mine.id)).provider_id not in {None, rented.id}:
            await provider.release(rented.id)
        raise ProviderBusyError("another attempt has taken over this machine")

    async def _boot(self, provider: Provider, machine: WarmMachine) -> WarmMachine:
        """Wait until the machine runs and has an address, at a price that is no higher than offered."""
        while True:
            seen = await provider.machine(MachineId(machine.provider_id or ""))
            if seen is None:
                if not self._may_be_unlisted(machine):
                    raise MachineLostError("the machine vanished while it was starting")
            elif seen.state not in _COMING:
                await self._start_again(provider, machine, seen)
            elif seen.state is MachineState.RUNNING and seen.ip_address:
                if seen.usd_per_hour is not None and seen.usd_per_hour > _usd_per_hour_offered(machine):
                    raise MachineLostError("it costs more than offered")
                return await self._update(machine, _machine_fields(seen))
            await asyncio.sleep(self._poll_s)

    async def _start_again(self, provider: Provider, machine: WarmMachine, seen: Machine) -> None:
        """Start a machine that an earlier attempt had turned off before it could record that."""
        if seen.state not in {MachineState.STOPPED, MachineState.STOPPED_RELEASED, MachineState.STOPPING}:
            raise MachineLostError(f"the machine became {seen.state.lower()} while it was being set up")
        await self._require_mine(machine, WarmStatus.PREPARING)
        await provider.start(seen.id)

    async def _set_up(self, machine: WarmMachine) -> None:
        host_key = await self._streaming.read_host_key(address_of(machine))
        machine = await self._update(machine, {"ssh_host_key": machine.ssh_host_key or host_key})
        await self._streaming.install(address_of(machine), machine.tag, no_progress)
        # It turns itself off if every worker ends now; the VM that it becomes postpones the timer from its start on.
        left_s = (machine.prepare_until + DELETED_WITHIN - _now()).total_seconds()
        await self._streaming.arm_shutdown_timer(address_of(machine), left_s)
        played = await console(self._db, machine.console)
        image = await self._images.pinned(played.emulator.image)
        played = replace(played, emulator=replace(played.emulator, image=image.name))
        game = GameToPlay(played, game_id=None, title=None, rom=None, user_id=machine.user_id)
        await self._streaming.pull_image(address_of(machine), game, no_progress)

    async def _turn_off(self, provider: Provider, machine: WarmMachine) -> None:
        """Turn the machine off, wait until only its storage is billed, and offer it to launches.

        Raises MachineLostError if its cloud goes on billing it in full: such a machine would not be worth its price.
        """
        asked_at = _now()
        while True:
            seen = await provider.machine(MachineId(machine.provider_id or ""))
            if seen is None or seen.state in {MachineState.BROKEN, MachineState.VANISHED}:
                raise MachineLostError("the machine vanished while it was being turned off")
            if seen.state is MachineState.STOPPED_RELEASED:
                break
            if seen.state is MachineState.STOPPED and _now() - asked_at > self._billed:
                raise MachineLostError("its cloud goes on billing it in full while it is off")
            if seen.state is not MachineState.STOPPING:
                await self._require_mine(machine, WarmStatus.PREPARING)
                await provider.stop(seen.id)
            await asyncio.sleep(self._poll_s)
        at = _now()

        async def write() -> None:
            ready: Document = {"status": WarmStatus.READY, "ready_at": at, "there_at": at}
            if seen.made_anew_by_start:
                ready["ssh_host_key"] = None
            if await self._db.update(WarmMachine, _newest(machine), {"$set": ready}) is not None:
                await self._meter.record_state(machine, UsageState.STOPPED, at)

        await self._db.transaction(write)

    async def _update(self, machine: WarmMachine, fields: Document) -> WarmMachine:
        """Write fields of a machine that this attempt still prepares."""
        updated = await self._db.update(WarmMachine, _newest(machine), {"$set": fields})
        if updated is None:
            await self._require_mine(machine, WarmStatus.PREPARING)
            raise ProviderBusyError(_SUPERSEDED)
        return updated

    def _may_be_unlisted(self, machine: WarmMachine) -> bool:
        """Return whether the order is so young that its cloud may not list the machine yet."""
        return machine.ordered_at is not None and _now() - machine.ordered_at <= self._settle

    async def _get(self, machine_id: str) -> WarmMachine:
        machine = await self._db.get(WarmMachine, machine_id)
        if machine is None:
            raise MachineLostError(f"the warm machine {machine_id} has no record")
        return machine


def _newest(mine: WarmMachine) -> Document:
    """Return what matches the record for as long as no other attempt has taken over."""
    return {"_id": mine.id, "status": WarmStatus.PREPARING, "order_turn": mine.order_turn}


def address_of(machine: WarmMachine) -> Address:
    """Return the machine's address. Raises MachineLostError if it never had one."""
    if machine.ip_address is None:
        raise MachineLostError(f"the warm machine {machine.id} has no address")

    def external(internal: int) -> int:
        return machine.ports.get(str(internal), internal)

    return Address(
        host=machine.ip_address,
        ssh_port=external(_SSH),
        ssh_user=machine.ssh_user,
        ssh_host_key=machine.ssh_host_key,
        https_port=external(_HTTPS),
        http_port=external(_HTTP),
        rtsp_port=external(_RTSP),
        vm_id=machine.id,
    )


def _usd_per_hour_offered(machine: WarmMachine) -> Decimal:
    return machine.usd_per_hour + machine.usd_per_hour_egress


def _offer(machine: WarmMachine) -> Offer:
    return Offer(
        provider=machine.provider,
        site_id=SiteId(machine.place.site_id),
        vcpus=machine.vcpus,
        ram_gb=machine.ram_gb,
        storage_gb=machine.storage_gb,
        gpu_model=machine.gpu_model,
        usd_per_hour=_usd_per_hour_offered(machine),
        usd_per_hour_stopped=machine.usd_per_hour_stopped,
    )


def _machine_fields(machine: Machine) -> Document:
    return {
        "provider_id": machine.id,
        "ip_address": machine.ip_address,
        "ports": {str(internal): external for internal, external in machine.ports.items()},
        "ssh_user": machine.ssh_user,
    }


def _turn() -> int:
    """Return when Temporal scheduled this attempt, in microseconds by its clock: a later one has a greater number."""
    return int(activity.info().current_attempt_scheduled_time.timestamp() * 1_000_000)


def _now() -> datetime:
    return datetime.now(UTC)
