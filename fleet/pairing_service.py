"""Pairing windows as players open and follow them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Protocol

from errors import InvalidStateError
from fleet.messages import AFTER_PAIRING_WINDOW, PAIRING_WINDOW, PairingInput
from models.database import Database
from models.pairings import PairingWindow
from models.vms import Vm, VmStatus


class PairingStarter(Protocol):
    """Has a worker hand a PIN over. launch.workflow_client.LazyWorkflowClient implements it."""

    async def start_pairing(self, pairing: PairingInput) -> None: ...


class PairingService:
    def __init__(self, db: Database, engine: PairingStarter) -> None:
        self._db = db
        self._engine = engine

    async def start(self, vm: Vm) -> PairingWindow:
        """Make a PIN and open a window for it, which replaces an earlier one. Returns at once.

        Raises InvalidStateError if the machine does not run, UnavailableError if Temporal is away.
        """
        if vm.status is not VmStatus.RUNNING or vm.ip_address is None:
            raise InvalidStateError(f"the machine is {vm.status}, not RUNNING", vm.status, ("vmId",))
        now = datetime.now(UTC)
        window = PairingWindow(
            id=vm.id,
            number=secrets.token_hex(8),
            user_id=vm.user_id,
            pin=f"{secrets.randbelow(10_000):04}",
            started_at=now,
            expires_at=now + PAIRING_WINDOW,
        )
        await self._store(window)
        await self._engine.start_pairing(PairingInput(vm.id, window.number))
        return window

    async def _store(self, window: PairingWindow) -> None:
        """Store a window.

        One that replaces an unfinished window keeps the devices known before that one, so that a device whose
        handshake with the earlier PIN is still going on is found.
        """
        fields = {name: value for name, value in window.model_dump_doc().items() if name != "_id"}
        kept = {name: value for name, value in fields.items() if name not in {"known_devices", "known_lines"}}
        unfinished = {"_id": window.id, "expires_at": {"$gt": window.started_at - AFTER_PAIRING_WINDOW}}
        if await self._db.update(PairingWindow, unfinished, {"$set": kept}) is None:
            await self._db.update_or_insert(PairingWindow, {"_id": window.id}, {"$set": fields})

    async def current(self, vm: Vm) -> PairingWindow | None:
        """Return the newest window of a VM, or None if there was none."""
        return await self._db.get(PairingWindow, vm.id)
