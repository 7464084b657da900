"""Compares what the clouds, our records, our meter and the bucket report about the same machines.

Compared exactly, once unrequested changes have had `UNASKED_S` to be noticed:
- the machines that exist at the clouds and the records that are alive: the same ones, on and off alike;
- the machines that exist and the usage intervals that are open: one each, in the cloud's state; none for any other;
- each machine's intervals: numbered, without a gap or an overlap, at most the last one open;
- one machine for each tag at any time;
- the last save that was written on each machine: in the bucket, or still on a machine that says so;
- the workflows that run and the records: one for each machine that is alive, none for any other, none for a launch.

Compared by time: each machine's intervals with the times at which its cloud reports it on, off and gone. Both read the
same clock, in real time, whatever the factor of the simulated one. Our time is when the cloud accepted the request
or, if it reports no time, when it first reported the change. So each change of a machine's state may be metered off by
`ORDERED_S`, an unrequested one by `UNASKED_S`, or by `ASLEEP_S` for a machine that was off. After its workflow was
terminated, a machine is not monitored until the sweeper notices: `TERMINATED_S` for each time. These are the maxima
under faults; the figures show the usual values.

Compared by the money: what each machine cost by its cloud's own bill, to the cent, after every bad day as well. More
is allowed where a price was changed, which is asked for every `PRICED_S`, and where a workflow was terminated. Google
keeps no bill that could be asked for: its machines' times are compared.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Final

from bench.soak_incidents import Incidents
from bench.soak_lives import Life, Span, apart_s, lives
from bench.soak_players import SAVE, Played
from fleet.messages import machine_workflow_id
from fleet.warm_pool.metering import chain_id
from models.database import Database
from models.usage import UsageInterval, UsageState
from models.vms import ENDED, Vm, VmStatus
from models.warm_machines import WarmMachine, WarmStatus
from tests.e2e.engine import Engine
from tests.e2e.service import Deployment

# A change that we requested: the worker is killed before it could record the change. Another worker gets the step after
# the heartbeat's ten seconds, and retries a failing cloud after at most ten; the response may be late.
ORDERED_S: Final = 30.0
# An unrequested change: a machine is checked every twenty seconds, and the check itself may take as long as the timeout
# of an unresponsive machine; and what a killed worker adds.
UNASKED_S: Final = 60.0
# A machine that is off, and costs only its disk, is checked every five minutes.
ASLEEP_S: Final = 300.0 + UNASKED_S
# A sweep every minute, one more look of the list of workflows, and then as above.
TERMINATED_S: Final = 120.0 + UNASKED_S
PRICED_S: Final = 600.0 + UNASKED_S
_CENT: Final = Decimal("0.01")
_HOUR: Final = timedelta(hours=1)
_STATES: Final[dict[VmStatus | WarmStatus, UsageState]] = {
    VmStatus.RUNNING: UsageState.RUNNING,
    VmStatus.STOPPED: UsageState.STOPPED,
    WarmStatus.READY: UsageState.STOPPED,
}


@dataclass
class Verdict:
    """Differences are wrong; the rest is what was counted and how close it came."""

    differences: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, other: Verdict) -> None:
        """Add what was found at another time, or of another installation."""
        self.figures |= {f"{name}, {figure}": value for figure, value in other.figures.items()}
        self.differences += [f"{name}, {each}" for each in other.differences]

    def text(self) -> str:
        figures = [f"  {name}: {value}" for name, value in self.figures.items()]
        verdict = ["everything agrees"] if not self.differences else [f"  DIFFERS: {each}" for each in self.differences]
        return "\n".join([*figures, *verdict])


@dataclass(frozen=True, slots=True)
class Machine:
    """All that is known of one tag."""

    tag: str
    lives: tuple[Life, ...]
    vm: Vm | None
    intervals: tuple[UsageInterval, ...]
    warm: WarmMachine | None = None  # its record in the warm pool, before it became a VM

    @property
    def state(self) -> UsageState | None:
        """Return its state at the cloud, or None if it does not exist."""
        return next((life.state for life in self.lives if life.state is not None), None)

    def terminations(self, incidents: Incidents) -> int:
        return 0 if self.vm is None else incidents.terminated[self.vm.id]

    def allowed_usd(self, incidents: Incidents) -> Decimal:
        """Return how far our meter may be from the cloud's bill."""
        late = sum((incidents.price_changes_usd[life.machine_id] for life in self.lives), Decimal(0))
        dearest = max((each.usd_per_hour for each in self.intervals), default=Decimal(0))
        unwatched = dearest * self.terminations(incidents)
        return _CENT + (late * Decimal(PRICED_S) + unwatched * Decimal(TERMINATED_S)) / 3600

    @property
    def spans(self) -> list[Span]:
        return [Span(each.start, each.end, each.state) for each in self.intervals]


async def compared(deployed: Deployment, db: Database, engine: Engine, played: Played, incidents: Incidents) -> Verdict:
    """Compare the clouds with the records, the workflows and the saves."""
    machines = await _machines(deployed, db)
    verdict = judged(machines, incidents)
    _owned(machines, {run.id for run in await engine.running()}, verdict)
    _saved(deployed, machines, played, verdict)
    return verdict


def judged(machines: Sequence[Machine], incidents: Incidents) -> Verdict:
    """Return all but the workflows and the saves."""
    verdict = Verdict()
    _alive(machines, verdict)
    _one_at_a_time(machines, verdict)
    _metered(machines, incidents, verdict)
    _billed(machines, incidents, verdict)
    return verdict


async def _machines(deployed: Deployment, db: Database) -> list[Machine]:
    """Return all machines of any cloud, record or interval."""
    by_tag: dict[str, list[Life]] = defaultdict(list)
    for life in await lives(deployed):
        by_tag[life.tag].append(life)
    vms = {vm.tag: vm for vm in await db.find(Vm, {})}
    metered: dict[str, list[UsageInterval]] = defaultdict(list)
    for each in await db.find(UsageInterval, {}, sort=[("vm_id", 1), ("number", 1)]):
        metered[each.vm_id].append(each)
    pooled = {each.tag: each for each in await db.find(WarmMachine, {})}
    return [
        Machine(
            tag,
            tuple(sorted(by_tag[tag], key=lambda life: life.began_at)),
            vms.get(tag),
            (
                *(metered[chain_id(pooled[tag].id)] if tag in pooled else ()),
                *(metered[vms[tag].id] if tag in vms else ()),
            ),
            pooled.get(tag),
        )
        for tag in sorted({*by_tag, *vms, *pooled})
    ]


def _alive(machines: Sequence[Machine], verdict: Verdict) -> None:
    """Compare the clouds' list, our records and the open intervals."""
    there = [machine for machine in machines if machine.state is not None]
    ours = [machine for machine in machines if machine.vm is not None and machine.vm.status not in ENDED]
    on_meter = [machine for machine in machines if machine.intervals and machine.intervals[-1].end is None]
    verdict.figures["machines at the clouds / on record as alive / intervals open"] = (
        f"{len(there)} / {len(ours)} / {len(on_meter)}"
    )
    for machine in machines:
        recorded: VmStatus | WarmStatus | None = None if machine.vm is None else machine.vm.status
        if machine.vm is None and machine.warm is not None:
            recorded = machine.warm.status
        metered = machine.intervals[-1].state if machine in on_meter else None
        expected = None if recorded is None or recorded in ENDED else _STATES.get(recorded)
        if recorded in {WarmStatus.PREPARING, WarmStatus.RELEASING}:
            expected = metered  # on or off, as its meter says
        if machine.vm is not None and machine.vm.billed_in_full and recorded is VmStatus.STOPPED:
            expected = UsageState.RUNNING
        if not machine.state is expected is metered:
            verdict.differences.append(
                f"{machine.tag} is {machine.state or 'not there'} at its cloud, {recorded or 'unknown'} on record and "
                f"{metered or 'closed'} on the meter"
            )


def _one_at_a_time(machines: Sequence[Machine], verdict: Verdict) -> None:
    """Check that no tag had two machines at once."""
    doubles = 0
    for machine in machines:
        for first, second in pairwise(machine.lives):
            if first.ended_at is None or first.ended_at > second.began_at:
                doubles += 1
                verdict.differences.append(f"{machine.tag} had two machines at once")
    rented = sum(len(machine.lives) for machine in machines)
    tags = sum(1 for machine in machines if machine.lives)
    verdict.figures["machines ever / tags / doubles"] = f"{rented} / {tags} / {doubles}"


def _owned(machines: Sequence[Machine], running: Set[str], verdict: Verdict) -> None:
    """Compare the workflows that run with the records. A LOST machine is the sweeper's, with a workflow or without."""
    alive = [machine.vm for machine in machines if machine.vm is not None and machine.vm.status not in ENDED]
    expected = {machine_workflow_id(vm.id) for vm in alive if vm.status is not VmStatus.LOST}
    spared = {machine_workflow_id(vm.id) for vm in alive if vm.status is VmStatus.LOST}
    verdict.figures["workflows that run / machines that need one"] = f"{len(running)} / {len(expected)}"
    verdict.differences += [f"{each} does not run" for each in sorted(expected - running)]
    verdict.differences += [f"{each} runs for no record that is alive" for each in sorted(running - expected - spared)]


def _metered(machines: Sequence[Machine], incidents: Incidents, verdict: Verdict) -> None:
    """Compare each machine's intervals with its cloud's report of the same time."""
    now, per_change = datetime.now(UTC), list[float]()
    for machine in machines:
        if not machine.lives:
            if machine.intervals:
                verdict.differences.append(f"{machine.tag} was never rented, and metered")
            continue
        verdict.differences += _broken(machine)
        theirs = [span for life in machine.lives for span in life.spans]
        changes = len(theirs) + sum(1 for life in machine.lives if life.ended_at is not None)
        unasked = min(changes, sum(incidents.unasked[life.machine_id] for life in machine.lives))
        apart = apart_s(machine.spans, theirs, now)
        per_change.append(apart / changes)
        unwatched_s = machine.terminations(incidents) * TERMINATED_S
        asleep = min(unasked, sum(life.vanished_asleep for life in machine.lives))
        unseen_s = (unasked - asleep) * UNASKED_S + asleep * ASLEEP_S
        if apart > (changes - unasked) * ORDERED_S + unseen_s + unwatched_s:
            verdict.differences.append(
                f"{machine.tag}: {apart:.1f} s are metered otherwise than its cloud says, in {changes} changes of "
                f"which {unasked} nobody ordered"
            )
    if len(per_change) > 1:
        most = quantiles(per_change, n=20)[-1]
        verdict.figures["metered otherwise, seconds per change: median / 95 % / most"] = (
            f"{median(per_change):.2f} / {most:.2f} / {max(per_change):.2f}"
        )


def _broken(machine: Machine) -> list[str]:
    if not machine.intervals:
        return [f"{machine.tag} was rented and never metered"]
    wrong = [f"{machine.tag} has a gap or an overlap" for a, b in pairwise(machine.intervals) if a.end != b.start]
    for chain_warm in (True, False):  # the pool's usage and the VM's are numbered each by itself
        numbers = [each.number for each in machine.intervals if each.warm is chain_warm]
        if numbers != list(range(1, len(numbers) + 1)):
            wrong.append(f"the intervals of {machine.tag} are numbered {numbers}")
    return wrong


def _billed(machines: Sequence[Machine], incidents: Incidents, verdict: Verdict) -> None:
    now, total, off = datetime.now(UTC), Decimal(0), list[Decimal]()
    for machine in machines:
        bills = [life.billed_usd for life in machine.lives if life.billed_usd is not None]
        if not bills:
            continue
        theirs, ours = sum(bills, Decimal(0)), sum((_usd(each, now) for each in machine.intervals), Decimal(0))
        total += theirs
        off.append(ours - theirs)
        if abs(ours - theirs) >= machine.allowed_usd(incidents):
            verdict.differences.append(f"{machine.tag} cost {theirs:.4f} USD, and our meter says {ours:.4f}")
    if off:
        verdict.figures["billed / our meter's difference / most for one machine / mean of one"] = (
            f"{total:.4f} / {sum(off, Decimal(0)):+.4f} / {max(off, key=abs):+.4f} / {mean(map(abs, off)):.5f} USD"
        )


def _saved(deployed: Deployment, machines: Sequence[Machine], played: Played, verdict: Verdict) -> None:
    """Check that the last save of each machine is in the bucket, or still on a machine that reports it.

    Saves that disappeared with a vanished machine are exempt.
    """
    by_id = {life.machine_id: (life, machine.vm) for machine in machines for life in machine.lives}
    kept: dict[str, set[str]] = {}
    counts = {"in the bucket": 0, "on a machine that waits": 0, "gone with a machine that vanished": 0}
    for machine_id, (player, content) in played.last.items():
        if player not in kept:
            kept[player] = _versions(deployed.bucket / "saves/users" / player)
        life, vm = by_id[machine_id]
        if content in kept[player]:
            counts["in the bucket"] += 1
        elif life.ended_by == "vanished":
            counts["gone with a machine that vanished"] += 1
        elif life.ended_at is None and vm is not None and vm.saves_pending:
            counts["on a machine that waits"] += 1
        else:
            verdict.differences.append(f"the save {content!r} is lost ({life.ended_by}, {vm and vm.status})")
    verdict.figures["last saves"] = ", ".join(f"{count} {where}" for where, count in counts.items())


def _versions(folder: Path) -> set[str]:
    """Return all contents that the bucket holds of a player, current or not."""
    found = set()
    for path in folder.rglob("*.tar.gz"):
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(path.read_bytes()))) as archive:
            if SAVE in archive.getnames() and (file := archive.extractfile(SAVE)) is not None:
                found.add(file.read().decode())
    return found


def _usd(interval: UsageInterval, now: datetime) -> Decimal:
    elapsed = (interval.end or now) - interval.start
    return interval.usd_per_hour * Decimal(elapsed // timedelta(microseconds=1)) / (_HOUR // timedelta(microseconds=1))
