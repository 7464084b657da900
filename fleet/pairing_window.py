"""A pairing window as Temporal runs it: one activity that hands the PIN over until the window closes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from errors import InvalidInputError, InvalidStateError, ProviderBusyError, ProviderError
    from fleet.machine_operations import OnBoard, address_of
    from fleet.messages import AFTER_PAIRING_WINDOW, PAIRING_WINDOW, PairingInput
    from models.database import Database
    from models.pairings import OPEN, PairingStatus, PairingWindow
    from models.vms import Vm, VmStatus
    from streaming.machine import PairedDevices

PAIRING: Final = "Pairing"
_RETRY: Final = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=2))
_BEAT: Final = timedelta(seconds=10)


def pairing_workflow_id(pairing: PairingInput) -> str:
    """Return the id under which Temporal runs this window."""
    return f"pairing-{pairing.vm_id}-{pairing.number}"


class PairingActivities:
    def __init__(self, db: Database, onboard: OnBoard, *, pause_s: float = 0.25, handshake_s: float = 10) -> None:
        """Set up the activity. `handshake_s`: time for a handshake that the end of the window interrupts."""
        self._db = db
        self._onboard = onboard
        self._pause_s = pause_s
        self._handshake_s = handshake_s

    @activity.defn(name="hand_over_pin")
    async def hand_over_pin(self, pairing: PairingInput) -> None:
        """Hand the PIN to each device that asks, until one has paired or the window has closed.

        A device with another PIN is refused by Wolf, and the window stays open. A worker that takes over compares with
        the devices from before the window, so that a pairing in between is found.
        """
        try:
            paired = await self._pair(pairing) or await self._finish(pairing)
        except ProviderBusyError:
            raise
        except ProviderError:
            await self._end(pairing, PairingStatus.EXPIRED)
            raise
        if not paired:
            await self._end(pairing, PairingStatus.EXPIRED)
            return
        await self._end(pairing, PairingStatus.PAIRED)
        noted = {"paired": True, "last_activity_at": datetime.now(UTC)}
        await self._db.update(Vm, {"_id": pairing.vm_id}, {"$set": noted})

    async def _pair(self, pairing: PairingInput) -> bool:
        """Return whether a device was paired while the window was open."""
        while (window := await self._open(pairing)) is not None:
            if (vm := await self._running(pairing)) is None:
                return False
            try:
                known = await self._known(vm, window)
                await self._onboard.pair_next(address_of(vm), window.pin or "", window.user_id, known)
            except InvalidInputError:
                await self._note(pairing, PairingStatus.WRONG_PIN)
            except (InvalidStateError, ProviderBusyError):
                await asyncio.sleep(self._pause_s)
            else:
                return True
        return False

    async def _finish(self, pairing: PairingInput) -> bool:
        """Return whether a device is found that was paired just before or after the window's end.

        Without the player's folder its saves would be lost. A window that was replaced leaves this to the one that
        replaced it.
        """
        deadline = asyncio.get_running_loop().time() + self._handshake_s
        while (window := await self._unfinished(pairing)) is not None:
            vm = await self._running(pairing)
            if vm is None or window.known_devices is None:  # no PIN was handed over
                return False
            is_over = asyncio.get_running_loop().time() >= deadline
            try:
                known = await self._known(vm, window)
                if await self._onboard.finish_pairing(address_of(vm), window.user_id, known):
                    return True
                is_over = is_over or window.status is not PairingStatus.WRONG_PIN
            except ProviderBusyError:
                pass
            if is_over:
                return False
            await asyncio.sleep(self._pause_s)
        return False

    async def _running(self, pairing: PairingInput) -> Vm | None:
        vm = await self._db.get(Vm, pairing.vm_id)
        return vm if vm is not None and vm.status is VmStatus.RUNNING else None

    async def _open(self, pairing: PairingInput) -> PairingWindow | None:
        window = await self._unfinished(pairing)
        return window if window is not None and window.status_at(datetime.now(UTC)) in OPEN else None

    async def _unfinished(self, pairing: PairingInput) -> PairingWindow | None:
        """Return the window unless it was replaced, or its end was recorded."""
        window = await self._db.get(PairingWindow, pairing.vm_id)
        return window if window is not None and window.number == pairing.number and window.status in OPEN else None

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
            schedule_to_close_timeout=PAIRING_WINDOW + AFTER_PAIRING_WINDOW,
            heartbeat_timeout=_BEAT,
            retry_policy=_RETRY,
        )
