"""A mutation's answer is consistent in itself: every place that names a record shows it as the mutation left it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fleet.messages import Command, CommandRequest, CommandResult, PairResult, Pin
from models.database import Database
from models.launches import LaunchStatus
from models.vms import Vm, VmStatus
from schema.ids import global_id
from tests.gateway import ANN, GatewayWorld, StubEngine, a_launch, a_vm, gateway_world

LAUNCH, VM = "100000000000000001", "200000000000000001"
NESTED = "vm { status stream { paired } launch { status vm { status stream { paired } } } } errors { code }"
OUTCOMES = {
    Command.START: VmStatus.RUNNING,
    Command.STOP: VmStatus.STOPPING,
    Command.RESTART: VmStatus.STARTING,
    Command.DELETE: VmStatus.DELETING,
}


class WritingEngine(StubEngine):
    """Does at once to the records what workflows do."""

    def __init__(self, db: Database) -> None:
        super().__init__()
        self._db = db

    async def ask_machine(self, vm_id: str, asked: CommandRequest) -> CommandResult:
        status = OUTCOMES[asked.command]
        await self._db.update(Vm, {"_id": vm_id}, {"$set": {"status": status}})
        return CommandResult(accepted=True, status=status)

    async def pair_machine(self, vm_id: str, pin: Pin) -> PairResult:
        await self._db.update(Vm, {"_id": vm_id}, {"$set": {"paired": True}})
        return self.paired


@pytest.fixture
async def anns(db: Database) -> AsyncIterator[GatewayWorld]:
    """Ann's launch is on its way, and its machine runs."""
    async with gateway_world(db, engine=WritingEngine(db)) as world:
        await db.insert(a_launch(LAUNCH, "ann", status=LaunchStatus.RUNNING, vm_id=VM))
        await db.insert(a_vm(VM, "ann", launch_id=LAUNCH))
        yield world


def shown(payload: dict[str, Any]) -> list[Any]:
    """A machine as the payload shows it, and as the launch within shows it."""
    assert payload["errors"] == []
    return [{name: vm[name] for name in ("status", "stream")} for vm in (payload["vm"], payload["vm"]["launch"]["vm"])]


@pytest.mark.parametrize(
    ("field", "status"),
    [
        ("stopVm", VmStatus.STOPPING),
        ("startVm", VmStatus.RUNNING),
        ("restartVm", VmStatus.STARTING),
        ("deleteVm", VmStatus.DELETING),
    ],
)
async def test_a_command_shows_the_machine_in_one_status(anns: GatewayWorld, field: str, status: VmStatus) -> None:
    await anns.db.update(Vm, {"_id": VM}, {"$set": {"status": VmStatus.LOST}})

    answer = await anns.data(
        f"mutation($id: ID!) {{ {field}(input: {{vmId: $id}}) {{ {NESTED} }} }}", ANN, id=global_id("VM", VM)
    )

    assert [one["status"] for one in shown(answer[field])] == [status, status]


async def test_a_pairing_shows_the_device_everywhere(anns: GatewayWorld) -> None:
    answer = await anns.data(
        f'mutation($id: ID!) {{ pairClient(input: {{vmId: $id, pin: "4821"}}) {{ {NESTED} }} }}',
        ANN,
        id=global_id("VM", VM),
    )

    paired = {"status": "RUNNING", "stream": {"paired": True}}
    assert shown(answer["pairClient"]) == [paired, paired]


async def test_a_cancelled_launch_is_cancelling_everywhere(anns: GatewayWorld) -> None:
    answer = await anns.data(
        "mutation($id: ID!) { cancelLaunch(input: {launchId: $id}) "
        "{ launch { status vm { launch { status } } } errors { code } } }",
        ANN,
        id=global_id("Launch", LAUNCH),
    )

    launch = answer["cancelLaunch"]["launch"]
    assert (launch["status"], launch["vm"]["launch"]["status"]) == ("CANCELLING", "CANCELLING")


async def test_each_mutation_of_a_document_shows_what_it_made_itself(anns: GatewayWorld) -> None:
    answer = await anns.data(
        "mutation($vm: ID!, $launch: ID!) { "
        f"stop: stopVm(input: {{vmId: $vm}}) {{ {NESTED} }} "
        "cancel: cancelLaunch(input: {launchId: $launch}) { launch { status vm { status } } } "
        f"start: startVm(input: {{vmId: $vm}}) {{ {NESTED} }} }}",
        ANN,
        vm=global_id("VM", VM),
        launch=global_id("Launch", LAUNCH),
    )

    assert [one["status"] for one in shown(answer["stop"])] == ["STOPPING", "STOPPING"]
    assert answer["stop"]["vm"]["launch"]["status"] == "RUNNING"
    assert answer["cancel"]["launch"] == {"status": "CANCELLING", "vm": {"status": "STOPPING"}}
    assert [one["status"] for one in shown(answer["start"])] == ["RUNNING", "RUNNING"]
    assert answer["start"]["vm"]["launch"]["status"] == "CANCELLING"
