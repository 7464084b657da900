"""Attacks by every text that the schema takes, found by walking it: a new argument is attacked on its first day.

Whatever is sent where an id or a name belongs: nothing is found, changed or started by it, and a thing of somebody
else's answers exactly as one that does not exist.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    OperationType,
    get_named_type,
    is_required_argument,
    is_required_input_field,
)

from auth.callers import Caller
from models.launches import Launch, LaunchStatus
from models.vms import Vm
from schema.ids import global_id
from schema.root import SCHEMA
from tests.gateway import ANN, BOB, OPERATOR, GatewayWorld, a_launch, a_vm, an_event
from tests.web.attacked_gateway import AttackedGateway, attacked

__all__ = ["attacked"]

TEXTS: Final = ("String", "ID")
EVIL: Final[tuple[Any, ...]] = (
    "", "$ne", '{"$ne": null}', '{"$where": "sleep(5000)"}', "'; return true; var a='", "a\x00b", "a\nINFO granted",
    "a\u2028b", "../../../etc/passwd", "..\\..\\windows", "/etc/passwd", "~/.ssh/id_ed25519", "$(reboot)", "`id`",
    "; rm -rf /", "| nc 127.0.0.1 1", "&& true", "-rf", "--help", "${jndi:ldap://x}", "{{7*7}}", "%00", "%2e%2e%2f",
    "<script>alert(1)</script>", "\ud83d\udca5", "\u202egnp", "A" * 9_000, "0" * 5_000, "*", ".*",
)  # fmt: skip
OBJECTS: Final[tuple[Any, ...]] = ({"$ne": None}, {"$gt": ""}, {"$regex": ".*"}, [{"$ne": None}], [["x"]], True, 1.5)
REFUSALS: Final = {"BAD_USER_INPUT", "NOT_FOUND", "FORBIDDEN"}
GOOD: Final[dict[str, Any]] = {
    "ID": "x", "String": "mario-odyssey", "Int": 1, "Float": 1.0, "Boolean": False, "Decimal": "1.00",
    "Date": "2026-05-01", "DateTime": "2027-01-01T00:00:00Z",
}  # fmt: skip


def arguments() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Operation, field and path of every argument, or field of an input, that takes a text."""
    for operation, root in (("query", SCHEMA.query_type), ("mutation", SCHEMA.mutation_type)):
        assert root is not None
        for name, field in root.fields.items():
            for argument, taken in field.args.items():
                for path in texts_within(taken.type, (argument,)):
                    yield operation, name, path


def texts_within(type_: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    named = get_named_type(type_)
    if isinstance(named, GraphQLInputObjectType):
        for name, field in named.fields.items():
            yield from texts_within(field.type, (*path, name))
    elif named.name in TEXTS:
        yield path


def good_value(type_: Any) -> Any:
    if isinstance(type_, GraphQLNonNull):
        return good_value(type_.of_type)
    if isinstance(type_, GraphQLList):
        return [good_value(type_.of_type)]
    if isinstance(type_, GraphQLEnumType):
        return next(iter(type_.values))
    if isinstance(type_, GraphQLInputObjectType):
        return {name: good_value(field.type) for name, field in type_.fields.items() if is_required_input_field(field)}
    return GOOD[type_.name]


def placed(type_: Any, path: tuple[str, ...], value: Any) -> Any:
    """A good value of this type, but with this one at the path within it."""
    if not path:
        return value
    made = good_value(type_)
    within = made[0] if isinstance(made, list) else made
    within[path[0]] = placed(get_named_type(type_).fields[path[0]].type, path[1:], value)
    return made


def asked(operation: str, name: str, path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The field with good values for all that it needs, and this one at the path."""
    root = SCHEMA.get_root_type(OperationType(operation))
    assert root is not None
    field = root.fields[name]
    variables = {each: good_value(taken.type) for each, taken in field.args.items() if is_required_argument(taken)}
    variables[path[0]] = placed(field.args[path[0]].type, path[1:], value)
    heads = ", ".join(f"${each}: {field.args[each].type}" for each in variables)
    given = ", ".join(f"{each}: ${each}" for each in variables)
    below = "" if isinstance(get_named_type(field.type), GraphQLScalarType) else f" {{ {selection(field.type)} }}"
    return {"query": f"{operation}({heads}) {{ {name}({given}){below} }}", "variables": variables}


def selection(type_: Any) -> str:
    named = get_named_type(type_)
    inner = "__typename"
    if isinstance(named, GraphQLObjectType) and "errors" in named.fields:
        inner += " errors { code message path }"
    if isinstance(named, GraphQLObjectType) and "edges" in named.fields:
        inner += " edges { cursor }"
    return inner


OF_THINGS: Final = ("id", "vmId", "launchId", "apiKeyId", "subjectId")
ARGUMENTS: Final = sorted(arguments())


def test_the_walk_finds_the_arguments_that_there_are() -> None:
    found = {f"{name}({'.'.join(path)})" for _, name, path in ARGUMENTS}

    assert {"node(id)", "vm(id)", "launch(id)", "vms(after)", "auditLog(subjectId)"} <= found
    assert {"pairClient(input.pin)", "revokeApiKey(input.apiKeyId)", "configureConsole(input.emulatorImage)"} <= found
    assert len(ARGUMENTS) >= 33


# What may be any text: a key of the caller's own, compared and nothing else, and a subject that nobody has.
FREE: Final = {("launchGame", "idempotencyKey"), ("createVm", "idempotencyKey"), ("auditLog", "subjectId")}


@pytest.mark.parametrize(
    ("operation", "name", "path"), ARGUMENTS, ids=lambda part: part if isinstance(part, str) else ".".join(part)
)
async def test_no_text_does_more_than_be_refused(
    attacked: AttackedGateway, operation: str, name: str, path: tuple[str, ...]
) -> None:
    for value in (*EVIL, *OBJECTS):
        told = await attacked.ask(asked(operation, name, path, value), OPERATOR)
        codes = codes_of(told.content)
        assert codes <= REFUSALS | {"NO_CAPACITY", "PROVIDER_UNAVAILABLE"}, (value, told.text)
        if not codes and (name, path[-1]) not in FREE:
            assert nothing_found(told.content, name), (value, told.text)

    if (name, path[-1]) not in FREE:
        await attacked.nothing_happened()


def codes_of(content: Any) -> set[str]:
    codes = {error["extensions"]["code"] for error in content.get("errors", ())}
    for payload in (content.get("data") or {}).values():
        if isinstance(payload, dict):
            codes |= {error["code"] for error in payload.get("errors", ())}
    return codes


def nothing_found(content: Any, name: str) -> bool:
    found = content["data"][name]
    return found is None or found == [] or (isinstance(found, dict) and found.get("edges") == [])


class TestOwnership:
    """ann's things, asked for by bob, through every argument that takes an id."""

    LAUNCH, VM, NOBODYS = "100000000000000001", "200000000000000001", "300000000000000001"

    @pytest.fixture
    async def anns(self, gateway: GatewayWorld) -> GatewayWorld:
        await gateway.db.insert(a_launch(self.LAUNCH, "ann", status=LaunchStatus.RUNNING, vm_id=self.VM))
        await gateway.db.insert(a_vm(self.VM, "ann"))
        await gateway.db.insert(an_event(self.LAUNCH, 1))
        return gateway

    @pytest.mark.parametrize("kind", ["Launch", "VM"])
    @pytest.mark.parametrize(
        ("operation", "name", "path"),
        [each for each in ARGUMENTS if each[2][-1] in OF_THINGS],
        ids=lambda part: part if isinstance(part, str) else ".".join(part),
    )
    async def test_a_foreign_id_answers_as_an_unknown_one(
        self, anns: GatewayWorld, attacked: AttackedGateway, kind: str, operation: str, name: str, path: tuple[str, ...]
    ) -> None:
        own = self.LAUNCH if kind == "Launch" else self.VM

        foreign = await attacked.ask(asked(operation, name, path, global_id(kind, own)), BOB)
        unknown = await attacked.ask(asked(operation, name, path, global_id(kind, self.NOBODYS)), BOB)

        assert (foreign.status, foreign.content) == (unknown.status, unknown.content)
        assert codes_of(foreign.content) <= REFUSALS
        assert await self.untouched(anns)

    @pytest.mark.parametrize(
        ("operation", "name", "path"),
        [each for each in ARGUMENTS if each[2][-1] == "userId"],
        ids=lambda part: part if isinstance(part, str) else ".".join(part),
    )
    async def test_no_player_acts_or_looks_for_another(
        self, anns: GatewayWorld, attacked: AttackedGateway, operation: str, name: str, path: tuple[str, ...]
    ) -> None:
        told = await attacked.ask(asked(operation, name, path, "ann"), BOB)

        assert codes_of(told.content) == {"FORBIDDEN"}
        assert "ann" not in json.dumps(told.content.get("data"))
        assert await self.untouched(anns)

    @pytest.mark.parametrize("caller", [ANN, BOB])
    async def test_what_operators_do_is_refused_to_players_and_does_nothing(
        self, attacked: AttackedGateway, caller: Caller
    ) -> None:
        for name in ("configureConsole", "setSpendingLimit", "createApiKey", "revokeApiKey"):
            path = next(path for _, field, path in ARGUMENTS if field == name)
            told = await attacked.ask(asked("mutation", name, path, "x"), caller)
            assert codes_of(told.content) == {"FORBIDDEN"}, name

        await attacked.nothing_happened()

    async def untouched(self, world: GatewayWorld) -> bool:
        launch, vm = await world.db.get(Launch, self.LAUNCH), await world.db.get(Vm, self.VM)
        assert launch is not None
        assert vm is not None
        idle = not (world.engine.started or world.engine.cancelled or world.engine.asked or world.engine.pins)
        return idle and (launch.status, vm.status.value) == (LaunchStatus.RUNNING, "RUNNING")
