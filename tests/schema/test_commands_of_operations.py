"""What each query of graphql/operations/ costs the database, and that plans answer it as graphql-core does."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pymongo
import pytest
from pymongo import monitoring

from auth.callers import Caller
from models.audit import Outcome, new_entry
from models.database import Database
from models.registry import DOCUMENTS
from models.roles import Role
from models.usage import UsageInterval, UsageState
from resolvers.context import Context
from schema.execution.executor import GraphQLExecution
from schema.execution.requests import GraphQLRequest
from schema.ids import global_id
from tests.gateway import ANN, DALLAS, NOON, OPERATIONS, OPERATOR, GatewayWorld, a_launch, a_vm, gateway_world

_DAYS: Final = {"start": "2026-05-01", "end": "2026-05-03"}
_HERE: Final[Mapping[str, Any]] = {"from": DALLAS, "console": "SWITCH"}
_FIRST_VM, _FIRST_LAUNCH = "200000000000000000", "100000000000000000"
VARIABLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "ClosestHostnodes": _HERE,
    "ClosestRegions": _HERE,
    "HostnodePrices": _HERE,
    "Placements": _HERE,
    "Console": {"type": "SNES"},
    "CostComparison": _DAYS,
    "CostReport": _DAYS,
    "PlayerCostReport": _DAYS,
    "Receipts": _DAYS,
    "CostEstimate": {"console": "SWITCH", "hours": 2.0},
    "Launch": {"id": global_id("Launch", _FIRST_LAUNCH)},
    "Pairing": {"vmId": global_id("VM", _FIRST_VM)},
    "Node": {"id": global_id("VM", _FIRST_VM)},
    "Vm": {"id": global_id("VM", _FIRST_VM)},
    "Vms": {"first": 40},
    "Launches": {"first": 40},
    "AuditLog": {"first": 40},
    "Saves": {"console": "SWITCH"},
}
QUERIES: Final = [
    file.stem for file in sorted(OPERATIONS.glob("*.graphql")) if "\nquery " in "\n" + file.read_text(encoding="utf-8")
]


class Commands(monitoring.CommandListener):
    """The commands that read documents, for as long as `heard` is a list."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] | None = None

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if self.heard is not None and event.command_name in ("find", "aggregate", "getMore", "count"):
            self.heard.append(dict(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


COMMANDS: Final = Commands()
monitoring.register(COMMANDS)  # for clients that are made from now on; it hears nothing by default


@pytest.fixture
async def heard(mongodb_uri: str) -> AsyncIterator[GatewayWorld]:
    """A gateway whose commands are heard. An operator's lists show what `fill` writes."""
    db = Database(mongodb_uri, f"test_{secrets.token_hex(6)}")
    await db.ensure_indexes(DOCUMENTS)
    async with gateway_world(db) as world:
        yield world
    COMMANDS.heard = None
    await db.drop()
    await db.close()


async def fill(db: Database, numbers: range) -> None:
    for number in numbers:
        at = NOON + timedelta(minutes=number)
        vm_id, launch_id = str(int(_FIRST_VM) + number), str(int(_FIRST_LAUNCH) + number)
        vm = a_vm(vm_id, launch_id=launch_id, created_at=at)
        await db.insert(vm)
        await db.insert(a_launch(launch_id, vm_id=vm_id, requested_at=at))
        entry = new_entry("ann", Role.PLAYER, "stopVm", Outcome.DONE, subject_id=vm_id, at=at)
        await db.insert(entry)
        await db.insert(
            UsageInterval(
                id=f"{vm_id}:1",
                vm_id=vm_id,
                number=1,
                user_id="ann",
                provider=vm.provider,
                console=vm.console,
                state=UsageState.RUNNING,
                start=at,
                machine_usd_per_hour=Decimal("0.45"),
                storage_usd_per_hour=Decimal(0),
            )
        )


async def answer(
    world: GatewayWorld, execution: GraphQLExecution, name: str, caller: Caller = OPERATOR
) -> dict[str, Any]:
    text = (OPERATIONS / f"{name}.graphql").read_text(encoding="utf-8")
    context = Context(caller, world.services, "request-1")
    prepared = execution.prepare(GraphQLRequest(text, None, dict(VARIABLES.get(name, {}))), context)
    return await execution.execute(prepared, context)


async def commands(world: GatewayWorld, name: str, caller: Caller = OPERATOR) -> list[dict[str, Any]]:
    await answer(world, world.execution, name, caller)  # what is remembered for longer than an answer
    heard: list[dict[str, Any]] = []
    COMMANDS.heard = heard
    await answer(world, world.execution, name, caller)
    COMMANDS.heard = None
    return heard


@pytest.mark.timeout(180)
async def test_the_number_of_commands_does_not_depend_on_the_number_of_rows(heard: GatewayWorld) -> None:
    await fill(heard.db, range(2))
    few = {name: kinds(await commands(heard, name)) for name in QUERIES}
    await fill(heard.db, range(2, 40))

    many = {name: kinds(await commands(heard, name)) for name in QUERIES}

    assert many == few
    assert sum(many["Vms"].values()) <= 4


def kinds(commands: list[dict[str, Any]]) -> Counter[str]:
    """How often each collection is asked."""
    return Counter(str(next(iter(command.values()))) for command in commands)


@pytest.mark.timeout(180)
async def test_no_query_of_a_player_scans_a_collection(heard: GatewayWorld, mongodb_uri: str) -> None:
    await fill(heard.db, range(3))
    scanned: set[str] = set()
    with pymongo.MongoClient[dict[str, Any]](mongodb_uri) as client:
        for name in QUERIES:
            for command in await commands(heard, name, ANN):
                if has_equality(command.get("filter", {})):
                    known = ("find", "filter", "sort", "limit", "projection")
                    explained = client[heard.db.name].command(
                        {"explain": {key: command[key] for key in known if key in command}, "verbosity": "queryPlanner"}
                    )
                    if "COLLSCAN" in str(explained["queryPlanner"]["winningPlan"]):
                        scanned.add(f"{name}: {command['find']} {command.get('filter')}")

    assert scanned == set()


@pytest.mark.parametrize("name", QUERIES)
async def test_a_plan_answers_a_trusted_query_as_graphql_core_does(heard: GatewayWorld, name: str) -> None:
    await fill(heard.db, range(3))

    planned = await answer(heard, heard.execution, name)
    executed = await answer(heard, GraphQLExecution(plans=False), name)

    assert without_clocks(planned) == without_clocks(executed)


def has_equality(filter_: Mapping[str, Any]) -> bool:
    """Whether the embedded database looks for an index. For an order or a range alone it does not; MongoDB does."""
    return any(not isinstance(wanted, dict) or "$in" in wanted for wanted in filter_.values())


def without_clocks(value: Any) -> Any:
    """An answer without what grows while a machine runs."""
    if isinstance(value, list):
        return [without_clocks(item) for item in value]
    if isinstance(value, dict):
        return {key: without_clocks(item) for key, item in value.items() if key not in _GROWING}
    return value


_GROWING: Final = {
    "costSoFar",
    "runningSeconds",
    "amount",
    "total",
    "runningHours",
    "forecast",
    "asOf",
    "knownUntil",
    "metered",
}
