"""A change by a REST path is on the audit trail as GraphQL's is: once, done, refused or denied."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import aiohttp
import pytest
from graphql import OperationType, get_operation_ast, parse

from auth.callers import Caller
from fleet.messages import CommandResult
from models.audit import AuditEntry
from models.limits import LimitPeriod, SpendingLimit, limit_id
from models.vms import VmStatus
from schema.execution.trusted_documents import text_of
from schema.ids import global_id
from tests.gateway import ANN, BOB, NOON, OPERATOR, GatewayWorld, a_launch, a_vm, token
from web.rest_routes import PATHS

LAUNCH, MACHINE = "100000000000000001", "200000000000000001"
BODIES: Final[dict[str, dict[str, Any]]] = {
    "CreateVm": {"console": "SNES"},
    "LaunchGame": {"console": "SWITCH", "gameId": "mario-odyssey"},
    "PairClient": {"pin": "4821"},
    "ConfigureConsole": {"idleStopMinutes": 20},
    "SetSpendingLimit": {"period": "DAILY", "amount": "5", "userId": "ann"},
}
QUERIES: Final = {"RemoveSpendingLimit": "?period=monthly&userId=ann"}
FOR_OPERATORS: Final = {"ConfigureConsole", "SetSpendingLimit", "RemoveSpendingLimit"}
CHANGES: Final = [
    (method, name, row.document)
    for row in PATHS
    if get_operation_ast(parse(text_of(row.document))).operation is OperationType.MUTATION  # type: ignore[union-attr]
    for name in (row.path, *row.earlier)
    for method in row.methods
]


@pytest.fixture
async def anns(gateway: GatewayWorld) -> GatewayWorld:
    await gateway.db.insert(a_launch(LAUNCH, "ann"))
    await gateway.db.insert(a_vm(MACHINE, "ann"))
    period = LimitPeriod.MONTHLY
    limit = SpendingLimit(id=limit_id(period, "ann"), period=period, user_id="ann", usd=Decimal(5), set_at=NOON)
    await gateway.db.insert(limit)
    gateway.engine.answer = CommandResult(accepted=True, status=VmStatus.RUNNING)
    return gateway


async def asked(served: str, caller: Caller, method: str, name: str, document: str) -> int:
    thing = global_id("Launch", LAUNCH) if document == "CancelLaunch" else global_id("VM", MACHINE)
    path = name.replace("{id}", thing).replace("{console}", "nes") + QUERIES.get(document, "")
    headers = {"Authorization": f"Bearer {token(caller)}"}
    async with aiohttp.ClientSession(f"http://{served}", headers=headers) as http:
        answer = await http.request(method, path, json=BODIES.get(document))
        return answer.status


async def trail(world: GatewayWorld) -> list[tuple[str, str, str]]:
    found = await world.db.find(AuditEntry, {})
    return [(entry.actor_id, entry.action, entry.outcome.value) for entry in found]


def field(document: str) -> str:
    return document[0].lower() + document[1:]


def test_the_walk_finds_the_changes_that_there_are() -> None:
    assert {document for _, _, document in CHANGES} == {
        *BODIES,
        *QUERIES,
        *("DeleteVm", "StartVm", "StopVm", "RestartVm", "CancelLaunch"),
    }


@pytest.mark.parametrize(("method", "name", "document"), CHANGES)
async def test_what_is_done_is_there_once(
    anns: GatewayWorld, served: str, method: str, name: str, document: str
) -> None:
    caller = OPERATOR if document in FOR_OPERATORS else ANN

    status = await asked(served, caller, method, name, document)

    assert (status, await trail(anns)) == (200, [(caller.id, field(document), "DONE")])


@pytest.mark.parametrize(("method", "name", "document"), [each for each in CHANGES if "{id}" in each[1]])
async def test_a_try_at_somebody_elses_is_there_once(
    anns: GatewayWorld, served: str, method: str, name: str, document: str
) -> None:
    status = await asked(served, BOB, method, name, document)

    assert (status, await trail(anns)) == (404, [("bob", field(document), "REFUSED")])


@pytest.mark.parametrize(("method", "name", "document"), [each for each in CHANGES if each[2] in FOR_OPERATORS])
async def test_what_is_denied_is_there_once(
    anns: GatewayWorld, served: str, method: str, name: str, document: str
) -> None:
    status = await asked(served, ANN, method, name, document)

    assert (status, await trail(anns)) == (403, [("ann", field(document), "DENIED")])
