"""Adopts machines of ours that have no record, after a database was lost or restored from a backup.

The restore markers beside the saves identify the machine's user. Once a machine has a record, the sweeper starts its
workflow, which monitors it, stops it when it is idle, and uploads its saves before any deletion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

from billing.meter import Meter
from errors import ConflictError, ProviderBusyError, ProviderError
from fleet.sweep_plan import UNMANAGED, Action, Verdict
from models.audit import service_entry, write_with
from models.catalog import Console, console
from models.database import Database
from models.launches import Launch, LaunchStatus, LaunchStepName, Step, StepStatus, new_id
from models.orphans import OrphanMachine
from models.usage import UsageState
from models.vms import Vm, VmStatus
from providers.base import Machine, MachineId, MachineState, Provider, ProviderName
from providers.registry import Registry
from providers.tags import parse_tag
from streaming.addresses import Address
from streaming.name_checks import folder_of
from streaming.saves.discovery import FoundSlot

_HTTPS, _HTTP, _RTSP, _SSH = 47984, 47989, 48010, 22
_OURS: Final = frozenset({Verdict.SPARE, Verdict.DELETE, Verdict.HOLD})
_BOOT: Final = timedelta(minutes=10)
_OFF: Final = frozenset({MachineState.STOPPED, MachineState.STOPPED_RELEASED})


class FoundSaves(Protocol):
    """The part of streaming.machine.StreamingMachines that adoption needs."""

    async def find_slots(self, address: Address) -> Sequence[FoundSlot]: ...


@dataclass(frozen=True, slots=True)
class _Found:
    """A machine and the slots found on it."""

    machine: Machine
    provider: ProviderName
    vm_id: str
    user_id: str
    usd_per_hour: Decimal
    slot: FoundSlot


class Adoption:
    def __init__(self, db: Database, registry: Registry, onboard: FoundSaves, meter: Meter) -> None:
        self._db = db
        self._registry = registry
        self._onboard = onboard
        self._meter = meter

    async def adopt(self, found: Sequence[Action]) -> list[Action]:
        """Adopt the machines without a record among the results of a dry run of the sweeper.

        Each action is returned with its result. May be repeated: a machine that is off is started and adopted the next
        time.
        """
        without_record = [each for each in found if each.vm_id is None and each.verdict in _OURS]
        return [await self._adopt(action) for action in without_record]

    async def _adopt(self, action: Action) -> Action:
        if action.reason == UNMANAGED:
            return action
        provider = self._registry.get(action.provider)
        try:
            machine = await provider.machine(MachineId(action.machine_id))
            if machine is None:
                return replace(action, reason="its cloud no longer knows it")
            if (not_yet := await self._why_not_yet(provider, machine)) is not None:
                return replace(action, verdict=Verdict.ADOPT, reason=not_yet)
            vm_id, reason = await self._record(provider, machine)
        except ConflictError as error:  # it has a record now, and a workflow
            return replace(action, reason=f"not adopted: {error.message}")
        except ProviderError as error:
            stopped = await self._stop_again(provider, action, boots=isinstance(error, ProviderBusyError))
            return replace(action, reason=f"not adopted: {error.message}{stopped}")
        if vm_id is None:
            reason += await self._stop_again(provider, action)
        return replace(action, verdict=Verdict.ADOPT, vm_id=vm_id, reason=reason, done=vm_id is not None)

    async def _why_not_yet(self, provider: Provider, machine: Machine) -> str | None:
        """Return what to wait for before the machine can be read; start it if it is off."""
        if machine.state in _OFF:
            await self._note_start(provider, machine)
            await provider.start(machine.id)
            return "it was off and is being started; adopt again in a few minutes"
        if machine.state is not MachineState.RUNNING or machine.ip_address is None:
            return f"it is {machine.state}; adopt again once it runs"
        return None

    async def _note_start(self, provider: Provider, machine: Machine) -> None:
        """Record before the start that we requested it.

        A machine that no sweep has judged yet waits for an operator.
        """
        key, now = f"{provider.name}:{machine.id}", datetime.now(UTC)
        stray = OrphanMachine(
            id=key, provider=provider.name, machine_id=machine.id, tag=machine.tag, first_seen=now, predates=True
        )
        fields = {name: value for name, value in stray.model_dump_doc().items() if name != "started_at"}
        await self._db.upsert(OrphanMachine, {"_id": key}, {"$set": {"started_at": now}, "$setOnInsert": fields})

    async def _stop_again(self, provider: Provider, action: Action, *, boots: bool = False) -> str:
        """Stop a machine that was started for an adoption and gets no record; return a note about it.

        A machine that still `boots` is given some time.
        """
        stray = await self._db.get_derived(OrphanMachine, f"{action.provider}:{action.machine_id}")
        if stray is None or stray.started_at is None or (boots and datetime.now(UTC) - stray.started_at < _BOOT):
            return ""
        try:
            machine = await provider.machine(MachineId(action.machine_id))
            if machine is None or machine.state in _OFF:
                return ""
            await provider.stop(machine.id)
        except ProviderError as error:
            return f"; it was started for this and could not be stopped: {error.message}"
        return "; it was started for this and has been stopped"

    async def _record(self, provider: Provider, machine: Machine) -> tuple[str | None, str]:
        """Write the records and return the VM's id and a note. The id is None if the machine cannot be adopted."""
        parts = parse_tag(machine.tag)
        if parts is None:
            return None, "its name is not one of ours"
        if machine.usd_per_hour is None:
            return None, "its cloud does not report its price"
        slots = await self._onboard.find_slots(_address(machine))
        if not slots:
            return None, "it has no restored saves that identify its user"
        user_id = await find_user_of_folder(self._db, slots[0].folder)
        if user_id is None:
            return None, f"no record names the user with the folder {slots[0].folder}"
        found = _Found(machine, provider.name, parts.vm_id, user_id, machine.usd_per_hour, slots[0])
        vm = _vm(found, await console(self._db, slots[0].console))
        await self._insert(vm, slots[0])
        return vm.id, f"adopted for {user_id}"

    async def _insert(self, vm: Vm, slot: FoundSlot) -> None:
        await self._write(_launch(vm, slot), vm)
        await self._db.delete(OrphanMachine, {"_id": f"{vm.provider}:{vm.provider_id}"})

    async def _write(self, launch: Launch, vm: Vm) -> None:
        async def records() -> Vm:
            await self._db.insert(launch)
            await self._db.insert(vm)
            # In one transaction, so that no later run finds a machine that has a record.
            await self._meter.record_state(vm, UsageState.RUNNING, vm.created_at)
            return vm

        entry = service_entry("sweeper", "adoptMachine", vm.id, f"{vm.provider} {vm.provider_id} for {vm.user_id}")
        await write_with(self._db, records, lambda _: entry)


async def find_user_of_folder(db: Database, folder: str) -> str | None:
    """Return the user with this save folder.

    Plain ids are their own folders; others are searched among the users in records.
    """
    if folder_of(folder) == folder:
        return folder
    users = await db.aggregate(Launch, [{"$group": {"_id": "$user_id"}}])
    return next((str(row["_id"]) for row in users if folder_of(str(row["_id"])) == folder), None)


def _vm(found: _Found, played: Console) -> Vm:
    """Return a record of the size of its console's preset, which such machines are rented with."""
    machine, shape, now = found.machine, played.preset.shape, datetime.now(UTC)
    launch_id = new_id()
    return Vm(
        id=found.vm_id,
        tag=machine.tag,
        provider=found.provider,
        provider_id=machine.id,
        status=VmStatus.RUNNING,
        user_id=found.user_id,
        launch_id=launch_id,
        game_launch_id=launch_id,
        console=found.slot.console,
        game_id=found.slot.game_id,
        preset=played.preset.name,
        vcpus=shape.vcpus,
        ram_gb=shape.ram_gb,
        storage_gb=shape.storage_gb,
        ip_address=machine.ip_address,
        ports={str(inside): outside for inside, outside in machine.ports.items()},
        ssh_user=machine.ssh_user,
        usd_per_hour=found.usd_per_hour,
        idle_stop_minutes=played.idle_stop_minutes,
        max_session_hours=played.max_session_hours,
        created_at=now,
        started_at=now,
        last_activity_at=now,
        stops_at=now + timedelta(hours=played.max_session_hours),
        saves_pending=True,
        detail="adopted: its record was lost",
    )


def _launch(vm: Vm, slot: FoundSlot) -> Launch:
    """Return the launch that set the game up, as far as the machine shows; it identifies the user of the saves."""
    return Launch(
        id=vm.launch_id,
        caller_id=vm.user_id,
        idempotency_key=f"adopted {vm.launch_id}",
        user_id=vm.user_id,
        console=vm.console,
        game_id=vm.game_id,
        save_id=slot.save_id,
        idle_stop_minutes=vm.idle_stop_minutes,
        max_session_hours=vm.max_session_hours,
        status=LaunchStatus.READY,
        progress=1.0,
        steps=[Step(name=name, status=StepStatus.DONE) for name in LaunchStepName],
        vm_id=vm.id,
        placed_with=vm.provider,
        requested_at=vm.created_at,
        ready_at=vm.created_at,
        ended_at=vm.created_at,
    )


def _address(machine: Machine) -> Address:
    return Address(
        host=machine.ip_address or "",
        ssh_port=machine.external_port(_SSH),
        ssh_user=machine.ssh_user,
        ssh_host_key=None,
        https_port=machine.external_port(_HTTPS),
        http_port=machine.external_port(_HTTP),
        rtsp_port=machine.external_port(_RTSP),
    )
