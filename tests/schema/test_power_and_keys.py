"""Machines on and off, devices paired, keys made and revoked: who may, what is answered, what the trail tells."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from auth.callers import Role
from fleet.messages import Command, CommandResult, PairResult, Pin
from models.api_keys import ApiKey
from models.audit import AuditEntry, Outcome, new_entry, service_entry, write_entry
from models.vms import VmStatus
from schema.audit_subjects import subject_of
from schema.ids import global_id
from tests.gateway import ANN, BOB, NOON, OPERATOR, GatewayWorld, a_vm

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
async def test_a_command_reaches_the_machines_workflow_and_the_audit_log(
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
        ("ApiKeys", {}),
        ("AuditLog", {}),
    ],
)
async def test_keys_and_the_audit_log_are_for_operators(
    gateway: GatewayWorld, document: str, variables: dict[str, Any]
) -> None:
    error = await gateway.error(document, ANN, **variables)

    assert error["extensions"]["code"] == "FORBIDDEN"
    assert await gateway.db.count(ApiKey, {}) == 0
    denied = [(document[0].lower() + document[1:], "DENIED", None)]
    assert await trail(gateway) == denied


async def test_the_audit_log_is_shown_page_by_page_and_by_subject(anns: GatewayWorld) -> None:
    anns.engine.answer = CommandResult(accepted=True, status=VmStatus.RUNNING)
    for document in ("StopVm", "StartVm", "RestartVm"):
        await anns.ask(document, ANN, vmId=ID)

    first = (await anns.data("AuditLog", OPERATOR, subjectId=ID, first=2))["auditLog"]
    second = (await anns.data("AuditLog", OPERATOR, first=2, after=first["pageInfo"]["endCursor"]))["auditLog"]

    assert [edge["node"]["action"] for edge in first["edges"]] == ["restartVm", "startVm"]
    assert [edge["node"]["action"] for edge in second["edges"]] == ["stopVm"]
    assert [first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]] == [True, False]
    assert first["edges"][0]["node"]["actorId"] == "ann"


async def test_keys_are_listed_newest_first_page_by_page_without_what_opens_them(gateway: GatewayWorld) -> None:
    for number, revoked_at in ((1, None), (2, NOON), (3, None)):
        key = ApiKey(
            id=f"{number:016x}",
            name=f"shop {number}",
            role=Role.SERVICE,
            digest="d" * 64,
            created_by="olga",
            created_at=NOON + timedelta(hours=number),
            revoked_at=revoked_at,
        )
        await gateway.db.insert(key)

    first = (await gateway.data("ApiKeys", OPERATOR, first=2))["apiKeys"]
    second = (await gateway.data("ApiKeys", OPERATOR, first=2, after=first["pageInfo"]["endCursor"]))["apiKeys"]

    shown = [edge["node"] for edge in (*first["edges"], *second["edges"])]
    assert [(key["name"], key["revokedAt"] is not None) for key in shown] == [
        ("shop 3", False),
        ("shop 2", True),
        ("shop 1", False),
    ]
    assert [first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]] == [True, False]
    assert "d" * 64 not in str(shown)
    opened = (await gateway.data("Node", OPERATOR, id=shown[0]["id"]))["node"]
    assert opened["__typename"] == "ApiKey"


async def test_subjects_of_the_audit_log_open_by_node(anns: GatewayWorld) -> None:
    launched = await anns.data("LaunchGame", ANN, input={"console": "SWITCH", "gameId": "mario-odyssey"})
    await anns.ask("StopVm", ANN, vmId=ID)
    await anns.data("CreateApiKey", OPERATOR, input={"name": "webshop", "role": "SERVICE"})
    await anns.data("ConfigureConsole", OPERATOR, input={"console": "SNES", "idleStopMinutes": 20})
    await write_entry(anns.db, service_entry("watch", "GONE:DELETED", KEY, "gone"))

    log = (await anns.data("AuditLog", OPERATOR))["auditLog"]["edges"]

    found = {}
    for entry in (edge["node"] for edge in log):
        node = (await anns.data("Node", OPERATOR, id=entry["subjectId"]))["node"]
        found[entry["action"]] = (node["__typename"], node["id"] == entry["subjectId"])
    assert found == {
        "launchGame": ("Launch", True),
        "stopVm": ("VM", True),
        "createApiKey": ("ApiKey", True),
        "configureConsole": ("Console", True),
        "GONE:DELETED": ("VM", True),
    }
    assert launched["launchGame"]["launch"]["id"] in [edge["node"]["subjectId"] for edge in log]


@pytest.mark.parametrize(
    ("action", "outcome", "subject_id", "shown"),
    [
        ("launchGame", Outcome.REFUSED, KEY, ID),  # the machine that was asked for
        ("setSpendingLimit", Outcome.DONE, "ann", "ann"),
        ("refreshEmulatorImages", Outcome.DONE, "ghcr.io/a/b:edge", "ghcr.io/a/b:edge"),
        ("deleteStray", Outcome.DONE, "gamer-main-stray", "gamer-main-stray"),
    ],
)
def test_a_subject_that_is_no_object_is_shown_by_its_name(
    action: str, outcome: Outcome, subject_id: str, shown: str
) -> None:
    entry = new_entry("olga", Role.OPERATOR, action, outcome, subject_id=subject_id)

    assert subject_of(entry) == shown
