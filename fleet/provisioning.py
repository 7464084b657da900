"""Rents a machine, waits until it runs, and releases it. Every activity may be repeated at any point."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from temporalio import activity

from billing.meter import Meter
from billing.operator_alerts import OperatorAlerts
from errors import (
    AccountBalanceError,
    AccountQuotaError,
    ConflictError,
    GatewayError,
    MachineLostError,
    NoCapacityError,
    ProviderBusyError,
    ProviderError,
    ProviderRefusedError,
    UnavailableError,
)
from fleet.inputs import VmRef
from fleet.messages import Done, Released, RentOrder
from fleet.prices import ProviderPrices
from fleet.progress_signals import signal_progress
from models.database import Database, Document
from models.limits import AlertLevel
from models.operator_alerts import OperatorAlertCode
from models.usage import UsageState
from models.vms import ENDED, Vm, VmPlace, VmStatus, move_vm
from placement.unavailable_sites import BALANCE_FOR, QUOTA_FOR, FullSites
from providers.base import Machine, MachineId, MachineState, PricePart, Provider, ProviderName, Tag
from providers.registry import Registry
from providers.tags import parse_tag, tag_of

log = logging.getLogger(__name__)

Forget = Callable[[str], Awaitable[None]]
_BOOTING = {MachineState.CREATING, MachineState.STARTING, MachineState.RUNNING, MachineState.UNKNOWN}


class ProvisioningActivities:
    """Activities that change what exists at a cloud. Only they write a VM's status while a launch prepares it."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        meter: Meter,
        forget: Forget | None = None,
        *,
        settle_s: float,
        poll_s: float = 2.0,
        deployment: str = "main",
    ) -> None:
        """Set up the activities.

        `forget` is called with the tag of a machine that is gone. `settle_s`: how long after its permit an order may be
        missing from lists. `poll_s`: pause between reads. `deployment` is part of the machines' names.
        """
        self._forget = forget
        self._db = db
        self._registry = registry
        self._meter = meter
        self._settle = timedelta(seconds=settle_s)
        self._poll_s = poll_s
        self._deployment = deployment
        self._given_back: dict[str, datetime] = {}  # by VM: deleted before its record could be written
        self._full_sites = FullSites(db)
        self._alerts = OperatorAlerts(db)
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
            await self._require_quota(vm, order.offer.usd_per_hour)
            machine = await self._place_order(provider, order, vm)
            await self._clear_quota_alert(vm.provider)
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
            vm = await self._vm(ref.vm_id)
            if vm.provider_id is None:
                raise MachineLostError("no machine was recorded for this VM")
            machine = await self._registry.get(vm.provider).machine(MachineId(vm.provider_id))
            if machine is None:
                if was_there or self._is_settled(vm):
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
        vm = await self._vm(ref.vm_id)
        now = _now()
        await move_vm(
            self._db,
            vm.id,
            VmStatus.RUNNING,
            {"last_activity_at": now, "stops_at": vm.stops_at or now + timedelta(hours=vm.max_session_hours)},
        )

    @activity.defn(name="release")
    async def release(self, ref: VmRef) -> Released:
        """Delete everything with the VM's tag until the cloud reports that nothing remains.

        A VM that has already ended counts as success. While the database is unavailable, the machine is deleted all the
        same, so that it stops costing; the records follow with the next attempt.
        """
        try:
            return await self._release(ref.vm_id)
        except UnavailableError:
            await self._give_back(ref.vm_id)
            raise

    async def _release(self, vm_id: str) -> Released:
        vm = await self._db.get(Vm, vm_id)
        if vm is None:
            return Released(gone=True, message="Nothing was rented")
        if vm.status in ENDED:
            await self._meter.record_state(vm, None, vm.going_since or _now())
            return Released(gone=True, message="Nothing was rented")
        never_ordered = {"_id": vm_id, "status": VmStatus.PROVISIONING, "provider_id": None, "ordered_at": None}
        if await self._db.update(Vm, never_ordered, {"$set": {"status": VmStatus.FAILED}}) is not None:
            return Released(gone=True, message="Nothing was rented")
        # From here on no order is permitted, so the recorded order is the last one.
        vm = await self._move(vm, VmStatus.DELETING, {"deletion_decided_at": vm.deletion_decided_at or _now()})
        if (given_back_at := self._given_back.pop(vm_id, None)) is not None and vm.going_since is None:
            await _set_going_since(self._db, vm, given_back_at)
        seen: set[MachineId] = {MachineId(vm.provider_id)} if vm.provider_id else set()
        provider = self._registry.get(vm.provider)
        while True:
            if await self._delete_once(provider, vm, seen):
                break
            await asyncio.sleep(self._poll_s)
        await self._meter_end(vm, rented=bool(seen))
        await self._forget_tag(vm)
        await self._move(vm, VmStatus.DELETED if seen else VmStatus.FAILED, {"deleted_at": _now()})
        # Again: an overtaken rent attempt may have started the meter before the record was closed.
        await self._meter.record_state(vm, None, vm.going_since or _now())
        return Released(gone=True, message="The cloud confirmed that the machine is gone")

    async def _move(self, vm: Vm, to: VmStatus, changes: Document | None = None) -> Vm:
        """Change the VM's status, unless it has already ended."""
        try:
            return await move_vm(self._db, vm.id, to, changes)
        except ConflictError:
            now = await self._vm(vm.id)
            if now.status not in ENDED:
                raise
            return now

    async def _give_back(self, vm_id: str) -> None:
        """Request the deletion of the VM's machine at every cloud by name alone, without reading the records."""
        for provider in self._registry.all():
            try:
                for machine in await provider.machines():
                    tag = parse_tag(machine.tag)
                    if tag is not None and tag.vm_id == vm_id and tag.deployment in {None, self._deployment}:
                        log.warning("deleting machine before its record is written", extra={"vm": vm_id})
                        await provider.release(machine.id)
                        self._given_back.setdefault(vm_id, _now())
            except GatewayError as error:
                log.warning("machine deletion failed, retrying", extra={"vm": vm_id, "why": error.message})

    @activity.defn(name="give_up")
    async def give_up(self, ref: VmRef) -> None:
        """Mark the VM as LOST, for the sweeper, because the cloud has not confirmed its deletion in time.

        A VM that has ended since then, or has no record, is unchanged.
        """
        vm = await self._db.get(Vm, ref.vm_id)
        if vm is not None and vm.status not in ENDED:
            await self._move(vm, VmStatus.LOST, {"detail": "its deletion could not be confirmed"})

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
                await self._report_quota(vm.provider, error)
            raise
        except ProviderRefusedError:
            if permits:
                await self._db.update(Vm, {**mine, "ordered_at": permits[-1]}, {"$set": {"order_refused": True}})
            raise

    async def _require_quota(self, vm: Vm, usd_per_hour: Decimal) -> None:
        """Raise NoCapacityError at once if a quota of the whole account was used up recently.

        An earlier order is looked for first.
        """
        if vm.ordered_at is not None:
            return
        if (reason := await self._full_sites.cloud_reason(vm.provider, usd_per_hour)) is not None:
            raise NoCapacityError(reason)

    async def _report_quota(self, provider: ProviderName, error: AccountQuotaError) -> None:
        used_up, for_, covers = "the balance is too low. Top it up", BALANCE_FOR, None
        if isinstance(error, AccountBalanceError):
            covers = error.covers_usd_per_hour
        else:
            used_up, for_ = f"its quota {error.quota} is used up. Ask the provider for more", QUOTA_FOR
        await self._full_sites.mark_cloud_full(provider, error.message, for_, covers)
        what = "nothing out" if covers is None else f"out nothing above {covers:.2f} USD an hour"
        await self._alerts.raise_alert(
            AlertLevel.WARNING,
            OperatorAlertCode.QUOTA_EXCEEDED,
            f"{provider}:{error.quota}",
            f"{provider} rents {what}: {used_up}",
        )

    async def _clear_quota_alert(self, provider: ProviderName) -> None:
        for alert in await self._alerts.find_open_of(OperatorAlertCode.QUOTA_EXCEEDED):
            if alert.subject_id.startswith(f"{provider}:"):
                await self._alerts.clear(alert.code, alert.subject_id)

    async def _permit(self, vm: Vm) -> datetime:
        """Record the intent right before the paid call.

        Only the newest attempt may order, and only while the VM has no machine and is not being released.
        """
        newest = {"_id": vm.id, "order_turn": vm.order_turn, "status": VmStatus.PROVISIONING, "provider_id": None}
        permitted = await self._db.update(Vm, newest, {"$set": {"ordered_at": _now(), "order_refused": False}})
        if permitted is None or permitted.ordered_at is None or activity.is_cancelled():
            raise ProviderBusyError("this attempt may no longer order: another one has taken over")
        return permitted.ordered_at

    async def _delete_once(self, provider: Provider, vm: Vm, seen: set[MachineId]) -> bool:
        """Delete everything with the tag and read the list again, once.

        `seen` collects every machine that had the tag.
        """
        listed = {machine.id for machine in await provider.machines() if machine.tag == vm.tag}
        for machine_id in listed - seen:
            await self._record_found(vm, machine_id)
        seen |= listed
        left = False
        for machine_id in sorted(seen):
            try:
                if (machine := await provider.machine(machine_id)) is not None:
                    left = True
                    await request_release(self._db, provider, machine, vm)
            except ProviderError as error:
                left = True
                log.warning("machine deletion failed, retrying", extra={"vm": vm.id, "why": str(error)})
        if left or listed:
            return False
        # An order whose response was lost may still appear in the list.
        return bool(seen) or vm.order_refused or self._is_settled(vm)

    def _is_settled(self, vm: Vm) -> bool:
        """Return whether the cloud has had the time to list the VM's machine if there is one."""
        return vm.ordered_at is None or _now() - vm.ordered_at > self._settle

    async def _record_found(self, vm: Vm, machine_id: MachineId) -> None:
        """Record a machine that was not on record, which has cost since it was ordered.

        It is recorded before its deletion, because a worker that takes over afterwards would find no trace of it.
        """
        if not await self._meter.has_usage(vm.id):
            await self._meter.record_state(vm, UsageState.RUNNING, vm.ordered_at or vm.created_at)
        await self._db.update(Vm, {"_id": vm.id, "provider_id": None}, {"$set": {"provider_id": machine_id}})

    async def _forget_tag(self, vm: Vm) -> None:
        try:
            if self._forget is not None:
                await self._forget(vm.tag)
        except ProviderError as error:
            log.warning("failed to remove local state of a machine", extra={"vm": vm.id, "why": error.message})

    async def _meter_end(self, vm: Vm, *, rented: bool) -> None:
        """Stop the meter. A machine that was found only now has cost since it was ordered."""
        if rented and not await self._meter.has_usage(vm.id):
            await self._meter.record_state(vm, UsageState.RUNNING, vm.ordered_at or vm.created_at)
        await self._meter.record_state(vm, None, vm.going_since or _now())

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
        if (await self._vm(vm.id)).provider_id != machine.id:
            log.warning("releasing machine of a superseded order", extra={"vm": vm.id, "machine": machine.id})
            await provider.release(machine.id)
        raise ProviderBusyError("another attempt has taken over this VM")

    async def _vm(self, vm_id: str) -> Vm:
        vm = await self._db.get(Vm, vm_id)
        if vm is None:
            raise MachineLostError(f"VM {vm_id} has no record")
        return vm


async def request_release(db: Database, provider: Provider, machine: Machine, vm: Vm) -> None:
    """Request deletion and set `going_since` before the call (its response may be lost) and again when it succeeds.

    If the machine is not DELETING, the time is renewed, so it stays billed until this request.
    """
    if asked := vm.going_since is None or machine.state is not MachineState.DELETING:
        await _set_going_since(db, vm)
    await provider.release(machine.id)
    if asked:
        await _set_going_since(db, vm)


async def mark_lost(db: Database, meter: Meter, vm: Vm, detail: str, at: datetime) -> Vm:
    """Record that the cloud no longer has the machine: it costs nothing from `at` on, and lost saves are reported."""
    gone: Document = {"detail": detail, "stops_at": None, "stop_warning": None, "health_warning": None}
    gone["library_warning"] = None
    if vm.saves_pending:
        since = "" if vm.saved_at is None else f" after {vm.saved_at:%H:%M} UTC"
        gone["saves_warning"] = f"Progress on this machine{since} is lost"
    vm = await move_vm(db, vm.id, VmStatus.LOST, gone)
    await meter.record_state(vm, None, at)
    return vm


async def _set_going_since(db: Database, vm: Vm, since: datetime | None = None) -> None:
    vm.going_since = since or _now()
    await db.update(Vm, {"_id": vm.id}, {"$set": {"going_since": vm.going_since}})


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
