"""Machines on and off, devices paired, keys made and revoked: who may, what is answered, what the trail tells."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.messages import Command, CommandResult, PairResult, Pin
from models.api_keys import ApiKey
from models.audit import AuditEntry
from models.vms import VmStatus
from schema.ids import global_id
from tests.gateway import ANN, BOB, OPERATOR, GatewayWorld, a_vm

KEY = "200000000000000001"
ID = global_id("VM", KEY)
COMMANDS = [
    ("StartVm", Command.START),
    ("StopVm", Command.STOP),
    ("RestartVm", Command.RESTART),
    ("DeleteVm", Command.DELETE),
]


@pytest.fixture
async def anns(gateway: GatewayWorld) -> GatewayWorld:
    """Ann has a machine that runs."""
    await gateway.db.insert(a_vm(KEY, "ann"))
    return gateway


async def trail(gateway: GatewayWorld) -> list[tuple[str, str, str | None]]:
    return [(each.action, each.outcome.value, each.subject_id) for each in await gateway.db.find(AuditEntry, {})]


@pytest.mark.parametrize(("document", "command"), COMMANDS)
async def test_a_command_reaches_the_machines_workflow_and_the_trail(
    anns: GatewayWorld, document: str, command: Command
) -> None:
    anns.engine.answer = CommandResult(accepted=True, status=VmStatus.RUNNING)

    (payload,) = (await anns.data(document, ANN, vmId=ID)).values()

    assert (payload["vm"]["id"], payload["errors"]) == (ID, [])
    assert anns.engine.asked == [(KEY, command)]
    field = document[0].lower() + document[1:]
    assert await trail(anns) == [(field, "DONE", KEY)]


@pytest.mark.parametrize(("document", "command"), COMMANDS)
async def test_a_foreign_machine_answers_as_an_unknown_one_and_is_left_alone(
    anns: GatewayWorld, document: str, command: Command
) -> None:
    (foreign,) = (await anns.data(document, BOB, vmId=ID)).values()
    (unknown,) = (await anns.data(document, BOB, vmId=global_id("VM", "1" * 18))).values()

    assert foreign == unknown
    assert foreign["errors"][0]["__typename"] == "NotFound"
    assert foreign["errors"][0]["path"] == ["input", "vmId"]
    assert anns.engine.asked == []


async def test_a_command_that_the_status_forbids_is_refused_with_the_status(anns: GatewayWorld) -> None:
    anns.engine.answer = CommandResult(accepted=False, status=VmStatus.STARTING)

    payload = (await anns.data("StopVm", ANN, vmId=ID))["stopVm"]

    assert payload["vm"] is None
    assert (payload["errors"][0]["__typename"], payload["errors"][0]["status"]) == ("InvalidState", "STARTING")
    assert await trail(anns) == [("stopVm", "REFUSED", KEY)]


@pytest.mark.parametrize("pin", ["", "123", "12345", "12a4", "١٢٣٤", "1234\n", "$(reboot)"])
async def test_a_pin_that_is_none_never_reaches_the_machine(anns: GatewayWorld, pin: str) -> None:
    payload = (await anns.data("PairClient", ANN, vmId=ID, pin=pin))["pairClient"]

    assert payload["errors"][0]["__typename"] == "InvalidInput"
    assert payload["errors"][0]["path"] == ["input", "pin"]
    assert anns.engine.pins == []


@pytest.mark.parametrize(
    ("paired", "kind"),
    [
        (PairResult("InvalidInputError", "not the PIN", VmStatus.RUNNING), "InvalidInput"),
        (PairResult("InvalidStateError", "no device requests pairing", VmStatus.RUNNING), "InvalidState"),
        (PairResult("ProviderBusyError", "no answer", VmStatus.RUNNING), "ProviderUnavailable"),
    ],
)
async def test_each_way_of_not_being_paired_has_its_answer(anns: GatewayWorld, paired: PairResult, kind: str) -> None:
    anns.engine.paired = paired

    payload = (await anns.data("PairClient", ANN, vmId=ID, pin="4821"))["pairClient"]

    assert [error["__typename"] for error in payload["errors"]] == [kind]


async def test_a_pin_is_handed_to_the_machine_for_its_player(anns: GatewayWorld) -> None:
    payload = (await anns.data("PairClient", OPERATOR, vmId=ID, pin="4821"))["pairClient"]

    assert payload["errors"] == []
    assert anns.engine.pins == [Pin("4821", "ann")]


async def test_a_key_is_shown_once_and_is_no_longer_good_when_revoked(gateway: GatewayWorld) -> None:
    wanted: dict[str, Any] = {"name": "webshop", "role": "SERVICE"}

    made = (await gateway.data("CreateApiKey", OPERATOR, input=wanted))["createApiKey"]
    (stored,) = await gateway.db.find(ApiKey, {})
    revoked = (await gateway.data("RevokeApiKey", OPERATOR, apiKeyId=made["apiKey"]["id"]))["revokeApiKey"]

    assert made["errors"] == revoked["errors"] == []
    assert made["secret"].startswith("gamer_")
    assert made["secret"] not in stored.model_dump_json()
    assert revoked["apiKey"]["revokedAt"] is not None


@pytest.mark.parametrize(
    ("document", "variables"),
    [
        ("CreateApiKey", {"input": {"name": "mine", "role": "OPERATOR"}}),
        ("RevokeApiKey", {"apiKeyId": global_id("ApiKey", "0" * 16)}),
        ("AuditLog", {}),
    ],
)
async def test_keys_and_the_trail_are_for_operators(
    gateway: GatewayWorld, document: str, variables: dict[str, Any]
) -> None:
    error = await gateway.error(document, ANN, **variables)

    assert error["extensions"]["code"] == "FORBIDDEN"
    assert await gateway.db.count(ApiKey, {}) == 0
    denied = [(document[0].lower() + document[1:], "DENIED", None)]
    assert await trail(gateway) == denied


async def test_the_trail_is_shown_page_by_page_and_by_subject(anns: GatewayWorld) -> None:
    anns.engine.answer = CommandResult(accepted=True, status=VmStatus.RUNNING)
    for document in ("StopVm", "StartVm", "RestartVm"):
        await anns.ask(document, ANN, vmId=ID)

    first = (await anns.data("AuditLog", OPERATOR, subjectId=ID, first=2))["auditLog"]
    second = (await anns.data("AuditLog", OPERATOR, first=2, after=first["pageInfo"]["endCursor"]))["auditLog"]

    assert [edge["node"]["action"] for edge in first["edges"]] == ["restartVm", "startVm"]
    assert [edge["node"]["action"] for edge in second["edges"]] == ["stopVm"]
    assert [first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]] == [True, False]
    assert first["edges"][0]["node"]["actorId"] == "ann"
