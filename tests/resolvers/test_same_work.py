"""A thing of somebody else's costs the same work as one that does not exist, so that no clock tells them apart."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo import monitoring

from models.database import Database
from schema.ids import global_id
from tests.gateway import BOB, GatewayWorld, a_launch, a_vm, gateway_world

LAUNCH, VM, NOBODYS = "100000000000000001", "200000000000000001", "300000000000000001"


class Commands(monitoring.CommandListener):
    """What the database was asked, while somebody listens."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, object]] | None = None

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if self.heard is not None:
            self.heard.append((event.command_name, event.command.get(event.command_name)))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


COMMANDS = Commands()
monitoring.register(COMMANDS)  # for clients that are made from now on; there is no way back, so it is deaf by default


@pytest.fixture
async def anns(mongodb_uri: str) -> AsyncIterator[GatewayWorld]:
    db = Database(mongodb_uri, f"test_{secrets.token_hex(6)}")
    async with gateway_world(db) as world:
        await db.insert(a_launch(LAUNCH, "ann", vm_id=VM))
        await db.insert(a_vm(VM, "ann"))
        yield world
    COMMANDS.heard = None
    await db.drop()
    await db.close()


async def work_for(world: GatewayWorld, document: str, variables: dict[str, Any]) -> tuple[object, list[Any]]:
    COMMANDS.heard = []
    answer = await world.ask(document, BOB, **variables)
    heard, COMMANDS.heard = COMMANDS.heard, None
    return answer, heard


@pytest.mark.parametrize(
    ("document", "argument", "kind"),
    [
        ("Vm", "id", "VM"),
        ("Launch", "id", "Launch"),
        ("Node", "id", "VM"),
        ("Node", "id", "Launch"),
        ("CancelLaunch", "launchId", "Launch"),
        ("StopVm", "vmId", "VM"),
        ("DeleteVm", "vmId", "VM"),
    ],
)
async def test_foreign_and_unknown_are_the_same_work(
    anns: GatewayWorld, document: str, argument: str, kind: str
) -> None:
    own = VM if kind == "VM" else LAUNCH

    foreign = await work_for(anns, document, {argument: global_id(kind, own)})
    unknown = await work_for(anns, document, {argument: global_id(kind, NOBODYS)})

    assert foreign == unknown
    assert len(foreign[1]) >= 1
