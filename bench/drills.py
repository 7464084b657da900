"""Drills of upgrades and outages: each really happens, to real processes, and is judged by what is left.

    python -m bench.drills [--only WORD ...] [--launches 6] [--clients 200] [--minutes 1] [--write]

The embedded database and Temporal are used; TEST_MONGODB_URI names a real MongoDB instead. Sizes are small by default:
docs/drills.md says what a large run takes. `--write` replaces the table there. Exits with 1 if anything was lost,
doubled, late or wrong. A drill that needs root or a program that is missing says so.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from bench.drill_outages import (
    OUTAGES,
    drill_clock_jump,
    drill_dns,
    drill_full_database_disk,
    drill_full_disk,
    drill_outage,
)
from bench.drill_replacements import drill_drain, drill_kills, drill_reconnect, drill_upgrade
from bench.drill_world import Outcome

Drill = Callable[[Path], Awaitable[Outcome]]
_PAGE: Final = Path(__file__).parents[1] / "docs" / "drills.md"
_BEGIN: Final = "<!-- the drills; `make drills WRITE=1` writes them -->"
_END: Final = "<!-- the end of the drills -->"


def drills(launches: int, clients: int, minutes: float) -> dict[str, Drill]:
    """Return all drills by the words that `--only` is compared with."""
    outages: dict[str, Drill] = {name: _outage(name, launches) for name in OUTAGES}
    return {
        "drain sigterm": lambda folder: drill_drain(folder, launches, clients),
        "reconnect": lambda folder: drill_reconnect(folder, launches, clients),
        "upgrade": lambda folder: drill_upgrade(folder, launches),
        "kills": lambda folder: drill_kills(folder, launches, minutes),
        **outages,
        "dns": lambda folder: drill_dns(folder, launches),
        "full disk": lambda folder: drill_full_disk(folder, launches),
        "full disk of the database": lambda folder: drill_full_database_disk(folder, launches),
        "clock": lambda folder: drill_clock_jump(folder, launches),
    }


def _outage(name: str, launches: int) -> Drill:
    return partial(_named_outage, name, launches)


async def _named_outage(name: str, launches: int, folder: Path) -> Outcome:
    return await drill_outage(name, folder, launches)


def run(name: str, drill: Drill, folder: Path) -> Outcome:
    """Do one drill in a folder of its own; one that breaks is a fault, and the others go on."""
    folder.mkdir(parents=True)
    try:
        return asyncio.run(_awaited(drill, folder))
    except Exception:
        return Outcome(name, faults=[f"the drill broke: {traceback.format_exc().splitlines()[-1]}"])


async def _awaited(drill: Drill, folder: Path) -> Outcome:
    return await drill(folder)


def table(outcomes: list[tuple[Outcome, float]]) -> str:
    """Return the outcomes as a table in Markdown."""
    rows = [
        f"| {outcome.name} | {'; '.join(outcome.measured)} | {'; '.join(outcome.faults) or 'none'} | {seconds:.0f} s |"
        for outcome, seconds in outcomes
    ]
    return "\n".join(["| drill | measured | faults | took |", "|---|---|---|---|", *rows])


def write(text: str) -> None:
    """Replace the table in docs/drills.md."""
    page = _PAGE.read_text()
    before, _, rest = page.partition(_BEGIN)
    after = rest.partition(_END)[2]
    about = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load average {os.getloadavg()[2]:.0f}"
    _PAGE.write_text(f"{before}{_BEGIN}\n{about}\n\n{text}\n{_END}{after}")


def main() -> int:
    """Run the command and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="WORD", help="drills whose name contains one of these words")
    parser.add_argument("--launches", type=int, default=6, help="launches of each drill")
    parser.add_argument("--clients", type=int, default=200, help="clients that follow launches")
    parser.add_argument("--minutes", type=float, default=1, help="how long processes are killed")
    parser.add_argument("--write", action="store_true", help="write the table into docs/drills.md")
    parser.add_argument("--folder", type=Path, help="keep logs here")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="drills-"))
    chosen = {
        name: drill
        for name, drill in drills(given.launches, given.clients, given.minutes).items()
        if not given.only or any(word.lower() in name.lower() for word in given.only)
    }
    outcomes: list[tuple[Outcome, float]] = []
    for number, (name, drill) in enumerate(chosen.items()):
        print(f"drill: {name}", flush=True)
        began = time.monotonic()
        outcome = run(name, drill, folder / str(number))
        outcomes.append((outcome, time.monotonic() - began))
        print("\n".join(f"  {line}" for line in [*outcome.measured, *(f"FAULT {each}" for each in outcome.faults)]))
    if given.write:
        write(table(outcomes))
    print(f"logs in {folder}")
    return 1 if any(outcome.faults for outcome, _ in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
