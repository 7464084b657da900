"""The whole story with gql, a GraphQL client for Python, over HTTP and WebSocket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from gql import Client, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport

from tests.e2e.service import OPERATIONS


async def play(url: str, user_id: str) -> dict[str, Any]:
    """Return what the client saw."""
    async with Client(transport=AIOHTTPTransport(url), execute_timeout=None) as session:

        async def ask(name: str, **variables: Any) -> dict[str, Any]:
            request = gql((OPERATIONS / f"{name}.graphql").read_text())
            request.variable_values = variables
            answer: dict[str, Any] = await session.execute(request)
            return answer

        games = (await ask("Games", console="SWITCH"))["games"]["edges"]
        key = f"evening-{user_id}"
        order = {"console": "SWITCH", "gameId": games[0]["node"]["gameId"], "userId": user_id, "idempotencyKey": key}
        launches = [(await ask("LaunchGame", input=order))["launchGame"]["launch"]["id"] for _ in range(2)]
        events = [each["launchProgress"] async for each in _progress(url, launches[0])]
        launch = (await ask("Launch", id=launches[0]))["launch"]
        refused = (await ask("CancelLaunch", launchId=launches[0]))["cancelLaunch"]["errors"]
        await ask("StopVm", vmId=launch["vm"]["id"])
        states: list[str] = []
        async with aclosing(_follow(url, "VmStatus", vmId=launch["vm"]["id"])) as results:
            async for each in results:
                states.append(each["vmStatus"]["status"])
                if states[-1] == "STOPPED":
                    break
    return {
        "launches": len(set(launches)),
        "sequences": [event["sequence"] for event in events],
        "status": events[-1]["status"],
        "host": events[-1]["launch"]["vm"]["stream"]["host"],
        "refused": [[error["__typename"], error["code"]] for error in refused],
        "stopped": states[-1],
    }


async def _progress(url: str, launch_id: str) -> AsyncIterator[dict[str, Any]]:
    """Yield all events, over two connections: the second one begins after the last event of the first."""
    async with aclosing(_follow(url, "LaunchProgress", launchId=launch_id)) as results:
        async for each in results:
            yield each
            if each["launchProgress"]["sequence"] == 3:
                break
    async with aclosing(_follow(url, "LaunchProgress", launchId=launch_id, after=3)) as results:
        async for each in results:
            yield each


async def _follow(url: str, name: str, **variables: Any) -> Any:
    transport = AIOHTTPWebsocketsTransport(
        "ws" + url.removeprefix("http"),
        subprotocols=["graphql-transport-ws"],
        init_payload={},
        connect_timeout=60,
        ack_timeout=60,
    )
    request = gql((OPERATIONS / f"{name}.graphql").read_text())
    request.variable_values = variables
    async with Client(transport=transport) as session:
        async for data in session.subscribe(request):
            yield data
