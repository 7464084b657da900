"""Bad input and bad days: each gets its typed answer, and nothing exists that should not."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import pytest

from errors import ProviderBusyError
from models.database import Database
from models.launches import Launch
from providers.base import ProviderName
from resolvers.context import Context
from schema.execution.executor import GraphQLExecution
from schema.execution.requests import GraphQLRequest, RequestFailedError
from schema.execution.trusted_documents import TrustedDocuments, sha256_of
from schema.ids import global_id
from tests.gateway import ANN, DALLAS, OPERATOR, GatewayWorld, gateway_world

WISH = {"console": "SWITCH", "gameId": "mario-odyssey", "location": DALLAS}


@pytest.mark.parametrize(
    ("changes", "kind", "path"),
    [
        ({"gameId": ""}, "InvalidInput", ["input", "gameId"]),
        ({"gameId": "../../etc"}, "InvalidInput", ["input", "gameId"]),
        ({"gameId": "$(reboot)"}, "InvalidInput", ["input", "gameId"]),
        ({"gameId": "a" * 10_000}, "InvalidInput", ["input", "gameId"]),
        ({"gameId": "🎮"}, "InvalidInput", ["input", "gameId"]),
        ({"gameId": "a\n"}, "InvalidInput", ["input", "gameId"]),
        ({"gameId": "pong"}, "NotFound", ["input", "gameId"]),
        ({"saveId": "../slot"}, "InvalidInput", ["input", "saveId"]),
        ({"location": {"latitude": 91, "longitude": 0}}, "InvalidInput", ["input", "location", "latitude"]),
        ({"location": {"latitude": 0, "longitude": 0}}, "InvalidInput", ["input", "location"]),
        ({"location": {"latitude": 0, "longitude": -180.5}}, "InvalidInput", ["input", "location", "longitude"]),
        ({"maxHourlyPrice": "-1"}, "InvalidInput", ["input", "maxHourlyPrice"]),
        ({"maxHourlyPrice": "0.00001"}, "NoCapacity", ["input", "maxHourlyPrice"]),
        ({"maxHourlyPrice": "1e30"}, "InvalidInput", ["input", "maxHourlyPrice"]),
        ({"idleStopMinutes": 0}, "InvalidInput", ["input", "idleStopMinutes"]),
        ({"maxSessionHours": 1e308}, "InvalidInput", ["input", "maxSessionHours"]),
        ({"idempotencyKey": "a b"}, "InvalidInput", ["input", "idempotencyKey"]),
        ({"provider": "CLOUDYPAD"}, "ProviderUnavailable", ["input", "provider"]),
    ],
)
async def test_a_launch_that_cannot_be_is_refused_as_data_and_leaves_nothing(
    gateway: GatewayWorld, changes: dict[str, Any], kind: str, path: list[str]
) -> None:
    await gateway.data("Locations")  # loads the gazetteer: without it a slow machine takes the order unseen

    payload = (await gateway.data("LaunchGame", input={**WISH, **changes}))["launchGame"]

    assert payload["launch"] is None
    assert [(error["__typename"], error["path"]) for error in payload["errors"]] == [(kind, path)]
    assert await gateway.db.find(Launch, {}) == []
    assert gateway.engine.started == []


async def test_each_refusal_carries_what_it_alone_has_to_say(gateway: GatewayWorld) -> None:
    payload = (await gateway.data("LaunchGame", input={**WISH, "provider": "CLOUDYPAD"}))["launchGame"]

    (error,) = payload["errors"]
    assert (error["code"], error["provider"]) == ("PROVIDER_UNAVAILABLE", ProviderName.CLOUDYPAD.value)


@pytest.mark.parametrize(
    "changes",
    [{"console": "ATARI"}, {"console": None}, {"gameId": 7}, {"maxHourlyPrice": "cheap"}, {"maxHourlyPrice": "NaN"},
     {"maxHourlyPrice": "Infinity"}, {"maxHourlyPrice": True}, {"maxHourlyPrice": "1e999999999"}, {"nonsense": 1},
     {"location": {"latitude": "north", "longitude": 0}}, {"maxHourlyPrice": "9" * 5000}],
)  # fmt: skip
async def test_variables_that_do_not_fit_are_bad_user_input(gateway: GatewayWorld, changes: dict[str, Any]) -> None:
    with pytest.raises(RequestFailedError) as failed:
        await gateway.ask("LaunchGame", input={**WISH, **changes})

    assert {fault["extensions"]["code"] for fault in failed.value.faults} == {"BAD_USER_INPUT"}
    assert all(len(fault["message"]) <= 512 for fault in failed.value.faults)
    assert gateway.engine.started == []


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("{ console(type: ATARI) { name } }", "BAD_USER_INPUT"),
        ('{ console(type: "NES") { name } }', "BAD_USER_INPUT"),
        ("{ placements(console: NES, from: {latitude: north, longitude: 0}) { rank } }", "BAD_USER_INPUT"),
        ('mutation { launchGame(input: {console: NES, gameId: "x", maxHourlyPrice: "NaN"}) { errors { code } } }',
         "BAD_USER_INPUT"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ consoles }", "GRAPHQL_VALIDATION_FAILED"),
        ("query { console(type: $t) { name } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ consoles {", "GRAPHQL_PARSE_FAILED"),
        ("", "BAD_USER_INPUT"),
        ("{ viewer { id } } { viewer { id } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ a: " * 300 + "}" * 300, "GRAPHQL_PARSE_FAILED"),
    ],
)  # fmt: skip
async def test_documents_that_are_wrong_say_how(gateway: GatewayWorld, document: str, code: str) -> None:
    with pytest.raises(RequestFailedError) as failed:
        await gateway.ask(document + " ")

    assert {fault["extensions"]["code"] for fault in failed.value.faults} == {code}


async def test_a_document_nested_without_end_is_refused(gateway: GatewayWorld) -> None:
    with pytest.raises(RequestFailedError) as failed:
        await gateway.ask("{a" * 100_000)

    assert failed.value.faults[0]["extensions"]["code"] in ("QUERY_TOO_COMPLEX", "GRAPHQL_PARSE_FAILED")


@pytest.mark.parametrize(
    ("document", "variables", "field"),
    [
        ("Placements", {"from": {"latitude": 91, "longitude": 0}, "console": "NES"}, "from.latitude"),
        ("ClosestHostnodes", {"from": {"latitude": 0, "longitude": 0}, "console": "NES"}, "from"),
        ("ClosestHostnodes", {"from": {"latitude": 0, "longitude": 181}, "console": "NES"}, "from.longitude"),
        ("{ placements(console: NES, from: {latitude: 2e400, longitude: 0}) { rank } }", {}, "from.latitude"),
        ("HostnodePrices", {"from": {"latitude": -90.1, "longitude": 0}, "console": "SWITCH"}, "from.latitude"),
        ("Placements", {"console": "NES", "limit": 0}, "limit"),
        ("Hostnodes", {"first": 0}, "first"),
        ("Hostnodes", {"after": "💥"}, "after"),
        ("Games", {"after": "nothing"}, "after"),
        ("Launches", {"after": "nothing"}, "after"),
        ("Vms", {"first": -3}, "first"),
    ],
)
async def test_a_query_with_a_bad_value_names_the_field(
    gateway: GatewayWorld, document: str, variables: dict[str, Any], field: str
) -> None:
    errors = (await gateway.ask(document, **variables))["errors"]

    assert {(error["extensions"]["code"], error["extensions"]["field"]) for error in errors} == {
        ("BAD_USER_INPUT", field)
    }


async def test_a_bad_user_id_is_bad_user_input(gateway: GatewayWorld) -> None:
    error = await gateway.error("Launches", OPERATOR, userId="../ann")

    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "userId"}


async def test_a_negative_sequence_to_follow_from_is_bad_user_input(gateway: GatewayWorld) -> None:
    with pytest.raises(RequestFailedError) as failed:
        await gateway.follow("LaunchProgress", ANN, launchId=global_id("Launch", "1"), after=-1)

    assert failed.value.faults[0]["extensions"] == {"code": "BAD_USER_INPUT", "field": "after"}


async def test_strings_that_no_database_could_store_are_not_found(gateway: GatewayWorld) -> None:
    data = await gateway.data("Launch", id=global_id("Launch", "\x00$where"))

    assert data["launch"] is None


async def test_an_error_nobody_foresaw_is_masked_and_logged_under_its_id(
    gateway: GatewayWorld, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.library.games = broken  # type: ignore[method-assign]  # the fake's answer, not the service's

    with caplog.at_level(logging.ERROR):
        error = await gateway.error("Games")

    error_id = error["extensions"]["id"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert "secret" not in error["message"]
    assert error_id in error["message"]
    assert [record.__dict__["error_id"] for record in caplog.records] == [error_id]


async def test_a_cloud_that_does_not_answer_is_unavailable_and_the_rest_is_answered(gateway: GatewayWorld) -> None:
    gateway.cloud.failures["sites"] = [ProviderBusyError("TensorDock does not respond")]

    answer = await gateway.ask("{ viewer { id } locations { city } }")

    assert answer["data"] is None  # both fields are promised: the contract leaves no way to answer one alone
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAVAILABLE"]


async def test_temporal_away_is_unavailable_and_leaves_no_launch(gateway: GatewayWorld) -> None:
    gateway.engine.away = True

    error = await gateway.error("LaunchGame", input=WISH)

    assert error["extensions"] == {"code": "UNAVAILABLE"}
    assert await gateway.db.find(Launch, {}) == []


async def test_the_database_away_is_unavailable_within_seconds(db_away: Database) -> None:
    async with gateway_world(db_away) as world:
        error = await world.error("Launches")

    assert error["extensions"] == {"code": "UNAVAILABLE"}


async def test_a_page_beyond_the_limit_is_refused_before_anything_runs(gateway: GatewayWorld) -> None:
    with pytest.raises(RequestFailedError) as failed:
        await gateway.ask("Hostnodes", first=101)

    assert failed.value.faults[0]["extensions"]["limit"] == "pageSize"
    assert gateway.cloud.calls["sites"] == 0


async def test_a_price_as_a_literal_is_exact(gateway: GatewayWorld) -> None:
    document = """mutation { createVm(input: {console: %s, maxHourlyPrice: %s}) { launch { id } } }"""

    for console, literal in (("NES", "0.30000000000000004"), ("SNES", '"0.30000000000000004"')):
        await gateway.data(document % (console, literal))

    stored = [launch.max_usd_per_hour for launch in await gateway.db.find(Launch, {})]
    assert stored == [Decimal("0.30000000000000004")] * 2


class TestTrustedDocuments:
    TEXT = "{ viewer { id } }"

    def execution(self) -> GraphQLExecution:
        return GraphQLExecution(documents=TrustedDocuments([self.TEXT]), trusted_only=True)

    def prepared(self, gateway: GatewayWorld, query: str | None, sha256: object) -> str:
        extensions = {"persistedQuery": {"version": 1, "sha256Hash": sha256}} if sha256 else None
        try:
            self.execution().prepare(GraphQLRequest(query, extensions=extensions), context_of(gateway))
        except RequestFailedError as error:
            return str(error.faults[0]["extensions"]["code"])
        return "prepared"

    async def test_one_is_called_by_its_hash(self, gateway: GatewayWorld) -> None:
        assert self.prepared(gateway, None, sha256_of(self.TEXT)) == "prepared"
        assert self.prepared(gateway, self.TEXT, sha256_of(self.TEXT)) == "prepared"
        assert self.prepared(gateway, self.TEXT, None) == "prepared"

    async def test_an_unknown_hash_is_told_as_clients_expect_it(self, gateway: GatewayWorld) -> None:
        assert self.prepared(gateway, None, sha256_of("{ consoles { id } }")) == "PERSISTED_QUERY_NOT_FOUND"

    async def test_others_can_be_refused(self, gateway: GatewayWorld) -> None:
        assert self.prepared(gateway, "{ consoles { id } }", None) == "FORBIDDEN"

    async def test_a_hash_that_is_not_the_documents_is_refused(self, gateway: GatewayWorld) -> None:
        assert self.prepared(gateway, "{ consoles { id } }", "0" * 64) == "BAD_USER_INPUT"
        assert self.prepared(gateway, None, 7) == "BAD_USER_INPUT"


async def test_the_schema_can_be_shown_to_operators_only(gateway: GatewayWorld) -> None:
    execution = GraphQLExecution(open_introspection=False)
    asked = GraphQLRequest("{ ...f } fragment f on Query { __schema { queryType { name } } }")

    execution.prepare(asked, context_of(gateway, OPERATOR))
    with pytest.raises(RequestFailedError) as failed:
        execution.prepare(asked, context_of(gateway))

    assert failed.value.faults[0]["extensions"]["code"] == "FORBIDDEN"


async def test_suggestions_can_be_withheld(gateway: GatewayWorld) -> None:
    with pytest.raises(RequestFailedError) as told:
        GraphQLExecution().prepare(GraphQLRequest("{ viewr { id } }"), context_of(gateway))
    with pytest.raises(RequestFailedError) as withheld:
        GraphQLExecution(suggestions=False).prepare(GraphQLRequest("{ viewr { id } }"), context_of(gateway))

    assert "viewer" in told.value.faults[0]["message"]
    assert "viewer" not in withheld.value.faults[0]["message"]


def context_of(gateway: GatewayWorld, caller: Any = ANN) -> Context:
    return Context(caller, gateway.services, "request-1")


async def broken(console: object = None) -> Any:
    raise RuntimeError("a secret of ours")
