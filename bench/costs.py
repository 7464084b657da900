"""Measures reports over twelve months with a million usage intervals in the embedded database.

    python -m bench.costs [--intervals 1000000] [--users 2000] [--cache FOLDER] [--rebuild] [--database]

Starts a database, fills it, computes all rollups with the service's own `Rollups.rebuild`, and requests reports as the
gateway would, in every granularity and grouping. With `--cache` the data is kept in that folder, so that the next run
takes less than a minute. `--rebuild` recomputes the rollups, and `--database` also measures how long the database takes
for the same sums.
"""

from __future__ import annotations

import argparse
import asyncio
import os
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
from itertools import islice
from pathlib import Path
from typing import Any, Final

from billing.reports import Reports
from billing.rollups import Rollups
from billing.windows import Granularity, window_of
from errors import InvalidInputError
from models.catalog import ConsoleType
from models.database import Database
from models.registry import DOCUMENTS
from models.rollups import EVERYBODY, RolledSpan, Rollup, RollupKind, Span, Unit
from models.usage import UsageInterval, UsageState
from providers.base import ProviderName

NOW: Final = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
FIRST: Final = datetime(2025, 11, 21, tzinfo=UTC)
YEAR: Final = window_of(date(2025, 11, 21), date(2026, 11, 20))
MONTHS: Final = 13  # have a day in the year
_BATCH: Final = 10_000
_PRICES: Final = [Decimal("0.1523"), Decimal("0.2871"), Decimal("0.4512"), Decimal("0.7899")]
_RUNS: Final = 7


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--intervals", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--cache", type=Path, help="where the written database is kept")
    parser.add_argument("--rebuild", action="store_true", help="add up anew what is kept")
    parser.add_argument("--database", action="store_true", help="measure sums by the database as well")
    arguments = parser.parse_args()
    name = f"{arguments.intervals}-of-{arguments.users}"
    with kept(arguments.cache, name) as folder, server(folder / "data") as uri:
        written = folder / "written"
        if not written.exists():
            asyncio.run(write(uri, arguments.intervals, arguments.users))
            written.touch()
        asyncio.run(measure(uri, arguments))


@contextmanager
def kept(cache: Path | None, name: str) -> Iterator[Path]:
    """Return the cache's folder, or else a temporary one."""
    if cache is not None:
        (cache / name).mkdir(parents=True, exist_ok=True)
        yield cache / name
        return
    folder = Path(tempfile.mkdtemp(prefix="bench-costs-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def write(uri: str, count: int, users: int) -> None:
    """Write machines with ten intervals each, alternately running and stopped, over the year; the last ones still run.

    Indexes are created afterwards, which takes half the time of maintaining them during the writes.
    """
    db = Database(uri, "bench", timeout_s=900)
    await db.drop()  # data of an interrupted run
    began, made = time.perf_counter(), intervals(count, users)
    while batch := list(islice(made, _BATCH)):
        await db.insert_many(batch)
    await db.ensure_indexes(DOCUMENTS)
    say(f"{count:,} intervals of {users:,} users written and indexed in {time.perf_counter() - began:.0f} s")
    await db.close()


async def measure(uri: str, arguments: argparse.Namespace) -> None:
    """Measure reports of every granularity and grouping."""
    db = Database(uri, "bench", timeout_s=900)
    await db.ensure_indexes(DOCUMENTS)
    if arguments.rebuild or await db.count(RolledSpan, {"span": Span.MONTH}) < MONTHS:
        began = time.perf_counter()
        days = await Rollups(db).rebuild(NOW)
        say(f"{days} closed days added up in {time.perf_counter() - began:.0f} s (once; afterwards one day a night)")
    say(f"load averages before: {os.getloadavg()}, on {os.cpu_count()} cores")
    for granularity in Granularity:
        for group_by in RollupKind:
            for user_id in (None, "user-7"):
                await report(db, granularity, group_by, user_id)
    if arguments.database:
        await by_the_database(db)
    await db.close()


async def report(db: Database, granularity: Granularity, group_by: RollupKind, user_id: str | None) -> None:
    """Print how long one kind of report takes."""
    name = f"{user_id or 'everybody'} by {granularity} and {group_by}"
    seconds: list[float] = []
    worked_s = time.process_time()
    try:
        for _ in range(_RUNS):
            began = time.perf_counter()
            made = await Reports(db).report(YEAR, granularity, group_by, user_id=user_id, now=NOW)
            seconds.append(time.perf_counter() - began)
    except InvalidInputError as refused:
        say(f"{name}: refused, {refused.message}")
        return
    lines = sum(len(bucket.lines) for bucket in made.buckets)
    median, worst = statistics.median(seconds), max(seconds)
    worked_s = (time.process_time() - worked_s) / _RUNS
    times = f"median {median:.3f} s, worst {worst:.3f} s, of which the service worked {worked_s:.3f} s"
    say(f"{name}: {times}, {lines:,} lines, total {made.total_usd} USD")


async def by_the_database(db: Database) -> None:
    """Let the database compute the service's sums: the cells of closed days, and the intervals of the open day."""
    cells = {"$zip": {"inputs": ["$cell", "$cell_group", "$usd_ms"]}}
    table = {"whose": EVERYBODY, "span": Span.DAY, "kind": RollupKind.PROVIDER, "unit": Unit.HOUR}
    hours: list[dict[str, Any]] = [
        {"$match": {**table, "start": {"$gte": YEAR.start, "$lt": YEAR.end}}},
        {"$project": {"start": 1, "groups": 1, "cells": cells}},
        {"$unwind": "$cells"},
        {
            "$project": {
                "start": 1,
                "groups": 1,
                "hour": _at("$cells", 0),
                "group": _at("$cells", 1),
                "usd": _at("$cells", 2),
            }
        },
        {
            "$group": {
                "_id": {"start": "$start", "hour": "$hour", "group": _at("$groups", "$group")},
                "usd_ms": {"$sum": {"$toDecimal": "$usd"}},
            }
        },
    ]
    today = NOW.replace(hour=0, minute=0)
    price = {"$add": ["$machine_usd_per_hour", "$storage_usd_per_hour", "$egress_usd_per_hour"]}
    clipped = {"$subtract": [{"$min": ["$end", NOW]}, {"$max": ["$start", today]}]}
    running_day: list[dict[str, Any]] = [
        {"$match": {"end": {"$gt": today}, "start": {"$lt": NOW}}},
        {"$group": {"_id": "$provider", "usd_ms": {"$sum": {"$multiply": [price, clipped]}}}},
    ]
    for name, model, pipeline in (
        ("by hour and provider", Rollup, hours),
        ("the ended intervals of the running day", UsageInterval, running_day),
    ):
        began = time.perf_counter()
        found = await db.aggregate(model, pipeline)
        say(f"the database, {name}: {time.perf_counter() - began:.3f} s, {len(found):,} sums")


def _at(array: str, index: int | str) -> dict[str, Any]:
    return {"$arrayElemAt": [array, index]}


def intervals(count: int, users: int) -> Iterator[UsageInterval]:
    """Yield usage intervals of a year, the same ones in every run."""
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
    """Run a database server in this folder; yield its address."""
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
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
