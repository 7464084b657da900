"""Subscriptions as Apollo's multipart protocol, which Apollo Client uses where it has no WebSocket link."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from models.launches import LaunchStatus
from schema.ids import global_id
from tests.gateway import ANN, BOB, GatewayWorld, a_launch, an_event, listening, text_of, token, web_gateway
from web.app import create_app
from web.content_negotiation import stream_format
from web.gateway import WebLimits
from web.health import Readiness
from web.stream_formats import MULTIPART_SUBSCRIPTION, SERVER_SENT_EVENTS, StreamFormat

LAUNCH = "100000000000000001"
PROGRESS = {"query": text_of("LaunchProgress"), "variables": {"launchId": global_id("Launch", LAUNCH)}}
# What Apollo Client sends with a subscription.
APOLLO = (
    "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/graphql-response+json,application/json;q=0.9"
)


def parts(body: bytes) -> list[Any]:
    """Return the content of each part, and require the form of RFC 2046 around them."""
    start, *sections, end = body.split(b"\r\n--graphql")
    assert (start, end) == (b"", b"--\r\n")
    head = b"\r\nContent-Type: application/json\r\n\r\n"
    assert all(section.startswith(head) for section in sections)
    return [json.loads(section.removeprefix(head)) for section in sections]


async def test_results_are_payloads_of_parts_and_the_last_boundary_ends_them(
    gateway: GatewayWorld, ann: aiohttp.ClientSession
) -> None:
    await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.READY))
    await gateway.db.insert(an_event(LAUNCH, 1))
    await gateway.db.insert(an_event(LAUNCH, 2, LaunchStatus.READY))

    async with ann.post("/graphql", json=PROGRESS, headers={"Accept": APOLLO}) as answer:
        heard = parts(await answer.read())

    assert answer.headers["Content-Type"] == 'multipart/mixed; boundary="graphql"; subscriptionSpec=1.0'
    assert "Content-Encoding" not in answer.headers
    assert [part["payload"]["data"]["launchProgress"]["sequence"] for part in heard] == [1, 2]
    assert gateway.progress.followers == 0


async def test_an_idle_stream_has_heartbeats_and_a_stopping_service_ends_it_with_an_error(
    gateway: GatewayWorld,
) -> None:
    await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.RUNNING))
    serving = web_gateway(gateway, limits=WebLimits(beat_s=0.05))
    headers = {"Accept": APOLLO, "Authorization": f"Bearer {token(ANN)}"}
    async with (
        listening(create_app(serving, Readiness({}))) as address,
        aiohttp.ClientSession(f"http://{address}", headers=headers) as session,
        session.post("/graphql", json=PROGRESS) as answer,
    ):
        begun = await answer.content.readuntil(b"{}\r\n--graphql")
        serving.stopping.set()
        *beats, last = parts(begun + await answer.read())

    assert beats[0] == {}
    assert all(beat == {} for beat in beats)
    assert (last["payload"], last["errors"][0]["extensions"]["code"]) == (None, "UNAVAILABLE")


async def test_each_part_is_complete_before_the_next_one_comes(
    gateway: GatewayWorld, ann: aiohttp.ClientSession
) -> None:
    await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.RUNNING))
    await gateway.db.insert(an_event(LAUNCH, 1))

    async with ann.post("/graphql", json=PROGRESS, headers={"Accept": APOLLO}) as answer, asyncio.timeout(10):
        first = await answer.content.readuntil(b"}\r\n--graphql")

    assert b'"sequence":1' in first


async def test_what_may_not_be_followed_is_an_error_in_a_payload(
    gateway: GatewayWorld, ann: aiohttp.ClientSession
) -> None:
    await gateway.db.insert(a_launch(LAUNCH, BOB.id))

    async with ann.post("/graphql", json=PROGRESS, headers={"Accept": APOLLO}) as answer:
        (only,) = parts(await answer.read())

    assert [error["extensions"]["code"] for error in only["payload"]["errors"]] == ["NOT_FOUND"]


async def test_a_query_of_the_same_client_is_one_json_answer(ann: aiohttp.ClientSession) -> None:
    async with ann.post("/graphql", json={"query": "{ viewer { id } }"}, headers={"Accept": APOLLO}) as answer:
        assert answer.content_type == "application/graphql-response+json"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (APOLLO, MULTIPART_SUBSCRIPTION),
        ('multipart/mixed; boundary="graphql"; subscriptionSpec="1.0", application/json', MULTIPART_SUBSCRIPTION),
        ("text/event-stream", SERVER_SENT_EVENTS),
        (f"{APOLLO}, text/event-stream", SERVER_SENT_EVENTS),
        (f"{APOLLO}, text/event-stream;q=0.5", MULTIPART_SUBSCRIPTION),
        ("multipart/mixed;deferSpec=20220824, application/json", None),
        ("multipart/mixed;subscriptionSpec=2.0", None),
        ("multipart/mixed;subscriptionSpec=1.0;q=0", None),
        (None, None),
    ],
)
def test_the_stream_is_the_one_that_the_client_names(accept: str | None, expected: StreamFormat | None) -> None:
    assert stream_format(accept) is expected
