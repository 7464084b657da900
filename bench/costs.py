"""How long a report over twelve months takes, with a million usage intervals in the embedded database.

    python -m bench.costs [--intervals 1000000] [--users 2000]

Starts a database of its own in a temporary folder, fills it in batches, adds all of it up with the service's own
`Rollups.rebuild`, and asks for reports as the gateway would. A million intervals take some minutes to write.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from billing.reports import Reports
from billing.rollups import Rollups
from billing.windows import Granularity, window_of
from models.catalog import ConsoleType
from models.database import Database
from models.everything import DOCUMENTS
from models.rollups import RollupKind
from models.usage import UsageInterval, UsageState
from providers.base import ProviderName

NOW: Final = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
FIRST: Final = datetime(2025, 11, 21, tzinfo=UTC)
YEAR: Final = window_of(date(2025, 11, 21), date(2026, 11, 20))
_BATCH: Final = 5_000
_PRICES: Final = [Decimal("0.1523"), Decimal("0.2871"), Decimal("0.4512"), Decimal("0.7899")]
_RUNS: Final = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--intervals", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=2_000)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-costs-"))
    try:
        with server(folder) as uri:
            asyncio.run(measure(uri, arguments.intervals, arguments.users))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def measure(uri: str, count: int, users: int) -> None:
    db = Database(uri, "bench", timeout_s=600)
    await db.ensure_indexes(DOCUMENTS)
    began = time.perf_counter()
    await fill(db, count, users)
    say(f"{count:,} intervals of {users:,} users written in {time.perf_counter() - began:.0f} s")
    began = time.perf_counter()
    days = await Rollups(db).rebuild(NOW)
    say(f"{days} closed days added up in {time.perf_counter() - began:.0f} s (once; afterwards one day a night)")
    await report(db, "twelve months by month, by provider", Granularity.MONTH, RollupKind.PROVIDER)
    await report(db, "twelve months by day, by provider", Granularity.DAY, RollupKind.PROVIDER)
    await report(db, "twelve months by day, by console", Granularity.DAY, RollupKind.CONSOLE)
    await report(db, "twelve months by hour, by provider", Granularity.HOUR, RollupKind.PROVIDER)
    await report(db, "twelve months by day, one user's by VM", Granularity.DAY, RollupKind.VM, user_id="user-7")
    await db.close()


async def report(
    db: Database, name: str, granularity: Granularity, group_by: RollupKind, user_id: str | None = None
) -> None:
    seconds: list[float] = []
    total = Decimal(0)
    for _ in range(_RUNS):
        began = time.perf_counter()
        made = await Reports(db).report(YEAR, granularity, group_by, user_id=user_id, now=NOW)
        seconds.append(time.perf_counter() - began)
        total = made.total_usd
    say(f"{name}: median {statistics.median(seconds):.3f} s, worst {max(seconds):.3f} s, total {total} USD")


async def fill(db: Database, count: int, users: int) -> None:
    """Machines of ten intervals each, running and stopped in turn, spread over the year; the last ones still run."""
    batch: list[UsageInterval] = []
    for interval in intervals(count, users):
        batch.append(interval)
        if len(batch) == _BATCH:
            await db.insert_many(batch)
            batch.clear()
    await db.insert_many(batch)


def intervals(count: int, users: int) -> Iterator[UsageInterval]:
    chance = random.Random(1)  # noqa: S311 - not a secret
    machines = count // 10
    step = (NOW - FIRST) / machines
    for machine in range(machines):
        moment = FIRST + machine * step
        price = chance.choice(_PRICES)
        fixed: dict[str, Any] = {
            "vm_id": f"{machine:018d}",
            "user_id": f"user-{chance.randrange(users)}",
            "provider": chance.choice(list(ProviderName)),
            "console": chance.choice(list(ConsoleType)),
            "storage_usd_per_hour": Decimal("0.0101"),
        }
        for number in range(1, 11):
            running = number % 2 == 1
            end = moment + timedelta(seconds=chance.randrange(600, 14_400))
            yield UsageInterval.model_construct(
                id=f"{machine:018d}:{number}",
                number=number,
                state=UsageState.RUNNING if running else UsageState.STOPPED,
                start=moment,
                end=end if end < NOW else None,
                machine_usd_per_hour=price if running else Decimal(0),
                egress_usd_per_hour=Decimal(0),
                **fixed,
            )
            if end >= NOW:
                break
            moment = end


@contextmanager
def server(folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(str(Path(sys.executable).with_name("secantusd-py")), "--host", "127.0.0.1", "--port", str(port)),
        *("--storage-path", str(folder), "--log-level", "WARNING"),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - ours
        try:
            _await_port(port)
            yield f"mongodb://127.0.0.1:{port}"
        finally:
            process.terminate()


def _await_port(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("the embedded database did not start")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
