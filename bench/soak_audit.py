"""What the clouds, our records, our meter and the bucket say of the same machines, side by side."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from bench.soak_players import SAVE, Played
from models.database import Database
from models.usage import UsageInterval
from models.vms import ENDED, Vm
from tests.e2e.service import Deployment

_CENT: Final = Decimal("0.01")
_HOUR_US: Final = Decimal(3_600_000_000)


@dataclass
class Verdict:
    """Differences are wrong; the rest is what was counted and how close it came."""

    differences: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        figures = [f"  {name}: {value}" for name, value in self.figures.items()]
        verdict = ["everything agrees"] if not self.differences else [f"  DIFFERS: {each}" for each in self.differences]
        return "\n".join([*figures, *verdict])


async def compared(deployed: Deployment, db: Database, played: Played) -> Verdict:
    verdict = Verdict()
    orders = await _orders(deployed)
    vms = {vm.tag: vm for vm in await db.find(Vm, {})}
    await _alive(deployed, vms, verdict)
    _one_at_a_time(orders, verdict)
    await _metered(db, orders, vms, verdict)
    _saved(deployed, orders, vms, played, verdict)
    return verdict


async def _orders(deployed: Deployment) -> list[dict[str, Any]]:
    async with deployed.http.get(f"{deployed.control_url}/orders") as reply:
        found: list[dict[str, Any]] = (await reply.json())["orders"]
    bills = {machine["id"]: machine["billed_usd"] for machine in await deployed.machines()}
    for order in found:
        order["billed_usd"] = order["billed_usd"] or bills[order["instance_id"]]
    return [order for order in found if not order["foreign"]]


async def _alive(deployed: Deployment, vms: dict[str, Vm], verdict: Verdict) -> None:
    """The clouds' list and our live machines."""
    there = {machine["id"] for machine in await deployed.machines() if machine["state"] != "deleting"}
    ours = {vm.provider_id or vm.tag for vm in vms.values() if vm.status not in ENDED}
    verdict.figures["machines at the clouds / on record as alive"] = f"{len(there)} / {len(ours)}"
    verdict.differences += [f"{each} runs and is nobody's" for each in sorted(there - ours)]
    verdict.differences += [f"{each} is on record and does not exist" for each in sorted(ours - there)]


def _one_at_a_time(orders: list[dict[str, Any]], verdict: Verdict) -> None:
    """No tag had two machines at once."""
    lives: dict[str, list[tuple[datetime, datetime | None]]] = defaultdict(list)
    for order in orders:
        lives[order["name"]].append((_time(order["at"]), _ended(order)))
    doubles = 0
    for name, spans in lives.items():
        for (_, end), (start, _) in pairwise(sorted(spans, key=lambda span: span[0])):
            if end is None or end > start:
                doubles += 1
                verdict.differences.append(f"{name} had two machines at once")
    verdict.figures["machines ever / tags / doubles"] = f"{len(orders)} / {len(lives)} / {doubles}"


async def _metered(db: Database, orders: list[dict[str, Any]], vms: dict[str, Vm], verdict: Verdict) -> None:
    """Each machine's life and bill, and our intervals."""
    billed: dict[str, Decimal] = defaultdict(Decimal)
    for order in orders:
        billed[order["name"]] += Decimal(order["billed_usd"])
    late: list[float] = []
    total, off = Decimal(0), Decimal(0)
    for name, usd in billed.items():
        vm = vms.get(name)
        if vm is None:
            verdict.differences.append(f"{name} was rented and has no record")
            continue
        intervals = await db.find(UsageInterval, {"vm_id": vm.id}, sort=[("number", 1)])
        ours = sum((_usd(each) for each in intervals), Decimal(0))
        ended = [_ended(order) for order in orders if order["name"] == name]
        verdict.differences += _broken(name, intervals, alive=None in ended)
        if intervals and None not in ended and (end := intervals[-1].end) is not None:
            late.append((end - max(each for each in ended if each)).total_seconds())
        if abs(ours - usd) >= _CENT:
            verdict.differences.append(f"{name} cost {usd:.4f} USD, and our meter says {ours:.4f}")
        total, off = total + usd, off + ours - usd
    verdict.figures["billed / our meter's difference"] = f"{total:.4f} / {off:+.4f} USD"
    if late:
        verdict.figures["our end after the cloud's, mean / most"] = f"{sum(late) / len(late):.1f} / {max(late):.1f} s"


def _broken(name: str, intervals: list[UsageInterval], *, alive: bool) -> list[str]:
    if not intervals:
        return [f"{name} was rented and never metered"]
    wrong = [f"{name} has a gap or an overlap" for a, b in pairwise(intervals) if a.end != b.start]
    if (intervals[-1].end is None) is not alive:
        wrong.append(f"{name} is {'alive' if alive else 'gone'} and its meter is not")
    return wrong


def _saved(
    deployed: Deployment, orders: list[dict[str, Any]], vms: dict[str, Vm], played: Played, verdict: Verdict
) -> None:
    """What was written last on each machine is in the bucket, or still on a machine that says so, unless a vanished
    machine took it along."""
    by_machine = {order["instance_id"]: order for order in orders}
    records = {vm.provider_id: vm for vm in vms.values()}
    kept: dict[str, set[str]] = {}
    counts = {"in the bucket": 0, "on a machine that waits": 0, "gone with a machine that vanished": 0}
    for machine_id, (player, content) in played.last.items():
        if player not in kept:
            kept[player] = _versions(deployed.bucket / "saves/users" / player)
        vm, ended_by = records.get(machine_id), by_machine[machine_id]["ended_by"]
        if content in kept[player]:
            counts["in the bucket"] += 1
        elif ended_by == "vanished":
            counts["gone with a machine that vanished"] += 1
        elif ended_by is None and vm is not None and vm.saves_pending:
            counts["on a machine that waits"] += 1
        else:
            verdict.differences.append(f"the save {content!r} is lost ({ended_by}, {vm and vm.status})")
    verdict.figures["last saves"] = ", ".join(f"{count} {where}" for where, count in counts.items())


def _versions(folder: Path) -> set[str]:
    """Every content that the bucket holds of a player, current or not."""
    found = set()
    for path in folder.rglob("*.tar.gz"):
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(path.read_bytes()))) as archive:
            if SAVE in archive.getnames() and (file := archive.extractfile(SAVE)) is not None:
                found.add(file.read().decode())
    return found


def _usd(interval: UsageInterval) -> Decimal:
    end = interval.end or datetime.now(interval.start.tzinfo)
    elapsed = end - interval.start
    return interval.usd_per_hour * Decimal(elapsed // (elapsed.resolution)) / _HOUR_US


def _ended(order: dict[str, Any]) -> datetime | None:
    return _time(order["ended_at"]) if order["ended_at"] else None


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
