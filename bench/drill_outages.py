"""Drills in which something that the service needs is away, slow, silent or wrong, by really doing it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.drill_wire import Mode, Reading, Readings, Wire
from bench.drill_world import Outcome, World, fill, lacking, small_disk, world
from tests.e2e.service import Gateway
from tests.fault_proxy import WRITES, Error, Fault

_OUTAGE_S: Final = 15.0
_FULL_S: Final = 75.0
_NOTICED_S: Final = 8.0  # /ready waits three seconds for a check, and is read four times a second
_RECOVERED_S: Final = 30.0
_MINUTE_S: Final = 60.0
_STEPPED_DOWN: Final = Error(10107, "NotWritablePrimary", ["RetryableWriteError"])
_FAKETIME: Final = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


@dataclass(frozen=True, slots=True)
class Outage:
    """How an outage begins and ends, and what /ready must say of it.

    `status` is what /ready responds with during the outage, None if that depends; `names` is the check that must fail
    in it; `writable` is what it says of the database.
    """

    begin: Callable[[World], Awaitable[None]]
    end: Callable[[World], Awaitable[None]]
    status: int | None = 503
    names: str | None = None
    writable: bool = True
    seconds: float = _OUTAGE_S


def _on(of: Callable[[World], Wire], mode: Mode, names: str | None, *, status: int = 503) -> Outage:
    async def begin(drilled: World) -> None:
        of(drilled).set_mode(mode)

    async def end(drilled: World) -> None:
        of(drilled).set_mode(Mode.PASS)

    return Outage(begin, end, status, names)


async def _step_down(drilled: World) -> None:
    drilled.commands.add(Fault(WRITES, error=_STEPPED_DOWN))
    drilled.commands.reset_connections()


async def _step_up(drilled: World) -> None:
    drilled.commands.clear()


OUTAGES: Final = {
    "the database is away": _on(lambda drilled: drilled.database, Mode.AWAY, "database"),
    "the database is silent": _on(lambda drilled: drilled.database, Mode.SILENT, "database"),
    "the database is slow": _on(lambda drilled: drilled.database, Mode.SLOW, None, status=200),
    "the database steps down": Outage(_step_down, _step_up, status=200, writable=False),
    "Temporal is away": _on(lambda drilled: drilled.temporal, Mode.AWAY, "engine"),
    "Temporal is silent": _on(lambda drilled: drilled.temporal, Mode.SILENT, "engine"),
    "the cloud is silent": _on(lambda drilled: drilled.cloud, Mode.SILENT, None, status=200),
}


async def drill_outage(name: str, folder: Path, launches: int) -> Outcome:
    """Order launches, let the outage begin in the middle of them, and see that all of them become READY."""
    outcome = Outcome(name)
    async with world(folder) as drilled:
        gateway = await drilled.gateway()
        drilled.process("worker")
        await _during(drilled, gateway, OUTAGES[name], outcome, launches)
    return outcome


async def _during(drilled: World, gateway: Gateway, outage: Outage, outcome: Outcome, launches: int) -> None:
    async with drilled.readings(gateway).kept() as readings:
        outcome.expect(await readings.until(200, _MINUTE_S) is not None, "/ready never was 200")
        ordered = await drilled.launch(gateway, launches)
        await drilled.until_begun(gateway, ordered)
        began = time.monotonic()
        await outage.begin(drilled)
        noticed: float | None = 0.0
        if outage.status is not None:
            noticed = await readings.until(outage.status, _NOTICED_S, writable=outage.writable)
        await asyncio.sleep(max(0.0, began + outage.seconds - time.monotonic()))
        ended = time.monotonic()
        await outage.end(drilled)
        recovered = await readings.until(200, _RECOVERED_S, writable=True)
        statuses = await drilled.until_over(lambda: gateway, ordered)
    _judge_readings(outcome, outage, readings, (began, ended), noticed, recovered)
    await drilled.judge(outcome, statuses, launches)


def _judge_readings(
    outcome: Outcome,
    outage: Outage,
    readings: Readings,
    span: tuple[float, float],
    noticed: float | None,
    recovered: float | None,
) -> None:
    began, ended = span
    later = began + (noticed or _NOTICED_S)
    wrong = [each for each in readings.between(later, ended) if not _fits(each, outage)]
    outcome.expect(noticed is not None, f"/ready did not say {outage.status} within {_NOTICED_S:g} s")
    outcome.expect(recovered is not None, f"/ready was not 200 again within {_RECOVERED_S:g} s")
    outcome.expect(not wrong, f"/ready said otherwise in the outage: {sorted({each.status for each in wrong})}")
    first = next((each.at for each in readings.taken if each.status == 200), began)
    early = [each.status for each in readings.between(first, began) if each.status != 200]
    outcome.expect(not early, f"/ready said {sorted(set(early))} before the outage")
    seen = "not in time" if noticed is None else f"after {noticed:.1f} s"
    if outage.status is None:
        said = Counter(
            (each.status, "writable" if each.writable else "not writable") for each in readings.between(*span)
        )
        seen = ", ".join(f"{status} {words} {count} times" for (status, words), count in said.items())
    back = "not in time" if recovered is None else f"after {recovered:.1f} s"
    outcome.measured.append(f"/ready: {outage.status or 'said'} {seen}, 200 again {back}")


def _fits(reading: Reading, outage: Outage) -> bool:
    if outage.status is None:
        return True
    named = outage.names is None or outage.names in reading.failing
    return reading.status == outage.status and named and (outage.writable or not reading.writable)


async def drill_dns(folder: Path, launches: int) -> Outcome:
    """Let the names of database and Temporal be unknown, in processes that have a file of hosts of their own."""
    outcome = Outcome("DNS fails")
    if (reason := lacking("unshare")) is not None:
        outcome.measured.append(f"SKIPPED: {reason}")
        return outcome
    hosts = folder / "hosts"
    known = "127.0.0.1 localhost\n127.0.0.1 database.test temporal.test\n"
    hosts.write_text(known)
    prefix = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts))
    async with world(folder) as drilled:
        environment = drilled.deployed.environment
        for name, host in (("MONGODB_ATLAS_URI", "database.test"), ("TEMPORAL_ADDRESS", "temporal.test")):
            environment[name] = environment[name].replace("127.0.0.1", host, 1)

        async def begin(_: World) -> None:
            hosts.write_text("127.0.0.1 localhost\n")
            drilled.database.reset()
            drilled.temporal.reset()

        async def end(_: World) -> None:
            hosts.write_text(known)

        gateway = await drilled.gateway(*prefix)
        drilled.process("worker", *prefix)
        await _during(drilled, gateway, Outage(begin, end, names="database"), outcome, launches)
    return outcome


async def drill_full_disk(folder: Path, launches: int) -> Outcome:
    """Fill the disk that gateway and worker write to: CloudyPad keeps its files there."""
    outcome = Outcome("the disk of the processes is full")
    if (reason := lacking("mount", "umount")) is not None:
        outcome.measured.append(f"SKIPPED: {reason}")
        return outcome
    async with small_disk(folder / "disk", 16) as disk, world(folder) as drilled:
        drilled.deployed.environment["DATA_DIR"] = str(disk / "data")
        gateway = await drilled.gateway()
        drilled.process("worker")

        async def begin(_: World) -> None:
            await asyncio.to_thread(fill, disk)

        async def end(_: World) -> None:
            (disk / "filling").unlink()

        await _during(drilled, gateway, Outage(begin, end, status=200), outcome, launches)
    return outcome


async def drill_full_database_disk(folder: Path, launches: int) -> Outcome:
    """Fill the disk of the embedded database for longer than its log has room: until then it accepts writes."""
    outcome = Outcome("the database's disk is full")
    if (reason := lacking("mount", "umount")) is not None:
        outcome.measured.append(f"SKIPPED: {reason}")
        return outcome
    async with AsyncExitStack() as stack:
        disk = await stack.enter_async_context(small_disk(folder / "disk", 512))
        drilled = await stack.enter_async_context(world(folder, services=disk / "services"))
        gateway = await drilled.gateway()
        drilled.process("worker")

        async def begin(_: World) -> None:
            await asyncio.to_thread(fill, disk)

        async def end(_: World) -> None:
            (disk / "filling").unlink()

        await _during(drilled, gateway, Outage(begin, end, status=None, seconds=_FULL_S), outcome, launches)
    return outcome


async def drill_clock_jump(folder: Path, launches: int) -> Outcome:
    """Let the clocks of gateway and worker jump an hour ahead and back; monotonic clocks go on, as after NTP."""
    outcome = Outcome("the clock jumps an hour ahead and back")
    if (reason := _lacking_faketime()) is not None:
        outcome.measured.append(f"SKIPPED: {reason}")
        return outcome
    offset = folder / "offset"
    offset.write_text("+0")
    async with world(folder) as drilled:
        fake = {
            "LD_PRELOAD": _FAKETIME,
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_CACHE_DURATION": "1",
            "NO_FAKE_STAT": "1",  # times of files stay, or Python compiles everything again
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

        async def begin(_: World) -> None:
            offset.write_text("+1h")

        async def end(_: World) -> None:
            offset.write_text("+0")

        gateway = await drilled.gateway(**fake)
        drilled.process("worker", environment=fake)
        await _during(drilled, gateway, Outage(begin, end, status=200), outcome, launches)
    return outcome


def _lacking_faketime() -> str | None:
    return None if Path(_FAKETIME).exists() else f"{_FAKETIME} not found: apt-get install faketime"
