"""CPU time of one GraphQL operation in the gateway's process, compared in one run.

    python -m bench.execution [--rounds 5] [--baseline COMMIT] [--write]

Starts the embedded database, fills it, and asks three operations in process: one VM with six fields, fifty VMs nested
(about 1,550 fields) and a hundred hostnodes (1,446 fields). Each is executed by compiled plans and by graphql-core, in
turns, by one process for each; with `--baseline` also by the code of another commit, checked out beside this one. The
numbers are CPU milliseconds of the process that answers, from the document's text to the answer's bytes: the database
is another process and is not in them. `--write` adds the table to bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

TREE: Final = Path(__file__).parent.parent
if __name__ == "__main__":
    sys.path[0] = str(Path.cwd())  # a worker measures the code of the tree that it is started in

import orjson  # noqa: E402 - after the path of the code that is measured

RESULTS: Final = TREE / "bench" / "RESULTS.md"
_HEADING: Final = "## Execution in process\n"
# Measured by calls of the parts alone, with process_time, on the machine and at the load of the first table.
_REMARKS: Final = """### Where the time goes

Aims were 40 times less CPU than before plans on the fifty VMs, 8 times on one VM and 20 times on 64 at once. They are
missed. What is left of the fifty VMs, about 7 ms on a machine with ten times more to do than it has cores:

| part | CPU ms |
|---|---|
| four database commands (VMs, launches, usage, consoles), 0.8 to 1.5 each with decoding | 4.2 |
| completing 1,550 fields to dictionaries | 0.6 |
| reading rows from BSON values (150 documents) | 0.5 |
| measuring the document, reading variables, writing JSON | 0.03 |
| the rest: tasks, turns and futures between them (not measured, what remains) | 1.7 |

A `find` that pymongo's asynchronous client awaits takes 0.4 to 0.6 ms of CPU, and a `ping` 0.3, with nothing of ours
around it: one VM is one command, so that 8 times less than before is less than the driver alone takes. At 64 at once,
sixteen requests share each command, and the rest is the work of one request: its context, arguments, one task of a
loader, and its answer.
"""
VMS: Final = 50
HOSTNODES: Final = 100
ONE_VM: Final = "query($id: ID!) { vm(id: $id) { id name provider status hourlyPrice createdAt } }"
NESTED_VMS: Final = """{ vms(first: 50) { edges { cursor node { id name provider providerId status userId gameId
  preset { name vcpus ramGb storageGb } location { city region country countryCode coordinates { latitude longitude } }
  ipAddress hourlyPrice costSoFar createdAt startedAt stopsAt console { type name } launch { id status progress } } }
  pageInfo { hasNextPage endCursor } } }"""
ALL_HOSTNODES: Final = """{ hostnodes(first: 100) { edges { cursor node { id provider
  location { city country coordinates { latitude longitude } } cpuModel vcpusAvailable online
  gpus { model available } } } pageInfo { hasNextPage endCursor } } }"""


@dataclass(frozen=True, slots=True)
class Operation:
    name: str
    query: str
    variables: dict[str, Any]
    times: int
    at_once: int = 1


def operations() -> list[Operation]:
    """Return the operations to measure."""
    from schema.ids import global_id  # noqa: PLC0415 - the tree under measurement

    one = {"id": global_id("VM", vm_id(7))}
    return [
        Operation("one VM", ONE_VM, one, 200),
        Operation("50 VMs nested", NESTED_VMS, {}, 20),
        Operation("100 hostnodes", ALL_HOSTNODES, {}, 20),
        Operation("one VM, 64 at once", ONE_VM, one, 512, 64),
    ]


def vm_id(number: int) -> str:
    """Return the id of the VM with this number."""
    return str(200_000_000_000_000_000 + number)


def launch_id(number: int) -> str:
    """Return the id of the launch with this number."""
    return str(100_000_000_000_000_000 + number)


async def fill(uri: str) -> None:
    """Write the VMs of one player, the launch and the usage of each."""
    from models.database import Database  # noqa: PLC0415
    from models.registry import DOCUMENTS  # noqa: PLC0415
    from models.usage import UsageInterval, UsageState  # noqa: PLC0415
    from tests.gateway import NOON, a_launch, a_vm  # noqa: PLC0415

    db = Database(uri, "bench", timeout_s=60)
    await db.ensure_indexes(DOCUMENTS)
    for number in range(VMS):
        at = NOON + timedelta(minutes=number)
        vm = a_vm(vm_id(number), launch_id=launch_id(number), created_at=at, stops_at=at + timedelta(hours=8))
        await db.insert(a_launch(launch_id(number), requested_at=at, vm_id=vm.id))
        await db.insert(vm)
        await db.insert(
            UsageInterval(
                id=f"{vm.id}:1",
                vm_id=vm.id,
                number=1,
                user_id=vm.user_id,
                provider=vm.provider,
                console=vm.console,
                state=UsageState.RUNNING,
                start=at,
                end=at + timedelta(hours=1),
                machine_usd_per_hour=Decimal("0.45"),
                storage_usd_per_hour=Decimal("0.01"),
            )
        )
    await db.close()


async def work(uri: str, *, plans: bool) -> None:
    """Answer lines of standard input, each the number of an operation, with CPU and wall time."""
    from models.database import Database  # noqa: PLC0415
    from providers.base import Place  # noqa: PLC0415
    from schema.execution.executor import GraphQLExecution  # noqa: PLC0415
    from tests.fakes.cloud import site  # noqa: PLC0415
    from tests.gateway import gateway_world  # noqa: PLC0415

    db = Database(uri, "bench", timeout_s=60)
    async with gateway_world(db) as world:
        world.cloud.stock = [
            site(f"host-{n:03}", Place("Dallas", "Texas", "United States"), "0.45") for n in range(HOSTNODES)
        ]
        execution = world.execution if plans else GraphQLExecution(plans=False)
        known = operations()
        for operation in known:  # what is remembered is there before anything is measured
            await ask(execution, world.services, operation)
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await measured(execution, world.services, known[int(line)])), flush=True)
    await db.close()


async def ask(execution: Any, services: Any, operation: Operation) -> bytes:
    """Execute the operation once and return the response."""
    from resolvers.context import Context  # noqa: PLC0415
    from schema.execution.requests import GraphQLRequest  # noqa: PLC0415  (the tree under measurement)
    from tests.gateway import ANN  # noqa: PLC0415

    context = Context(ANN, services, "bench")
    prepared = execution.prepare(GraphQLRequest(operation.query, None, operation.variables), context)
    answer = await execution.execute(prepared, context)
    assert "errors" not in answer, answer["errors"]
    return orjson.dumps(answer)


async def measured(execution: Any, services: Any, operation: Operation) -> dict[str, float]:
    """Return the CPU time and the latency of an operation."""
    waited: list[float] = []

    async def one_after_another(times: int) -> None:
        for _ in range(times):
            begun = time.perf_counter()
            await ask(execution, services, operation)
            waited.append(time.perf_counter() - begun)

    worked_s = time.process_time()
    parts = operation.times // operation.at_once
    await asyncio.gather(*(one_after_another(parts) for _ in range(operation.at_once)))
    worked_s = time.process_time() - worked_s
    return {"cpu_ms": worked_s * 1000 / len(waited), "p50_ms": statistics.median(waited) * 1000}


class Worker:
    """A process that answers from one tree in one way."""

    def __init__(self, name: str, tree: Path, uri: str, *, plans: bool) -> None:
        self.name = name
        self.cpu_ms: list[list[float]] = []
        self.p50_ms: list[list[float]] = []
        command = [sys.executable, str(Path(__file__).resolve()), "--worker", uri]
        self._process = subprocess.Popen(  # noqa: S603 - ours
            command if plans else [*command, "--without-plans"],
            cwd=tree,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._line()

    def measure(self, number: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()
        found = json.loads(self._line())
        while len(self.cpu_ms) <= number:
            self.cpu_ms.append([])
            self.p50_ms.append([])
        self.cpu_ms[number].append(found["cpu_ms"])
        self.p50_ms[number].append(found["p50_ms"])

    def end(self) -> None:
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"{self.name} ended"
        return line


def git(*arguments: str) -> str:
    """Run git in this tree and return its output."""
    command = ["git", "-C", str(TREE), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - ours


@contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """Check out another commit, without the embedded processes' data."""
    tree = folder / "baseline"
    git("worktree", "add", "--detach", "--quiet", str(tree), commit)
    try:
        yield tree
    finally:
        git("worktree", "remove", "--force", str(tree))


def run(rounds: int, baseline: str | None) -> str:
    """Measure both ways of execution in turn, and return the table."""
    from bench.costs import server  # noqa: PLC0415

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-execution-")))
        uri = stack.enter_context(server(folder / "data"))
        asyncio.run(fill(uri))
        trees = [("compiled plans", TREE, True), ("graphql-core", TREE, False)]
        if baseline:
            trees.append((f"commit {baseline}", stack.enter_context(checked_out(baseline, folder)), True))
        workers = [Worker(name, tree, uri, plans=plans) for name, tree, plans in trees]
        for worker in workers:
            stack.callback(worker.end)
        for _ in range(rounds):
            for number in range(len(operations())):
                for worker in workers:
                    worker.measure(number)
        return report(workers)


def report(workers: list[Worker]) -> str:
    """Return the table."""
    commit = git("rev-parse", "--short", "HEAD")
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}"
    lines = [
        f"Commit {commit}, {machine}. Each line: CPU time of the process that answers, without the database's.",
        "",
        "| operation | executed by | CPU ms a request, median (least to most) | p50 ms | CPU, times the first line's |",
        "|---|---|---|---|---|",
    ]
    for number, operation in enumerate(operations()):
        first = statistics.median(workers[0].cpu_ms[number])
        for worker in workers:
            cpu = sorted(worker.cpu_ms[number])
            median, p50 = statistics.median(cpu), statistics.median(worker.p50_ms[number])
            spread = f"{median:.3f} ({cpu[0]:.3f} to {cpu[-1]:.3f})"
            ratio = "" if worker is workers[0] else f"{median / first:.1f}"
            lines.append(f"| {operation.name} | {worker.name} | {spread} | {p50:.2f} | {ratio} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--baseline", help="a commit to compare with")
    parser.add_argument("--write", action="store_true", help="add the table to bench/RESULTS.md")
    parser.add_argument("--worker", metavar="URI", help=argparse.SUPPRESS)
    parser.add_argument("--without-plans", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        asyncio.run(work(arguments.worker, plans=not arguments.without_plans))
        return
    table = run(arguments.rounds, arguments.baseline)
    print(table)
    if arguments.write:
        write(table)


def write(table: str) -> None:
    """Put the table, and what is known about it, at the end of the file."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    before = text.partition(_HEADING)[0].rstrip()
    RESULTS.write_text(f"{before}\n\n{_HEADING}\n{table}\n{_REMARKS}".lstrip(), encoding="utf-8")


if __name__ == "__main__":
    main()
