"""What becomes of the saves on a machine, and how its VM tells the player."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

from fleet.machine_operations import OnBoard, address_of, slot_of
from models.database import Database
from models.vms import Vm
from streaming.saves.transfer import UploadOutcome, UploadReport

log = logging.getLogger(__name__)

_TOLD: Final = {
    UploadOutcome.CONFLICT: (
        "Another machine saved this game meanwhile. Nothing is lost: that save stays the current one, "
        "and the one from this machine is kept beside it"
    ),
    UploadOutcome.NOT_RESTORED: (
        "The saves on this machine were never restored whole, so they were not uploaded and the machine is kept. "
        "Launch the game on it again to have them restored"
    ),
    UploadOutcome.SHRUNK: (
        "A save on this machine suddenly holds nothing. It is kept beside the slot, and the intact save from before "
        "stays the current one"
    ),
    UploadOutcome.VANISHED: (
        "The save folder on this machine is empty, although files were there. The bucket still has them; "
        "the machine is kept until somebody has looked for what was played after that"
    ),
}
_LISTED: Final = 3


async def bring_to_safety(db: Database, onboard: OnBoard, vm: Vm) -> bool:
    """Upload what is played there, and write on the VM what came of it. False: it is on the machine alone."""
    slot = await slot_of(db, vm)
    if slot is None:
        return True  # no launch has set anything up on it
    report = await onboard.upload_saves(address_of(vm), slot)
    safe = report.is_safe
    if (told := _told(report)) is not None:
        log.log(
            logging.WARNING if safe else logging.ERROR,
            "the saves of a machine need attention",
            extra={
                "vm": vm.id,
                "outcome": report.outcome,
                "object": report.stored_as,
                "left_out": [str(one) for one in report.left_out[:_LISTED]],
            },
        )
    saved = {"saved_at": datetime.now(UTC)} if safe else {}
    await db.update(Vm, {"_id": vm.id}, {"$set": {"saves_warning": told, **saved}})
    return safe


def _told(report: UploadReport) -> str | None:
    """Return what the player has to know: the outcome, or what is on the machine alone and what to do about it."""
    texts = [told] if (told := _TOLD.get(report.outcome)) is not None else []
    if report.left_out:
        more = len(report.left_out) - _LISTED
        named = [str(one) for one in report.left_out[:_LISTED]] + ([f"{more} more"] if more > 0 else [])
        texts.append(f"Not all saves could be uploaded, and these are on this machine alone: {'; '.join(named)}")
    return ". ".join(texts) or None
