"""Uploads the saves of a machine that its cloud takes within seconds, the most valuable first.

Memory cards and the games' own saves come first, as they are on the disk. Then the games are ended, which makes them
write the rest, and everything is uploaded again, states last. What cannot begin before the deadline is left out: an
object in the bucket is always whole.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from errors import ProviderBusyError, ProviderError
from streaming.saves.parts import GAME_PART, STATE_PART, SavePart
from streaming.saves.slots import SaveSlot
from streaming.saves.transfer import Saves, UploadReport, combine
from streaming.sessions import end_sessions
from streaming.ssh import Shell

log = logging.getLogger(__name__)

_KEPT_FOR_UPLOAD_S: Final = 8.0  # of the time, when the games are told to end


@dataclass(frozen=True, slots=True)
class TimedUpload:
    """Result of an upload with a deadline.

    `report` is None if nothing was uploaded. `complete`: every part was uploaded after the games had ended.
    """

    report: UploadReport | None
    complete: bool

    @property
    def is_safe(self) -> bool:
        """Return whether no save exists on the machine alone."""
        return self.complete and self.report is not None and self.report.is_safe


async def upload_in_time(shell: Shell, saves: Saves, slot: SaveSlot, until: datetime) -> TimedUpload:
    """Upload the slot's saves until this moment. A part that cannot be uploaded does not stop the others."""
    first = await _upload(shell, saves, slot, GAME_PART, until)
    ended = await _end_games(shell, until)
    game = await _upload(shell, saves, slot, GAME_PART, until)
    states = await _upload(shell, saves, slot, STATE_PART, until)
    if game is None or states is None:
        return TimedUpload(game or first, complete=False)
    return TimedUpload(combine(game, states), complete=ended)


async def _upload(shell: Shell, saves: Saves, slot: SaveSlot, part: SavePart, until: datetime) -> UploadReport | None:
    """Upload one part; return None if there is no time for it, or if it fails."""
    if _left_s(until) <= 0:
        return None
    try:
        return await saves.upload_part(shell, slot, part)
    except ProviderError as error:
        log.warning("failed to upload saves of a machine that is taken", extra={"why": error.message})
        return None


async def _end_games(shell: Shell, until: datetime) -> bool:
    """End the games, so that they write what they have in memory; return whether they have ended in time."""
    try:
        async with asyncio.timeout(max(0.0, _left_s(until) - _KEPT_FOR_UPLOAD_S)):
            await end_sessions(shell)
    except (TimeoutError, ProviderBusyError) as error:
        log.warning("games did not end before their machine is taken", extra={"why": str(error) or "timeout"})
        return False
    return True


def _left_s(until: datetime) -> float:
    return (until - datetime.now(UTC)).total_seconds()
