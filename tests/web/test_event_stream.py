"""Subscriptions as server-sent events, by the distinct connections mode of GraphQL over SSE."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from yarl import URL

from auth.authenticator import Authenticator
from auth.callers import Caller, Role
from auth.rate_limits import SocketsPerCaller
from models.launches import LaunchStatus
from schema.ids import global_id
from tests.gateway import ANN, BOB, GatewayWorld, a_launch, an_event, listening, text_of, token, web_gateway
from web.app import create_app
from web.gateway import WebLimits
from web.health import Readiness

LAUNCH = "100000000000000001"
PROGRESS = {"query": text_of("LaunchProgress"), "variables": {"launchId": global_id("Launch", LAUNCH)}}
VIEWER = {"query": "{ viewer { id } }"}
# What urql sends with every request, whatever it asks.
URQL = (
    "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed"
)
EVENTS = {"Accept": "text/event-stream"}


async def events_of(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    """As a browser reads them: name and data, comments left out."""
    name, data = "message", ""
    async for line in answer.content:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            data = value
        elif not line.strip() and name != "message":
            yield name, json.loads(data) if data else None
            name, data = "message", ""


async def all_events(answer: aiohttp.ClientResponse) -> list[tuple[str, Any]]:
    async with asyncio.timeout(20):
        return [event async for event in events_of(answer)]


@pytest.fixture
async def story(gateway: GatewayWorld) -> GatewayWorld:
    await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.READY))
    await gateway.db.insert(an_event(LAUNCH, 1))
    await gateway.db.insert(an_event(LAUNCH, 2, LaunchStatus.READY))
    return gateway


@pytest.mark.parametrize("accept", ["text/event-stream", URQL])
async def test_a_subscription_is_told_event_by_event_and_completed(
    story: GatewayWorld, ann: aiohttp.ClientSession, accept: str
) -> None:
    async with ann.post("/graphql", json=PROGRESS, headers={"Accept": accept}) as answer:
        heard = await all_events(answer)

    assert (answer.status, answer.content_type) == (200, "text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    assert [name for name, _ in heard] == ["next", "next", "complete"]
    assert [data["data"]["launchProgress"]["sequence"] for _, data in heard[:2]] == [1, 2]
    assert (story.progress.followers, story.progress.following) == (0, False)


async def test_a_browser_may_subscribe_by_get(story: GatewayWorld, ann: aiohttp.ClientSession) -> None:
    asked = {"query": str(PROGRESS["query"]), "variables": json.dumps(PROGRESS["variables"])}
    async with ann.get("/graphql", params=asked, headers=EVENTS) as answer:
        heard = await all_events(answer)

    assert [name for name, _ in heard] == ["next", "next", "complete"]


async def test_a_query_is_streamed_only_where_nothing_else_is_accepted(ann: aiohttp.ClientSession) -> None:
    async with ann.post("/graphql", json=VIEWER, headers={"Accept": URQL}) as plain:
        assert plain.content_type == "application/graphql-response+json"
    async with ann.post("/graphql", json=VIEWER, headers=EVENTS) as streamed:
        heard = await all_events(streamed)

    assert [name for name, _ in heard] == ["next", "complete"]
    assert heard[0][1]["data"] == {"viewer": {"id": "ann"}}


@pytest.mark.parametrize(
    ("query", "code"), [("{", "GRAPHQL_PARSE_FAILED"), ("{ nothing }", "GRAPHQL_VALIDATION_FAILED")]
)
async def test_what_cannot_be_run_is_told_as_an_event(ann: aiohttp.ClientSession, query: str, code: str) -> None:
    async with ann.post("/graphql", json={"query": query}, headers=EVENTS) as answer:
        heard = await all_events(answer)

    assert [name for name, _ in heard] == ["next", "complete"]
    assert heard[0][1]["errors"][0]["extensions"]["code"] == code


async def test_following_what_is_somebody_elses_is_not_found(story: GatewayWorld, served: str) -> None:
    headers = {"Authorization": f"Bearer {token(BOB)}", **EVENTS}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"http://{served}/graphql", json=PROGRESS, headers=headers) as r,
    ):
        heard = await all_events(r)

    assert heard[0][1]["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_without_credentials_there_is_no_stream(served: str) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"http://{served}/graphql", json=PROGRESS, headers=EVENTS) as r,
    ):
        assert r.status == 401


async def test_a_mutation_by_get_is_no_stream_either(gateway: GatewayWorld, ann: aiohttp.ClientSession) -> None:
    asked = {"query": text_of("CreateVm"), "variables": '{"input": {"console": "NES"}}'}
    async with ann.get("/graphql", params=asked, headers=EVENTS) as answer:
        assert answer.status == 405

    assert gateway.engine.started == []


async def test_a_client_that_leaves_is_no_follower_any_more(gateway: GatewayWorld, ann: aiohttp.ClientSession) -> None:
    await gateway.db.insert(a_launch(LAUNCH))
    await gateway.db.insert(an_event(LAUNCH, 1))
    async with ann.post("/graphql", json=PROGRESS, headers=EVENTS) as answer:
        await anext(events_of(answer))
        assert gateway.progress.followers == 1
        answer.close()

    await until_nobody_follows(gateway)


async def test_a_silent_stream_shows_signs_of_life(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_launch(LAUNCH))
    async with streaming(gateway, WebLimits(beat_s=0.02)) as answer:
        assert await answer.content.readline() == b":\n"


async def test_a_stream_ends_when_its_token_does(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_launch(LAUNCH))
    async with streaming(gateway, WebLimits(), lasting_s=0.5) as answer:
        heard = await all_events(answer)

    # Without `complete`: clients connect again then, with the credentials that they have.
    assert [data["errors"][0]["extensions"]["code"] for _, data in heard] == ["UNAUTHENTICATED"]
    assert gateway.progress.followers == 0


async def test_a_stream_ends_when_it_lasts_too_long(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_launch(LAUNCH))
    async with streaming(gateway, WebLimits(max_subscription_s=0.1)) as answer:
        heard = await all_events(answer)

    assert heard[0][1]["errors"][0]["extensions"]["limit"] == "subscriptionSeconds"


async def test_a_stream_ends_when_its_api_key_is_revoked(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_launch(LAUNCH))
    keys = gateway.services.api_keys
    made = await keys.create(Caller("olga", Role.OPERATOR), "shop", Role.SERVICE)
    door = Authenticator(None, keys)
    app = create_app(web_gateway(gateway, authenticator=door, limits=WebLimits(recheck_s=0.05)), Readiness())
    headers = {"X-API-Key": made.secret.get_secret_value(), **EVENTS}
    async with (
        listening(app) as address,
        aiohttp.ClientSession() as http,
        http.post(f"http://{address}/graphql", json=PROGRESS, headers=headers) as answer,
    ):
        await keys.revoke(Caller("olga", Role.OPERATOR), made.api_key.id)
        heard = await all_events(answer)

    assert heard[0][1]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_client_that_reads_nothing_is_cut_off(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_launch(LAUNCH))
    for number in range(60):
        event = an_event(LAUNCH, number + 1)
        event.message = "x" * 200_000
        await gateway.db.insert(event)
    app = create_app(web_gateway(gateway, limits=WebLimits(send_timeout_s=0.2)), Readiness())
    body = json.dumps(PROGRESS).encode()
    async with listening(app) as address:
        _, writer = await asyncio.open_connection(*address.split(":"), limit=1024)
        head = (
            f"POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token(ANN)}\r\nAccept: text/event-stream\r\n"
        )
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        async with asyncio.timeout(5):
            while gateway.progress.followers == 0:  # noqa: ASYNC110 - what is waited for has no event of its own
                await asyncio.sleep(0.005)
        await until_nobody_follows(gateway)
        writer.transport.abort()


async def test_streams_count_as_sockets_do(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_launch(LAUNCH))
    app = create_app(web_gateway(gateway, sockets=SocketsPerCaller(1)), Readiness())
    headers = {"Authorization": f"Bearer {token(ANN)}", **EVENTS}
    async with listening(app) as address, aiohttp.ClientSession(headers=headers) as http:
        url = f"http://{address}/graphql"
        async with http.post(url, json=PROGRESS), http.post(url, json=PROGRESS) as second:
            told = await second.json()

    assert (second.status, told["errors"][0]["extensions"]["limit"]) == (429, "socketsPerCaller")


class TestComingBack:
    """As an EventSource does: after every end, with the id of the last event that it had, until it is answered with
    204."""

    @pytest.fixture
    async def whole(self, gateway: GatewayWorld) -> GatewayWorld:
        await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.READY, last_sequence=2))
        await gateway.db.insert(an_event(LAUNCH, 1))
        await gateway.db.insert(an_event(LAUNCH, 2, LaunchStatus.READY))
        return gateway

    @pytest.fixture(params=["GraphQL", "REST"])
    def address(self, request: pytest.FixtureRequest, whole: GatewayWorld) -> URL:
        asked = {"query": str(PROGRESS["query"]), "variables": json.dumps(PROGRESS["variables"])}
        if request.param == "GraphQL":
            return URL("/graphql").with_query(asked)
        return URL(f"/launch/{global_id('Launch', LAUNCH)}/progress")

    async def test_each_event_has_an_id_and_the_last_one_says_so(
        self, ann: aiohttp.ClientSession, address: URL
    ) -> None:
        async with ann.get(address, headers=EVENTS) as answer:
            text = await answer.text()

        assert re.findall("^id: (.*)$", text, re.MULTILINE) == ["1", "2", "end"]

    async def test_it_goes_on_after_the_event_whose_id_is_sent(self, ann: aiohttp.ClientSession, address: URL) -> None:
        async with ann.get(address, headers={**EVENTS, "Last-Event-ID": "1"}) as answer:
            heard = await all_events(answer)

        assert [name for name, _ in heard] == ["next", "complete"]
        assert heard[0][1]["data"]["launchProgress"]["sequence"] == 2

    @pytest.mark.parametrize("last", ["2", "end"])
    async def test_after_the_last_event_the_answer_is_204(
        self, whole: GatewayWorld, ann: aiohttp.ClientSession, address: URL, last: str
    ) -> None:
        async with ann.get(address, headers={**EVENTS, "Last-Event-ID": last}) as answer:
            assert (answer.status, await answer.read()) == (204, b"")

        assert whole.progress.followers == 0

    @pytest.mark.parametrize("last", ["-1", "1e3", "9" * 400, "1\u0661", "nonsense"])
    async def test_an_id_that_is_none_of_ours_begins_at_the_start(
        self, ann: aiohttp.ClientSession, address: URL, last: str
    ) -> None:
        async with ann.get(address, headers={**EVENTS, "Last-Event-ID": last}) as answer:
            heard = await all_events(answer)

        assert [name for name, _ in heard] == ["next", "next", "complete"]

    async def test_a_stream_that_breaks_for_a_while_is_not_the_end(
        self, gateway: GatewayWorld, ann: aiohttp.ClientSession
    ) -> None:
        await gateway.db.insert(a_launch(LAUNCH))
        await gateway.db.insert(an_event(LAUNCH, 1))
        async with ann.post("/graphql", json=PROGRESS, headers=EVENTS) as answer:
            await anext(events_of(answer))
            await gateway.progress.close()
            text = await answer.text()

        assert '"UNAVAILABLE"' in text
        assert "id: end" not in text

    async def test_a_service_that_stops_says_so_and_logs_no_error(
        self, gateway: GatewayWorld, caplog: pytest.LogCaptureFixture
    ) -> None:
        await gateway.db.insert(a_launch(LAUNCH))
        await gateway.db.insert(an_event(LAUNCH, 1))
        app = create_app(web_gateway(gateway), Readiness())
        headers = {"Authorization": f"Bearer {token(ANN)}", **EVENTS}
        async with (
            listening(app, log_config=None) as address,
            aiohttp.ClientSession(headers=headers) as http,
            http.post(f"http://{address}/graphql", json=PROGRESS) as answer,
        ):
            await anext(events_of(answer))
            app.state.stopping.set()
            text = await answer.text()

        (last,) = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
        assert last["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
        assert "complete" not in text
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def streaming(world: GatewayWorld, limits: WebLimits, lasting_s: float = 60) -> Any:
    return _Streaming(world, limits, lasting_s)


class _Streaming:
    """ann follows the launch, at a gateway with these limits."""

    def __init__(self, world: GatewayWorld, limits: WebLimits, lasting_s: float) -> None:
        self._served = listening(create_app(web_gateway(world, limits=limits), Readiness()))
        self._headers = {"Authorization": f"Bearer {token(ANN, lasting_s)}", **EVENTS}

    async def __aenter__(self) -> aiohttp.ClientResponse:
        address = await self._served.__aenter__()
        self._http = aiohttp.ClientSession(headers=self._headers)
        self._answer = await self._http.post(f"http://{address}/graphql", json=PROGRESS)
        return self._answer

    async def __aexit__(self, *error: Any) -> None:
        self._answer.close()
        await self._http.close()
        await self._served.__aexit__(*error)


async def until_nobody_follows(world: GatewayWorld) -> None:
    async with asyncio.timeout(5):
        while world.progress.followers:  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)
