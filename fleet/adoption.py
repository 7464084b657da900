"""Gives machines of ours that no record knows a record again: after a database was lost, or restored from a backup.

The machine itself says whose it is, by the notes beside the saves on it. With a record the sweeper gives it its
workflow, which watches it, stops it when nobody plays, and brings its saves to safety before any deletion.
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
    """What adoption asks of a machine. streaming.machine.StreamingMachines answers it."""

    async def find_slots(self, address: Address) -> Sequence[FoundSlot]: ...


@dataclass(frozen=True, slots=True)
class _Found:
    """A machine, and what it said of itself."""

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
        """Adopt the machines of ours without a record among what a dry run of the sweeper found. Each comes back with
        what became of it. May be repeated: a machine that is off is started, to be asked the next time."""
        without_record = [each for each in found if each.vm_id is None and each.verdict in _OURS]
        return [await self._adopted(action) for action in without_record]

    async def _adopted(self, action: Action) -> Action:
        if action.reason == UNMANAGED:
            return action
        provider = self._registry.get(action.provider)
        try:
            machine = await provider.machine(MachineId(action.machine_id))
            if machine is None:
                return replace(action, reason="its cloud does not know it any more")
            if (not_yet := await self._why_not_yet(provider, machine)) is not None:
                return replace(action, verdict=Verdict.ADOPT, reason=not_yet)
            vm_id, reason = await self._recorded(provider, machine)
        except ConflictError as error:  # it has a record by now, and a workflow that looks after it
            return replace(action, reason=f"not adopted: {error.message}")
        except ProviderError as error:
            stopped = await self._stopped_again(provider, action, boots=isinstance(error, ProviderBusyError))
            return replace(action, reason=f"not adopted: {error.message}{stopped}")
        if vm_id is None:
            reason += await self._stopped_again(provider, action)
        return replace(action, verdict=Verdict.ADOPT, vm_id=vm_id, reason=reason, done=vm_id is not None)

    async def _why_not_yet(self, provider: Provider, machine: Machine) -> str | None:
        """Return what to wait for before the machine can be asked whose it is. One that is off is started."""
        if machine.state in _OFF:
            await self._note_start(provider, machine)
            await provider.start(machine.id)
            return "it was off and is being started; adopt again in some minutes"
        if machine.state is not MachineState.RUNNING or machine.ip_address is None:
            return f"it is {machine.state}; adopt again once it runs"
        return None

    async def _note_start(self, provider: Provider, machine: Machine) -> None:
        """Note before the start that it is ours. A machine that no sweep has judged yet waits for an operator."""
        key, now = f"{provider.name}:{machine.id}", datetime.now(UTC)
        stray = OrphanMachine(
            id=key, provider=provider.name, machine_id=machine.id, tag=machine.tag, first_seen=now, predates=True
        )
        fields = {name: value for name, value in stray.model_dump_doc().items() if name != "started_at"}
        await self._db.upsert(OrphanMachine, {"_id": key}, {"$set": {"started_at": now}, "$setOnInsert": fields})

    async def _stopped_again(self, provider: Provider, action: Action, *, boots: bool = False) -> str:
        """Stop a machine that was started for an adoption and gets no record; return what to say of it. One that
        `boots` is given some time."""
        stray = await self._db.get_derived(OrphanMachine, f"{action.provider}:{action.machine_id}")
        if stray is None or stray.started_at is None or (boots and datetime.now(UTC) - stray.started_at < _BOOT):
            return ""
        try:
            machine = await provider.machine(MachineId(action.machine_id))
            if machine is None or machine.state in _OFF:
                return ""
            await provider.stop(machine.id)
        except ProviderError as error:
            return f"; it was started for this and could not be stopped again: {error.message}"
        return "; it was started for this and is stopped again"

    async def _recorded(self, provider: Provider, machine: Machine) -> tuple[str | None, str]:
        """Write the records; the VM's id and what to say of it. None for the id: it cannot be adopted."""
        parts = parse_tag(machine.tag)
        if parts is None:
            return None, "its name is none of ours"
        if machine.usd_per_hour is None:
            return None, "its cloud does not say what it costs"
        slots = await self._onboard.find_slots(_address(machine))
        if not slots:
            return None, "nothing on it says whose it is: it holds no saves that were restored"
        user_id = await user_of_folder(self._db, slots[0].folder)
        if user_id is None:
            return None, f"no record has the user whose folder is {slots[0].folder}"
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
            # In one transaction: no later run finds a machine that has a record.
            await self._meter.record_state(vm, UsageState.RUNNING, vm.created_at)
            return vm

        entry = service_entry("sweeper", "adoptMachine", vm.id, f"{vm.provider} {vm.provider_id} for {vm.user_id}")
        await write_with(self._db, records, lambda _: entry)


async def user_of_folder(db: Database, folder: str) -> str | None:
    """Return the user whose saves lie in a folder. Plain ids are their own folders; others are looked for among the
    users that records still name."""
    if folder_of(folder) == folder:
        return folder
    users = await db.aggregate(Launch, [{"$group": {"_id": "$user_id"}}])
    return next((str(row["_id"]) for row in users if folder_of(str(row["_id"])) == folder), None)


def _vm(found: _Found, played: Console) -> Vm:
    """Its size is that of its console's preset, which is what such machines are rented for."""
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
    """The launch that set the game up, as far as the machine knows: it says whose saves lie there."""
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
