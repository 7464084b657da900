"""Players open a pairing window, are shown its PIN and QR code, and follow it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from models.pairings import PairingStatus, PairingWindow
from models.vms import Vm, VmStatus
from schema.ids import global_id
from tests.gateway import ANN, BOB, GatewayWorld, a_vm

VM = "100000000000000001"
ID = global_id("VM", VM)


@pytest.fixture
async def running(gateway: GatewayWorld) -> GatewayWorld:
    await gateway.db.insert(a_vm(VM, "ann"))
    await gateway.db.update(
        Vm, {"_id": VM}, {"$set": {"status": VmStatus.RUNNING, "ip_address": "127.0.0.7", "ports": {"47989": 31989}}}
    )
    return gateway


async def started(gateway: GatewayWorld) -> dict[str, Any]:
    payload = (await gateway.data("StartPairing", ANN, vmId=ID))["startPairing"]
    assert payload["errors"] == []
    found: dict[str, Any] = payload["pairing"]
    return found


async def followed(gateway: GatewayWorld) -> dict[str, Any]:
    found: dict[str, Any] = (await gateway.data("Pairing", ANN, vmId=ID))["pairing"]
    return found


async def test_a_window_shows_its_pin_as_digits_as_a_link_and_as_a_code(running: GatewayWorld) -> None:
    pairing = await started(running)

    link = urlsplit(pairing["qrText"])
    query = {name: value for name, [value] in parse_qs(link.query).items()}
    assert (link.scheme, link.netloc) == ("moonlight", "pair")
    assert query == {"host": "127.0.0.7", "port": "31989", "pin": pairing["pin"]}
    assert len(pairing["pin"]) == 4
    assert pairing["pin"].isdigit()
    assert pairing["qrSvg"].startswith('<svg xmlns="http://www.w3.org/2000/svg" ')
    lasting = datetime.fromisoformat(pairing["expiresAt"]) - datetime.fromisoformat(pairing["startedAt"])
    assert (pairing["status"], lasting) == ("WAITING", timedelta(seconds=120))
    assert await followed(running) == pairing


async def test_a_worker_is_handed_the_number_of_the_window_and_not_its_pin(running: GatewayWorld) -> None:
    await started(running)

    window = await running.db.get(PairingWindow, VM)
    assert window is not None
    [handed] = running.engine.pairings
    assert (handed.vm_id, handed.number) == (VM, window.number)


async def test_a_new_window_replaces_the_one_before(running: GatewayWorld) -> None:
    await started(running)
    second = await started(running)

    assert (await followed(running))["startedAt"] == second["startedAt"]
    assert await running.db.count(PairingWindow, {}) == 1
    assert len({each.number for each in running.engine.pairings}) == 2


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"status": PairingStatus.PAIRED, "pin": None}, "PAIRED"),
        ({"status": PairingStatus.EXPIRED, "pin": None}, "EXPIRED"),
        ({"expires_at": datetime(2026, 5, 1, tzinfo=UTC)}, "EXPIRED"),  # although no worker has noted it
    ],
)
async def test_a_window_that_is_closed_shows_no_pin(
    running: GatewayWorld, changes: dict[str, object], shown: str
) -> None:
    await started(running)
    await running.db.update(PairingWindow, {"_id": VM}, {"$set": changes})

    pairing = await followed(running)

    assert pairing["status"] == shown
    assert (pairing["pin"], pairing["qrText"], pairing["qrSvg"]) == (None, None, None)


async def test_after_a_wrong_pin_the_window_is_open(running: GatewayWorld) -> None:
    pairing = await started(running)
    await running.db.update(PairingWindow, {"_id": VM}, {"$set": {"status": PairingStatus.WRONG_PIN}})

    assert await followed(running) == {**pairing, "status": "WRONG_PIN"}


async def test_a_machine_that_does_not_run_has_no_window(running: GatewayWorld) -> None:
    await running.db.update(Vm, {"_id": VM}, {"$set": {"status": VmStatus.STOPPED}})

    [error] = (await running.data("StartPairing", ANN, vmId=ID))["startPairing"]["errors"]

    assert (error["__typename"], error["status"], error["path"]) == ("InvalidState", "STOPPED", ["input", "vmId"])
    assert running.engine.pairings == []
    assert await followed(running) is None


async def test_another_players_window_looks_as_if_there_was_none(running: GatewayWorld) -> None:
    await started(running)

    payload = (await running.data("StartPairing", BOB, vmId=ID))["startPairing"]
    pairing = (await running.data("Pairing", BOB, vmId=ID))["pairing"]

    assert payload["errors"][0]["__typename"] == "NotFound"
    assert pairing is None
    assert len(running.engine.pairings) == 1


async def test_a_window_is_shown_beside_its_machine_whatever_is_asked_of_that(running: GatewayWorld) -> None:
    await started(running)

    document = "query($id: ID!) { vm(id: $id) { status } pairing(vmId: $id) { status pin qrText } }"
    told = await running.data(document, id=ID)

    assert told["vm"] == {"status": "RUNNING"}
    assert told["pairing"]["qrText"].endswith(f"pin={told['pairing']['pin']}")
