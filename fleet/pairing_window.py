"""A pairing window as Temporal runs it: one activity that hands the PIN over until the window closes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from errors import InvalidInputError, InvalidStateError, ProviderBusyError
    from fleet.machine_operations import OnBoard, address_of
    from fleet.messages import PAIRING_WINDOW, PairingInput
    from models.database import Database
    from models.pairings import OPEN, PairingStatus, PairingWindow
    from models.vms import Vm, VmStatus
    from streaming.machine import PairedDevices

PAIRING: Final = "Pairing"
_AFTERWARDS: Final = timedelta(seconds=30)  # for the handshake of a device that asked in time
_RETRY: Final = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=2))
_BEAT: Final = timedelta(seconds=10)


def pairing_workflow_id(pairing: PairingInput) -> str:
    """Return the id under which Temporal runs this window."""
    return f"pairing-{pairing.vm_id}-{pairing.number}"


class PairingActivities:
    def __init__(self, db: Database, onboard: OnBoard, *, pause_s: float = 0.25) -> None:
        self._db = db
        self._onboard = onboard
        self._pause_s = pause_s

    @activity.defn(name="hand_over_pin")
    async def hand_over_pin(self, pairing: PairingInput) -> None:
        """Hand the PIN to each device that asks, until one has paired or the window has closed.

        A device with another PIN is refused by Wolf, and the window stays open. A worker that takes over compares with
        the devices from before the window, so that a pairing in between is found.
        """
        while (window := await self._open(pairing)) is not None:
            vm = await self._db.get(Vm, pairing.vm_id)
            if vm is None or vm.status is not VmStatus.RUNNING:
                break
            try:
                known = await self._known(vm, window)
                await self._onboard.pair_next(address_of(vm), window.pin or "", window.user_id, known)
            except InvalidInputError:
                await self._note(pairing, PairingStatus.WRONG_PIN)
            except (InvalidStateError, ProviderBusyError):
                await asyncio.sleep(self._pause_s)
            else:
                await self._end(pairing, PairingStatus.PAIRED)
                paired = {"paired": True, "last_activity_at": datetime.now(UTC)}
                await self._db.update(Vm, {"_id": vm.id}, {"$set": paired})
                return
        await self._end(pairing, PairingStatus.EXPIRED)

    async def _open(self, pairing: PairingInput) -> PairingWindow | None:
        window = await self._db.get(PairingWindow, pairing.vm_id)
        if window is None or window.number != pairing.number:
            return None
        return window if window.status_at(datetime.now(UTC)) in OPEN else None

    async def _known(self, vm: Vm, window: PairingWindow) -> PairedDevices:
        """Return the devices from before the window, looked at once."""
        if window.known_devices is not None and window.known_lines is not None:
            return PairedDevices(frozenset(window.known_devices), tuple(window.known_lines))
        known = await self._onboard.paired_devices(address_of(vm))
        found = {"known_devices": sorted(known.ids), "known_lines": list(known.lines_of_pairings)}
        await self._db.update(PairingWindow, {"_id": vm.id, "number": window.number}, {"$set": found})
        return known

    async def _note(self, pairing: PairingInput, status: PairingStatus) -> None:
        await self._db.update(PairingWindow, _still_open(pairing), {"$set": {"status": status}})

    async def _end(self, pairing: PairingInput, status: PairingStatus) -> None:
        """Close the window. Its PIN is kept no longer."""
        closed = {"status": status, "pin": None, "known_devices": None, "known_lines": None}
        await self._db.update(PairingWindow, _still_open(pairing), {"$set": closed})


def _still_open(pairing: PairingInput) -> dict[str, object]:
    return {"_id": pairing.vm_id, "number": pairing.number, "status": {"$in": list(OPEN)}}


@workflow.defn(name=PAIRING)
class PairingWorkflow:
    @workflow.run
    async def run(self, pairing: PairingInput) -> None:
        await workflow.execute_activity_method(
            PairingActivities.hand_over_pin,
            pairing,
            schedule_to_close_timeout=PAIRING_WINDOW + _AFTERWARDS,
            heartbeat_timeout=_BEAT,
            retry_policy=_RETRY,
        )
