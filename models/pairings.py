"""Pairing windows: a PIN of the service, handed to the device that asks to be paired with a VM in time."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from odmantic import Field, Model


class PairingStatus(StrEnum):
    WAITING = "WAITING"
    PAIRED = "PAIRED"
    WRONG_PIN = "WRONG_PIN"  # a device used another PIN; the window is still open
    EXPIRED = "EXPIRED"


OPEN: frozenset[PairingStatus] = frozenset({PairingStatus.WAITING, PairingStatus.WRONG_PIN})


class PairingWindow(Model):
    """The newest window of a VM. A later one replaces it."""

    id: str = Field(primary_field=True)  # of the VM
    number: str  # of this window: what belongs to a replaced one changes nothing
    user_id: str
    pin: str | None = None  # while it is open
    status: PairingStatus = PairingStatus.WAITING
    started_at: datetime
    expires_at: datetime
    # The devices, and the lines about pairings in Wolf's log, from before the window: null until they were looked at.
    known_devices: list[str] | None = None
    known_lines: list[str] | None = None

    model_config = {"collection": "pairing_windows"}

    def status_at(self, now: datetime) -> PairingStatus:
        """Return the status, which is EXPIRED once the window's time is up, whether or not that has been recorded."""
        return PairingStatus.EXPIRED if self.status in OPEN and now >= self.expires_at else self.status
