"""Rents a machine and waits until it runs. Every activity may be repeated at any point."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from temporalio import activity

from billing.meter import Meter
from errors import (
    AccountQuotaError,
    ConflictError,
    MachineLostError,
    NoCapacityError,
    ProviderBusyError,
    ProviderRefusedError,
)
from fleet.account_quotas import AccountQuotas
from fleet.inputs import VmRef
from fleet.machine_operations import require_vm
from fleet.messages import Done, RentOrder
from fleet.prices import ProviderPrices
from fleet.progress_signals import signal_progress
from fleet.release import is_settled
from models.database import Database, Document
from models.usage import UsageState
from models.vms import Vm, VmPlace, VmStatus, move_vm
from providers.base import Machine, MachineId, MachineState, PricePart, Provider, Tag
from providers.registry import Registry
from providers.tags import tag_of

log = logging.getLogger(__name__)

_BOOTING = {MachineState.CREATING, MachineState.STARTING, MachineState.RUNNING, MachineState.UNKNOWN}


class ProvisioningActivities:
    """Activities that rent machines. Only they and a release write a VM's status while a launch prepares it."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        meter: Meter,
        *,
        settle_s: float,
        poll_s: float = 2.0,
        deployment: str = "main",
    ) -> None:
        """Set up the activities.

        `settle_s`: how long after its permit an order may be missing from lists. `poll_s`: pause between reads.
        `deployment` is part of the machines' names.
        """
        self._db = db
        self._registry = registry
        self._meter = meter
        self._settle = timedelta(seconds=settle_s)
        self._poll_s = poll_s
        self._deployment = deployment
        self._quotas = AccountQuotas(db)
        self._prices = ProviderPrices(db, meter)

    @activity.defn(name="rent")
    async def rent(self, order: RentOrder) -> Done:
        """Claim the attempt, order, and record the machine. Raises NoCapacityError only if nothing was rented."""
        asked_at = _now()
        vm = await self._claim_turn(order)
        provider = self._registry.get(order.offer.provider)
        if vm.provider_id is not None:
            machine = await provider.machine(MachineId(vm.provider_id))
            if machine is None:
                raise MachineLostError("the machine vanished right after it was rented")
        else:
            await self._quotas.require(vm, order.offer.usd_per_hour)
            machine = await self._place_order(provider, order, vm)
            await self._quotas.clear_alert(vm.provider)
        # A machine of an earlier order whose response was lost has cost since that order.
        started_at = vm.started_at or machine.billed_from or vm.ordered_at or asked_at
        await self._meter.record_state(
            await self._record(provider, vm, machine, {"started_at": started_at}), UsageState.RUNNING, started_at
        )
        return Done(
            f"Rented in {_words(order.site.city, order.site.country)} for {order.offer.usd_per_hour} USD an hour"
        )

    @activity.defn(name="await_boot")
    async def await_boot(self, ref: VmRef) -> Done:
        """Wait until the cloud reports that the machine runs and has an address.

        Raises MachineLostError if it never will, or if it costs more than the launch allows.
        """
        was_there = False
        while True:
            vm = await require_vm(self._db, ref.vm_id)
            if vm.provider_id is None:
                raise MachineLostError("no machine was recorded for this VM")
            machine = await self._registry.get(vm.provider).machine(MachineId(vm.provider_id))
            if machine is None:
                if was_there or is_settled(vm, self._settle):
                    raise MachineLostError("the machine vanished while it was starting")
            elif machine.state not in _BOOTING:
                raise MachineLostError(f"the machine became {machine.state.lower()} while it was starting")
            elif machine.state is MachineState.RUNNING and machine.ip_address:
                vm = await self._db.update(Vm, {"_id": vm.id}, {"$set": _machine_fields(machine)}) or vm
                vm = await self._prices.follow(vm, machine, vm.started_at or _now())
                await self._prices.require_cap(vm)
                return Done(f"The machine runs at {machine.ip_address}")
            was_there = was_there or machine is not None
            await asyncio.sleep(self._poll_s)

    @activity.defn(name="mark_running")
    async def mark_running(self, ref: VmRef) -> None:
        """Hand the machine over to the player: the stream responds, and the session clock starts."""
        vm = await require_vm(self._db, ref.vm_id)
        now = _now()
        begins = now if vm.planned_for is None else max(now, vm.planned_for)
        await move_vm(
            self._db,
            vm.id,
            VmStatus.RUNNING,
            {"last_activity_at": now, "stops_at": vm.stops_at or begins + timedelta(hours=vm.max_session_hours)},
        )

    async def _place_order(self, provider: Provider, order: RentOrder, vm: Vm) -> Machine:
        mine = {"_id": vm.id, "order_turn": vm.order_turn}
        permits: list[datetime] = []

        async def permit() -> datetime:
            permits.append(await self._permit(vm))
            return permits[-1]

        try:
            return await provider.rent(
                order.offer, Tag(vm.tag), ordered_at=vm.ordered_at, permit=permit, report=signal_progress()
            )
        except NoCapacityError as error:
            await self._db.update(Vm, mine, {"$set": {"ordered_at": None}})
            if isinstance(error, AccountQuotaError):
                await self._quotas.report(vm.provider, error)
            raise
        except ProviderRefusedError:
            if permits:
                await self._db.update(Vm, {**mine, "ordered_at": permits[-1]}, {"$set": {"order_refused": True}})
            raise

    async def _permit(self, vm: Vm) -> datetime:
        """Record the intent right before the paid call.

        Only the newest attempt may order, and only while the VM has no machine and is not being released.
        """
        newest = {"_id": vm.id, "order_turn": vm.order_turn, "status": VmStatus.PROVISIONING, "provider_id": None}
        permitted = await self._db.update(Vm, newest, {"$set": {"ordered_at": _now(), "order_refused": False}})
        if permitted is None or permitted.ordered_at is None or activity.is_cancelled():
            raise ProviderBusyError("this attempt may no longer order: another one has taken over")
        return permitted.ordered_at

    async def _claim_turn(self, order: RentOrder) -> Vm:
        """Claim the VM's document for this attempt and write the offer to it, unless a later attempt has claimed it."""
        turn = _turn()
        if await self._db.get(Vm, order.vm_id) is None:
            with suppress(ConflictError):
                await self._db.insert(_vm(order, self._deployment))
        earlier = {"_id": order.vm_id, "status": VmStatus.PROVISIONING, "order_turn": {"$lt": turn}}
        vm = await self._db.update(Vm, earlier, {"$set": {**_offer_fields(order), "order_turn": turn}})
        if vm is None:
            raise ProviderBusyError("superseded: a newer rent attempt owns this VM, or it is no longer provisioning")
        return vm

    async def _record(self, provider: Provider, vm: Vm, machine: Machine, fields: Document) -> Vm:
        """Record the machine.

        If the VM already has another machine, or no longer needs one, this one is released.
        """
        mine = {"_id": vm.id, "status": VmStatus.PROVISIONING, "provider_id": {"$in": [None, machine.id]}}
        recorded = await self._db.update(Vm, mine, {"$set": {**_machine_fields(machine), **fields}})
        if recorded is not None:
            return recorded
        if (await require_vm(self._db, vm.id)).provider_id != machine.id:
            log.warning("releasing machine of a superseded order", extra={"vm": vm.id, "machine": machine.id})
            await provider.release(machine.id)
        raise ProviderBusyError("another attempt has taken over this VM")


def _vm(order: RentOrder, deployment: str) -> Vm:
    return Vm(
        id=order.vm_id,
        tag=tag_of(deployment, order.vm_id),
        user_id=order.user_id,
        launch_id=order.launch_id,
        console=order.console,
        game_id=order.game_id,
        preset=order.preset,
        idle_stop_minutes=order.idle_stop_minutes,
        max_session_hours=order.max_session_hours,
        created_at=_now(),
        **_offer_fields(order),
    )


def _turn() -> int:
    """Return when Temporal scheduled this attempt, in microseconds by its clock.

    Rent attempts of a launch follow one another, so a later one has a greater number.
    """
    return int(activity.info().current_attempt_scheduled_time.timestamp() * 1_000_000)


def _machine_fields(machine: Machine) -> Document:
    return {
        "provider_id": machine.id,
        "ip_address": machine.ip_address,
        "ports": {str(internal): external for internal, external in machine.ports.items()},
        "ssh_user": machine.ssh_user,
    }


def _offer_fields(order: RentOrder) -> Document:
    offer, site = order.offer, order.site
    return {
        "provider": offer.provider,
        "vcpus": offer.vcpus,
        "ram_gb": offer.ram_gb,
        "storage_gb": offer.storage_gb,
        "gpu_model": offer.gpu_model,
        "usd_per_hour": offer.usd_per_hour,
        "usd_per_hour_offered": offer.usd_per_hour,
        "price_warning": None,
        "usd_per_hour_stopped": offer.usd_per_hour_stopped,
        "usd_per_hour_egress": offer.usd_per_hour_for(PricePart.EGRESS),
        "place": VmPlace(
            site_id=offer.site_id,
            city=site.city,
            region=site.region,
            country=site.country,
            country_code=site.country_code,
            latitude=site.latitude,
            longitude=site.longitude,
        ),
    }


def _words(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _now() -> datetime:
    return datetime.now(UTC)
