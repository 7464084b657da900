"""A thing of somebody else's costs the same work as one that does not exist, so that no clock tells them apart."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from graphql import GraphQLID, GraphQLInputObjectType, GraphQLInputType, get_named_type
from pymongo import monitoring

from models.database import Database
from schema.execution.requests import RequestFailedError
from schema.ids import global_id
from schema.root import SCHEMA
from tests.gateway import BOB, GatewayWorld, a_launch, a_plan, a_vm, gateway_world
from web.logging_setup import ConsoleLines

LAUNCH, VM, NOBODYS = "100000000000000001", "200000000000000001", "300000000000000001"
PLAN: Final = "400000000000000001"


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
        await db.insert(a_plan(PLAN, "ann"))
        yield world
    COMMANDS.heard = None
    await db.drop()
    await db.close()


# field: (document, variables around the id, where the id goes, kind)
ASKED: Final[dict[str, tuple[str, dict[str, Any], str, str]]] = {
    "Query.vm": ("Vm", {}, "id", "VM"),
    "Query.launch": ("Launch", {}, "id", "Launch"),
    "Query.node": ("Node", {}, "id", "VM"),
    "Query.node, a launch": ("Node", {}, "id", "Launch"),
    "Mutation.cancelLaunch": ("CancelLaunch", {}, "launchId", "Launch"),
    "Mutation.cancelScheduledLaunch": (
        "mutation($id: ID!) { cancelScheduledLaunch(input: {scheduledLaunchId: $id}) "
        "{ scheduledLaunch { id } errors { __typename code message path } } }",
        {},
        "id",
        "ScheduledLaunch",
    ),
    "Query.node, a scheduled launch": ("Node", {}, "id", "ScheduledLaunch"),
    "Mutation.startVm": ("StartVm", {}, "vmId", "VM"),
    "Mutation.stopVm": ("StopVm", {}, "vmId", "VM"),
    "Mutation.restartVm": ("RestartVm", {}, "vmId", "VM"),
    "Mutation.deleteVm": ("DeleteVm", {}, "vmId", "VM"),
    "Mutation.deleteVmWithoutSaves": ("DeleteVmWithoutSaves", {}, "vmId", "VM"),
    "Mutation.pairClient": ("PairClient", {"pin": "4821"}, "vmId", "VM"),
    "Mutation.launchGame": (
        'mutation($vmId: ID!) { launchGame(input: {console: SWITCH, gameId: "mario-odyssey", vmId: $vmId}) '
        "{ launch { id } errors { __typename code message path } } }",
        {},
        "vmId",
        "VM",
    ),
    "Mutation.startPairing": ("StartPairing", {}, "vmId", "VM"),
    "Query.pairing": ("Pairing", {}, "vmId", "VM"),
    "Subscription.launchProgress": ("LaunchProgress", {}, "launchId", "Launch"),
    "Subscription.vmStatus": ("VmStatus", {}, "vmId", "VM"),
}
FOR_OPERATORS: Final = {"Query.auditLog", "Mutation.revokeApiKey"}
OF_SITES: Final = {
    "Query.placements",
    "Mutation.createVm",
    "Mutation.scheduleLaunch",
}  # they name sites, which all callers see
# Their ids name objects in the bucket, not records: tests/schema/test_saves.py tries foreign and unknown ones.
OF_SAVES: Final = {f"Mutation.{name}Save" for name in ("download", "restore", "keep", "rename", "delete", "undelete")}


def test_every_argument_that_is_an_id_is_tried_here() -> None:
    taking = {
        f"{type_.name}.{name}"
        for type_ in (SCHEMA.query_type, SCHEMA.mutation_type, SCHEMA.subscription_type)
        if type_ is not None
        for name, field in type_.fields.items()
        if any(takes_an_id(argument.type) for argument in field.args.values())
    }

    assert taking == {name.partition(",")[0] for name in ASKED} | FOR_OPERATORS | OF_SITES | OF_SAVES


def takes_an_id(type_: GraphQLInputType) -> bool:
    named = get_named_type(type_)
    if isinstance(named, GraphQLInputObjectType):
        return any(takes_an_id(field.type) for field in named.fields.values())
    return named is GraphQLID


async def work_for(world: GatewayWorld, name: str, key: str) -> tuple[object, list[Any]]:
    document, variables, argument, kind = ASKED[name]
    sent = {**variables, argument: global_id(kind, key)}
    COMMANDS.heard = []
    answer: object
    if name.startswith("Subscription."):
        with pytest.raises(RequestFailedError) as refusal:
            await world.follow(document, BOB, **sent)
        answer = refusal.value.faults
    else:
        answer = await world.ask(document, BOB, **sent)
    heard, COMMANDS.heard = COMMANDS.heard, None
    return answer, heard


@pytest.mark.parametrize("name", ASKED)
async def test_foreign_and_unknown_are_the_same_answer_the_same_work_and_the_same_words_in_the_log(
    anns: GatewayWorld, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    own = {"VM": VM, "Launch": LAUNCH, "ScheduledLaunch": PLAN}[ASKED[name][3]]
    caplog.set_level(logging.DEBUG)

    foreign, told_of_foreign = await work_for(anns, name, own), words_of(caplog)
    unknown, told_of_unknown = await work_for(anns, name, NOBODYS), words_of(caplog)

    assert foreign == unknown
    assert len(foreign[1]) >= 1
    assert told_of_foreign == told_of_unknown


def words_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = [record for record in caplog.records if not record.name.startswith(("pymongo", "asyncio"))]
    words = [ConsoleLines().format(record).partition(" ")[2] for record in ours]
    caplog.clear()
    return words
