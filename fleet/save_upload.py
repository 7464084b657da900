"""Uploads the saves on a machine and reports the result on its VM."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

from fleet.machine_operations import OnBoard, address_of, find_slot
from models.database import Database
from models.vms import Vm
from streaming.saves.transfer import UploadOutcome, UploadReport

log = logging.getLogger(__name__)

_TOLD: Final = {
    UploadOutcome.CONFLICT: (
        "Another machine has saved this game in the meantime. Nothing is lost: that save stays the current one, "
        "and the one from this machine is kept beside it"
    ),
    UploadOutcome.NOT_RESTORED: (
        "The saves on this machine were never restored completely, so they were not uploaded and the machine is kept. "
        "Launch the game on it again to have them restored"
    ),
    UploadOutcome.SHRUNK: (
        "A save on this machine is suddenly empty. It is kept beside the slot, and the intact save from before "
        "stays the current one"
    ),
    UploadOutcome.VANISHED: (
        "The save folder on this machine is empty, although it had files before. The bucket still has them; "
        "the machine is kept until the progress after that has been looked for"
    ),
}
_LISTED: Final = 3


async def secure_saves(db: Database, onboard: OnBoard, vm: Vm) -> bool:
    """Upload the saves and write the result to the VM. Returns False if saves exist on the machine alone."""
    slot = await find_slot(db, vm)
    if slot is None:
        return True  # no launch has set anything up on it
    return await record_upload(db, vm, await onboard.upload_saves(address_of(vm), slot))


async def record_upload(db: Database, vm: Vm, report: UploadReport | None, *, lacking: str | None = None) -> bool:
    """Write the result of an upload to the VM and return whether it is safe.

    `lacking` is what the player must know about saves that were not uploaded at all. `report` is None if none were.
    """
    safe = lacking is None and report is not None and report.is_safe
    texts = [text for text in (lacking, None if report is None else _warning_for(report)) if text is not None]
    if texts:
        log.log(
            logging.WARNING if safe else logging.ERROR,
            "the saves of a machine need attention",
            extra={
                "vm": vm.id,
                "outcome": None if report is None else report.outcome,
                "object": None if report is None else report.stored_as,
                "left_out": [] if report is None else [str(one) for one in report.left_out[:_LISTED]],
            },
        )
    saved = {"saved_at": datetime.now(UTC)} if safe else {}
    await db.update(Vm, {"_id": vm.id}, {"$set": {"saves_warning": ". ".join(texts) or None, **saved}})
    return safe


def _warning_for(report: UploadReport) -> str | None:
    """Return what the player must know: the result, or the files on the machine alone and what to do about them."""
    texts = [told] if (told := _TOLD.get(report.outcome)) is not None else []
    if report.left_out:
        more = len(report.left_out) - _LISTED
        named = [str(one) for one in report.left_out[:_LISTED]] + ([f"{more} more"] if more > 0 else [])
        texts.append(f"Some saves could not be uploaded and exist on this machine alone: {'; '.join(named)}")
    return ". ".join(texts) or None
