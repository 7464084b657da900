"""`python -m fleet.rescue HOST [--user ubuntu] [--port 22]`: upload the saves on a host to the bucket.

For machines that cannot be adopted: one at Google whose CloudyPad state is lost, and any host with the data disk of a
machine that was deleted by hand. The restore markers beside the saves identify their users. Nothing is deleted, and
running it again uploads nothing twice.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from errors import ProviderError
from fleet.adoption import FoundSaves, find_user_of_folder
from models.database import Database
from streaming.addresses import Address
from streaming.saves.discovery import FoundSlot
from streaming.saves.slots import SaveSlot
from streaming.saves.transfer import UploadReport

_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?")
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_HTTPS, _HTTP, _RTSP = 47984, 47989, 48010


class SavesOnHost(FoundSaves, Protocol):
    """The part of streaming.machine.StreamingMachines that a rescue needs."""

    async def upload_saves(self, address: Address, slot: SaveSlot) -> UploadReport: ...


@dataclass(frozen=True, slots=True)
class RescuedSlot:
    """One slot on the host. `is_safe`: no file exists on the host alone."""

    slot: FoundSlot
    user_id: str | None
    outcome: str
    is_safe: bool


async def rescue(db: Database, host: SavesOnHost, address: Address) -> list[RescuedSlot]:
    """Upload every slot that the host's restore markers name. A slot that cannot be uploaded stops no other.

    Raises ProviderError if the host's restore markers cannot be read.
    """
    return [await _rescue_slot(db, host, address, found) for found in await host.find_slots(address)]


async def _rescue_slot(db: Database, host: SavesOnHost, address: Address, found: FoundSlot) -> RescuedSlot:
    user_id = await find_user_of_folder(db, found.folder)
    if user_id is None:
        return RescuedSlot(found, None, f"no record names the user with the folder {found.folder}", is_safe=False)
    slot = SaveSlot(user_id, found.console, found.game_id, found.save_id)
    try:
        report = await host.upload_saves(address, slot)
    except ProviderError as error:
        return RescuedSlot(found, user_id, f"not uploaded: {error.message}", is_safe=False)
    left = f", and {len(report.left_out)} files are on the host alone" if report.left_out else ""
    return RescuedSlot(found, user_id, f"{report.outcome}, {report.files} files{left}", report.is_safe)


def address_of_host(host: str, user: str, port: int) -> Address:
    """Return a host's address. Raises ValueError with the option and what is allowed."""
    if _HOST.fullmatch(host) is None:
        raise ValueError("HOST: a host name or an IP address. Example: 203.0.113.7")
    if _USER.fullmatch(user) is None:
        raise ValueError("--user: the name of a Linux user. Example: --user ubuntu")
    if not 0 < port < 65536:
        raise ValueError("--port: a number from 1 to 65535. Example: --port 22")
    return Address(host, port, user, None, _HTTPS, _HTTP, _RTSP)


def render_table(rescued: Sequence[RescuedSlot]) -> str:
    """Return the result as a table."""
    if not rescued:
        return "No restore markers are on this host: nothing was uploaded."
    rows = [("safe", "user", "console", "game", "save", "outcome")]
    rows += [
        (
            "yes" if each.is_safe else "no",
            each.user_id or each.slot.folder,
            each.slot.console,
            each.slot.game_id or "",
            each.slot.save_id,
            each.outcome,
        )
        for each in rescued
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def main() -> int:
    """Run the command and return the exit status."""
    # The composition root reads the settings; this command asks it to, as fleet.sweep does.
    from server import one_line_errors, rescue_once  # noqa: PLC0415 - by then it may

    parser = argparse.ArgumentParser(description="Upload the saves on a host to the bucket.")
    parser.add_argument("host", metavar="HOST", help="name or address, reached with this deployment's SSH key")
    parser.add_argument("--user", default="ubuntu", help="the login user, who may use sudo")
    parser.add_argument("--port", type=int, default=22, help="the SSH port")
    arguments = parser.parse_args()
    try:
        address = address_of_host(arguments.host, arguments.user, arguments.port)
    except ValueError as error:
        parser.error(str(error))
    with one_line_errors():
        rescued = asyncio.run(rescue_once(address))
    print(render_table(rescued))  # noqa: T201  (for the operator in a terminal)
    return 0 if all(each.is_safe for each in rescued) else 1


if __name__ == "__main__":
    sys.exit(main())
