"""The REST paths: the table is true to the documents, and each row is answered as GraphQL would be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from docs.rest_page import PAGE, page
from errors import InvalidStateError, LimitReachedError, RefusedError, SpendingLimitError
from fleet.messages import Command, CommandResult
from models.audit import AuditEntry
from models.launches import Launch, LaunchStatus
from models.vms import VmStatus
from schema.execution import errors
from schema.execution.limits import QUERY_TOO_COMPLEX
from schema.execution.rest_variables import Variables
from schema.execution.trusted_documents import FOLDER, text_of
from schema.ids import global_id
from tests.gateway import (
    ANN,
    BOB,
    OPERATOR,
    GatewayWorld,
    a_launch,
    a_vm,
    an_event,
    listening,
    request_rate,
    token,
    web_gateway,
)
from tests.web.conftest import ORIGIN
from web.app import create_app
from web.error_responses import STATUSES
from web.health import Readiness
from web.rest_routes import PATHS, Part, RestPath

ONLY_IN_BODIES = {"measuredRtt"}  # a list of objects, which a query string has no notation for
LAUNCH = "100000000000000001"
MACHINE = "200000000000000001"
LAUNCH_ID = global_id("Launch", LAUNCH)
VM_ID = global_id("VM", MACHINE)
MARIO = {"console": "SWITCH", "gameId": "mario-odyssey"}


def name_of(row: RestPath) -> str:
    return f"{'+'.join(row.methods)} {row.path}"


async def asked(http: aiohttp.ClientSession, method: str, path: str, **how: Any) -> tuple[int, Any]:
    async with http.request(method, path, **how) as answer:
        return answer.status, await answer.json()


async def problem(http: aiohttp.ClientSession, method: str, path: str, **how: Any) -> tuple[int, Any]:
    """The status and the only error."""
    status, told = await asked(http, method, path, **how)
    (only,) = told["errors"]
    return status, only


class TestTheTable:
    def test_the_page_is_what_the_table_says(self) -> None:
        """`make docs` writes it."""
        assert PAGE.read_text(encoding="utf-8") == page()

    @pytest.mark.parametrize("row", PATHS, ids=name_of)
    def test_a_row_gives_every_variable_of_its_document_and_no_other(self, row: RestPath) -> None:
        variables = Variables(text_of(row.document))

        for target in row.variables:
            variables.type_of(tuple(target.split(".")))

        unsayable = ONLY_IN_BODIES if row.methods == ("GET",) else set()
        assert {target.split(".")[0] for target in row.variables} == variables.names - unsayable

    @pytest.mark.parametrize("row", PATHS, ids=name_of)
    def test_a_row_uses_each_part_of_its_path(self, row: RestPath) -> None:
        used = {f"{{{source.name}}}" for source in row.variables.values() if source.part is Part.PATH}

        for path in (row.path, *row.earlier):
            assert {part for part in path.split("/") if part.startswith("{")} == used

    def test_no_path_and_method_is_said_twice(self) -> None:
        said = [(method, path) for row in PATHS for path in (row.path, *row.earlier) for method in row.methods]

        assert len(said) == len(set(said))

    def test_every_document_stands_in_the_folder(self) -> None:
        assert {row.document for row in PATHS} <= {file.stem for file in Path(FOLDER).glob("*.graphql")}

    def test_every_code_has_a_status(self) -> None:
        refusals = {kind.code for kind in RefusedError.__subclasses__()}
        others = {errors.BAD_USER_INPUT, errors.FORBIDDEN, errors.INTERNAL, errors.PARSE_FAILED, errors.UNAUTHENTICATED}
        more = {errors.UNAVAILABLE, errors.VALIDATION_FAILED, QUERY_TOO_COMPLEX, LimitReachedError.code}

        assert refusals | others | more <= set(STATUSES)
        assert (STATUSES[InvalidStateError.code], STATUSES[SpendingLimitError.code]) == (409, 409)


class TestReading:
    async def test_the_answer_is_the_documents_data(self, gateway: GatewayWorld, ann: aiohttp.ClientSession) -> None:
        await gateway.db.insert(a_vm(MACHINE))
        await gateway.db.insert(a_vm("200000000000000002", user_id="bob"))

        status, told = await asked(ann, "GET", "/vms", params={"status": "running", "first": "10"})

        assert status == 200
        assert [edge["node"]["id"] for edge in told["vms"]["edges"]] == [VM_ID]

    async def test_a_parameter_may_be_repeated_where_it_is_a_list(
        self, gateway: GatewayWorld, ann: aiohttp.ClientSession
    ) -> None:
        await gateway.db.insert(a_vm(MACHINE, status=VmStatus.STOPPED))

        _, both = await asked(ann, "GET", "/vms?status=RUNNING&status=STOPPED")
        _, one = await asked(ann, "GET", "/vms?status=RUNNING")

        assert (len(both["vms"]["edges"]), len(one["vms"]["edges"])) == (1, 0)

    async def test_one_machine_by_its_id(self, gateway: GatewayWorld, ann: aiohttp.ClientSession) -> None:
        await gateway.db.insert(a_vm(MACHINE))

        status, told = await asked(ann, "GET", f"/vms/{VM_ID}")

        assert (status, told["vm"]["name"]) == (200, f"gamer-{MACHINE}")

    @pytest.mark.parametrize("path", ["/vms/{}", "/launch/{}", "/launch/{}/progress"])
    async def test_unknown_and_somebody_elses_are_not_found_alike(
        self, gateway: GatewayWorld, ann: aiohttp.ClientSession, path: str
    ) -> None:
        await gateway.db.insert(a_vm(MACHINE, user_id="bob"))
        await gateway.db.insert(a_launch(LAUNCH, user_id="bob"))
        theirs = VM_ID if path.startswith("/vms") else LAUNCH_ID

        answers = [await problem(ann, "GET", path.format(id_)) for id_ in (theirs, "nothing", VM_ID[::-1])]

        assert {(status, told["code"], told["message"]) for status, told in answers} == {
            (404, "NOT_FOUND", answers[0][1]["message"])
        }

    @pytest.mark.parametrize("path", ["/config/consoles/switch", "/config/emulators/SWITCH"])
    async def test_old_names_lead_to_the_same(self, ann: aiohttp.ClientSession, path: str) -> None:
        status, told = await asked(ann, "GET", path)

        assert (status, told["console"]["type"]) == (200, "SWITCH")

    async def test_coordinates_are_two_parameters(self, ann: aiohttp.ClientSession) -> None:
        near = {"console": "switch", "hours": "2", "latitude": "32.7767", "longitude": "-96.7970"}

        status, told = await asked(ann, "GET", "/billing/estimate", params=near)

        assert status == 200
        assert told["costEstimate"]["placement"]["site"]["location"]["city"] == "Dallas"

    @pytest.mark.parametrize(
        "path",
        [
            "/launch",
            "/launch/placements?console=nes",
            "/launch/hostnodes",
            "/launch/hostnodes/closest?console=nes&latitude=1&longitude=2",
            "/launch/locations/summary",
            "/config/consoles",
            "/config/games?console=snes&first=1",
            "/config/providers",
            "/billing/costs?start=2026-05-01&end=2026-05-02&granularity=hour&groupBy=console",
            "/billing/current",
            "/billing/alerts?dailyLimit=50&monthlyLimit=500",
            "/billing/limits",
        ],
    )
    async def test_every_other_path_that_reads(self, ann: aiohttp.ClientSession, path: str) -> None:
        status, told = await asked(ann, "GET", path)

        assert (status, "errors" in told) == (200, False), told

    @pytest.mark.parametrize(
        "path", ["/launch/regions", "/launch/gcp/regions/closest?console=nes&latitude=1&longitude=2"]
    )
    async def test_a_cloud_that_is_not_there_is_503(self, ann: aiohttp.ClientSession, path: str) -> None:
        status, told = await problem(ann, "GET", path)

        assert (status, told["code"]) == (503, "PROVIDER_UNAVAILABLE"), told

    async def test_head_says_the_same_without_the_words(self, ann: aiohttp.ClientSession) -> None:
        async with ann.head("/config/consoles") as answer:
            assert (answer.status, await answer.read()) == (200, b"")


class TestBadInput:
    @pytest.mark.parametrize(
        ("path", "field"),
        [
            ("/vms?first=ten", "first"),
            ("/vms?first=1&first=2", "first"),
            ("/vms?status=ASLEEP", "status.0"),
            ("/vms?colour=blue", "colour"),
            ("/vms?after=%24where", "after"),
            ("/config/consoles/PS5", "console"),
            ("/billing/costs?start=2026-05-01", "end"),
            ("/billing/costs?start=yesterday&end=2026-05-01", "start"),
            ("/billing/estimate?console=nes&hours=1&latitude=91&longitude=0", "latitude"),
            ("/billing/estimate?console=nes&hours=1&latitude=1", "longitude"),
            ("/billing/estimate?console=nes&hours=NaN", "hours"),
            ("/billing/alerts?dailyLimit=lots", "dailyLimit"),
            ("/launch/hostnodes/closest?console=nes", "latitude"),
            (f"/launch/{LAUNCH_ID}/progress?after=-1", "after"),
        ],
    )
    async def test_a_query_is_refused_with_the_parameter_at_fault(
        self, ann: aiohttp.ClientSession, path: str, field: str
    ) -> None:
        status, told = await problem(ann, "GET", path)

        assert (status, told["code"], told["field"]) == (400, "BAD_USER_INPUT", field)

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "console"),
            ({"console": "SWITCH"}, "gameId"),
            ({**MARIO, "console": "PS5"}, "console"),
            ({**MARIO, "colour": "blue"}, "colour"),
            ({**MARIO, "gameId": "../../etc"}, "gameId"),
            ({**MARIO, "gameId": {"$ne": None}}, "gameId"),
            ({**MARIO, "location": {"latitude": 91, "longitude": 0}}, "location.latitude"),
            ({**MARIO, "maxHourlyPrice": "-1"}, "maxHourlyPrice"),
        ],
    )
    async def test_a_body_is_refused_with_the_field_at_fault_and_nothing_is_launched(
        self, gateway: GatewayWorld, ann: aiohttp.ClientSession, body: dict[str, Any], field: str
    ) -> None:
        status, told = await problem(ann, "POST", "/launch", json=body)

        assert (status, told["code"], told["field"]) == (400, "BAD_USER_INPUT", field)
        assert await gateway.db.find(Launch, {}) == []

    async def test_what_the_path_says_the_body_may_not(self, ann: aiohttp.ClientSession) -> None:
        body = {**MARIO, "vmId": global_id("VM", "200000000000000009")}

        assert await problem(ann, "POST", f"/launch/vm/{VM_ID}/game", json=body) == (
            400,
            {"code": "BAD_USER_INPUT", "message": "id: is already set by the path", "field": "id"},
        )

    @pytest.mark.parametrize(
        ("body", "kind", "status"),
        [
            (b"[]", "application/json", 400),
            (b"{", "application/json", 400),
            (b'"' + b"[" * 5000, "application/json", 400),
            (b"{}", "text/plain", 415),
            (b"a=b", "application/x-www-form-urlencoded", 415),
            (b" " * 30_000, "application/json", 413),
        ],
    )
    async def test_a_body_that_is_no_json_object(
        self, ann: aiohttp.ClientSession, body: bytes, kind: str, status: int
    ) -> None:
        answer = await problem(ann, "POST", "/launch", data=body, headers={"Content-Type": kind})

        assert (answer[0], answer[1]["code"]) == (status, "LIMIT_REACHED" if status == 413 else "BAD_REQUEST")

    async def test_what_is_nested_beyond_all_sense_is_refused(self, ann: aiohttp.ClientSession) -> None:
        body = b'{"providers": ' + b"[" * 900 + b"]" * 900 + b"}"

        status, told = await problem(
            ann, "PUT", "/config/consoles/nes", data=body, headers={"Content-Type": "application/json"}
        )

        assert (status, told["code"]) == (400, "BAD_USER_INPUT")

    async def test_a_page_too_large_is_over_the_limit_of_graphql(self, ann: aiohttp.ClientSession) -> None:
        status, told = await problem(ann, "GET", "/vms?first=1000")

        assert (status, told["code"], told["limit"], told["allowed"]) == (400, "QUERY_TOO_COMPLEX", "pageSize", 100)


NASTY = [
    *(
        "",
        "%00",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "$(reboot)",
        "';--",
        "{$ne:null}",
        "%F0%9F%92%A3",
        "%ff%fe",
        "x" * 1000,
    ),
    *("NaN", "Infinity", "-0", "1e400", "999999999999999999", "%D9%A1", "null", "true", "[]", "{}"),
]


VALUES: list[Any] = [None, 1, "x", [], [[]], {}, {"$where": "1"}, {"__proto__": {}}, 1e308, -(2**63)]


class TestHostileInput:
    @pytest.mark.parametrize("row", PATHS, ids=name_of)
    async def test_no_word_in_a_path_or_a_query_is_more_than_a_word(
        self, gateway: GatewayWorld, ann: aiohttp.ClientSession, row: RestPath, caplog: pytest.LogCaptureFixture
    ) -> None:
        for word in NASTY:
            path = re.sub(r"\{\w+\}", word or "x", row.path)
            parameters = "&".join(
                f"{source.name}={word}" for source in row.variables.values() if source.part is Part.QUERY
            )
            url = URL(f"{path}?{parameters}", encoded=True)
            async with ann.request(row.methods[0], url) as answer:
                assert answer.status in (200, 400, 403, 404, 503), (word, await answer.text())

        assert "unexpected error" not in caplog.text
        assert await gateway.db.find(Launch, {}) == []
        assert (gateway.engine.started, gateway.engine.asked, gateway.engine.cancelled) == ([], [], [])

    @pytest.mark.parametrize("row", [row for row in PATHS if {"POST", "PUT"} & set(row.methods)], ids=name_of)
    async def test_no_body_does_more_than_be_refused(
        self, gateway: GatewayWorld, ann: aiohttp.ClientSession, row: RestPath, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = re.sub(r"\{\w+\}", "nes" if "console" in row.path else VM_ID, row.path)
        for value in VALUES:
            for body in ({"input": value}, {"console": value}, {"pin": value}, {"": value}, {"errors": value}):
                status, told = await asked(ann, row.methods[0], path, json=body)
                assert status in (400, 403, 404), (body, told)

        assert "unexpected error" not in caplog.text
        assert await gateway.db.find(Launch, {}) == []


class TestChanging:
    async def test_a_launch_is_ordered_and_on_the_trail(
        self, gateway: GatewayWorld, ann: aiohttp.ClientSession
    ) -> None:
        status, told = await asked(ann, "POST", "/launch", json=MARIO)

        (launch,) = await gateway.db.find(Launch, {})
        (entry,) = await gateway.db.find(AuditEntry, {})
        assert (status, told["launchGame"]["launch"]["id"]) == (200, global_id("Launch", launch.id))
        assert (launch.user_id, launch.game_id) == ("ann", "mario-odyssey")
        assert (entry.actor_id, entry.action, entry.subject_id) == ("ann", "launchGame", launch.id)

    async def test_its_old_name_does_the_same(self, gateway: GatewayWorld, ann: aiohttp.ClientSession) -> None:
        await asked(ann, "POST", "/launch/game", json=MARIO)

        assert [launch.game_id for launch in await gateway.db.find(Launch, {})] == ["mario-odyssey"]

    async def test_a_machine_without_a_game(self, gateway: GatewayWorld, ann: aiohttp.ClientSession) -> None:
        status, _ = await asked(ann, "POST", "/vms", json={"console": "NES"})

        assert (status, [launch.game_id for launch in await gateway.db.find(Launch, {})]) == (200, [None])

    @pytest.mark.parametrize("method", ["POST", "PUT"])
    @pytest.mark.parametrize("command", [Command.START, Command.STOP, Command.RESTART])
    async def test_the_power_is_changed_without_a_body(
        self, gateway: GatewayWorld, ann: aiohttp.ClientSession, method: str, command: Command
    ) -> None:
        await gateway.db.insert(a_vm(MACHINE))
        gateway.engine.answer = CommandResult(True, VmStatus.STOPPING)

        status, told = await asked(ann, method, f"/vms/{VM_ID}/{command.lower()}")

        assert (status, told[f"{command.lower()}Vm"]["vm"]["id"]) == (200, VM_ID)
        assert gateway.engine.asked == [(MACHINE, command)]

    async def test_a_state_that_forbids_it_is_a_conflict(
        self, gateway: GatewayWorld, ann: aiohttp.ClientSession
    ) -> None:
        await gateway.db.insert(a_vm(MACHINE))

        status, told = await problem(ann, "DELETE", f"/vms/{VM_ID}")

        assert (status, told["code"], told["status"]) == (409, "INVALID_STATE", "RUNNING")

    async def test_a_machine_that_is_not_there_is_not_found_by_its_id(self, ann: aiohttp.ClientSession) -> None:
        status, told = await problem(ann, "POST", f"/vms/{VM_ID}/start")

        assert (status, told["code"], told["field"]) == (404, "NOT_FOUND", "id")

    async def test_a_launch_is_cancelled(self, gateway: GatewayWorld, ann: aiohttp.ClientSession) -> None:
        await gateway.db.insert(a_launch(LAUNCH))

        status, _ = await asked(ann, "DELETE", f"/launch/{LAUNCH_ID}")

        assert (status, gateway.engine.cancelled) == (200, [LAUNCH])

    async def test_a_field_that_a_path_without_input_does_not_know(self, ann: aiohttp.ClientSession) -> None:
        status, told = await problem(ann, "POST", f"/vms/{VM_ID}/start", json={"force": True})

        assert (status, told["field"]) == (400, "force")

    async def test_an_engine_that_is_away_is_503(self, gateway: GatewayWorld, ann: aiohttp.ClientSession) -> None:
        await gateway.db.insert(a_vm(MACHINE))
        gateway.engine.away = True

        async with ann.post(f"/vms/{VM_ID}/stop") as answer:
            told = await answer.json()

        assert (answer.status, told["errors"][0]["code"]) == (503, "UNAVAILABLE")
        assert answer.headers["Retry-After"] == "2"

    async def test_what_is_for_operators_is_403_and_on_the_trail(
        self, gateway: GatewayWorld, ann: aiohttp.ClientSession
    ) -> None:
        status, told = await problem(ann, "PUT", "/billing/limits", json={"period": "DAILY", "amount": "5"})

        (entry,) = await gateway.db.find(AuditEntry, {})
        assert (status, told["code"]) == (403, "FORBIDDEN")
        assert (entry.actor_id, entry.action, entry.outcome) == ("ann", "setSpendingLimit", "DENIED")

    async def test_an_operator_sets_a_limit_and_ends_it(self, gateway: GatewayWorld, served: str) -> None:
        headers = {"Authorization": f"Bearer {token(OPERATOR)}"}
        async with aiohttp.ClientSession(f"http://{served}", headers=headers) as http:
            await asked(http, "PUT", "/billing/limits", json={"period": "DAILY", "amount": "5", "userId": "ann"})
            status, told = await asked(http, "DELETE", "/billing/limits?period=daily&userId=ann")
            missing = await problem(http, "DELETE", "/billing/limits")

        assert (status, told["removeSpendingLimit"]["limit"]["amount"]) == (200, "5")
        assert (missing[0], missing[1]["field"]) == (400, "period")

    async def test_an_operator_configures_a_console(self, gateway: GatewayWorld, served: str) -> None:
        headers = {"Authorization": f"Bearer {token(OPERATOR)}"}
        async with aiohttp.ClientSession(f"http://{served}", headers=headers) as http:
            status, told = await asked(http, "PUT", "/config/consoles/nes", json={"idleStopMinutes": 25})

        assert (status, told["configureConsole"]["console"]["type"]) == (200, "NES")


class TestTheDoor:
    async def test_without_credentials_nothing_is_told(self, served: str) -> None:
        async with aiohttp.ClientSession(f"http://{served}") as http, http.get("/vms") as answer:
            told = await answer.json()

        assert (answer.status, told["errors"][0]["code"]) == (401, "UNAUTHENTICATED")
        assert answer.headers["WWW-Authenticate"] == "Bearer"

    async def test_the_rate_is_counted_with_that_of_graphql(self, gateway: GatewayWorld) -> None:
        app = create_app(web_gateway(gateway, rate=request_rate(gateway, 2)), Readiness())
        headers = {"Authorization": f"Bearer {token(ANN)}"}
        async with listening(app) as address, aiohttp.ClientSession(f"http://{address}", headers=headers) as http:
            async with http.post("/graphql", json={"query": "{ viewer { id } }"}) as first:
                assert first.status == 200
            async with http.get("/config/consoles") as second:
                assert second.status == 200
            async with http.get("/config/consoles") as third:
                told = await third.json()

        assert (third.status, told["errors"][0]["limit"]) == (429, "requestsPerMinute")
        assert int(third.headers["Retry-After"]) >= 1

    async def test_strangers_are_counted_by_address(self, gateway: GatewayWorld) -> None:
        app = create_app(web_gateway(gateway, rate=request_rate(gateway, 1)), Readiness())
        async with listening(app) as address, aiohttp.ClientSession(f"http://{address}") as http:
            statuses = [(await problem(http, "GET", "/vms"))[0] for _ in range(2)]

        assert statuses == [401, 429]

    @pytest.mark.parametrize(
        "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]
    )
    async def test_another_sites_page_changes_nothing(
        self, gateway: GatewayWorld, ann: aiohttp.ClientSession, headers: dict[str, str]
    ) -> None:
        await gateway.db.insert(a_vm(MACHINE))
        gateway.engine.answer = CommandResult(True, VmStatus.STOPPING)

        status, told = await problem(ann, "POST", f"/vms/{VM_ID}/stop", headers=headers)

        assert (status, told["code"], gateway.engine.asked) == (403, "FORBIDDEN", [])

    async def test_a_page_of_a_listed_origin_may_after_asking(self, ann: aiohttp.ClientSession) -> None:
        headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "DELETE"}
        async with ann.options(f"/vms/{VM_ID}", headers=headers) as preflight:
            assert (preflight.status, preflight.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)

    async def test_the_id_of_the_request_comes_back(self, ann: aiohttp.ClientSession) -> None:
        async with ann.get("/config/consoles", headers={"X-Request-ID": "web-app.42_a"}) as answer:
            assert answer.headers["X-Request-ID"] == "web-app.42_a"

    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("PATCH", "/vms", {"GET", "HEAD", "POST"}),
            ("POST", f"/vms/{VM_ID}", {"GET", "HEAD", "DELETE"}),
            ("GET", f"/vms/{VM_ID}/start", {"POST", "PUT"}),
        ],
    )
    async def test_a_wrong_method_is_told_the_right_ones(
        self, ann: aiohttp.ClientSession, method: str, path: str, allow: set[str]
    ) -> None:
        async with ann.request(method, path) as answer:
            assert (await answer.json())["errors"][0]["code"] == "METHOD_NOT_ALLOWED"
            assert (answer.status, set(answer.headers["Allow"].split(", "))) == (405, allow)

    @pytest.mark.parametrize("path", ["/vms/a/b", "/billing", "/config/nothing", "/launch/a/b"])
    async def test_an_unknown_path_is_404(self, ann: aiohttp.ClientSession, path: str) -> None:
        async with ann.get(path) as answer:
            assert answer.status == 404


class TestProgress:
    @pytest.fixture
    async def story(self, gateway: GatewayWorld) -> GatewayWorld:
        await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.READY))
        await gateway.db.insert(an_event(LAUNCH, 1))
        await gateway.db.insert(an_event(LAUNCH, 2, LaunchStatus.READY))
        return gateway

    @pytest.mark.parametrize(("after", "sequences"), [("", [1, 2]), ("?after=1", [2])])
    async def test_it_is_told_event_by_event_and_completed(
        self, story: GatewayWorld, ann: aiohttp.ClientSession, after: str, sequences: list[int]
    ) -> None:
        async with ann.get(f"/launch/{LAUNCH_ID}/progress{after}") as answer:
            text = await answer.text()

        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        assert [f'"sequence":{number},' in text for number in (1, 2)] == [number in sequences for number in (1, 2)]
        assert text.endswith("event: complete\ndata:\n\n")
        assert story.progress.followers == 0

    async def test_somebody_elses_is_not_found_before_a_stream_begins(self, story: GatewayWorld, served: str) -> None:
        headers = {"Authorization": f"Bearer {token(BOB)}"}
        async with aiohttp.ClientSession(f"http://{served}", headers=headers) as http:
            status, told = await problem(http, "GET", f"/launch/{LAUNCH_ID}/progress")

        assert (status, told["code"], told["field"]) == (404, "NOT_FOUND", "id")
