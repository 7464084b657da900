"""Checks that thousands of simultaneous requests are all answered, on the embedded database.

    python -m bench.crowds [--people 2000]

Starts a gateway process with its default limits, on the embedded database. Then that many players read at once, each on
a separate connection; as many follow launches over WebSockets, half of them their own and half the same one; and as
many read with one API key. Prints how many were answered, which errors the others got, and how long they waited. Exits
with 1 when any request was not answered.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.attacks import SECRET, token
from embedded.services import EmbeddedServices
from models.database import Database
from models.launches import Launch, LaunchEvent
from schema.ids import global_id
from tests.e2e.service import Gateway, deployment
from tests.gateway import a_launch, an_event

_PATIENCE_S: Final = 90.0  # of a client
_EVENTS: Final = 10  # of each launch, written before the requests
_SHARED: Final = "100000000000000000"
_VMS: Final = "{ vms(first: 5) { edges { node { id status } } } }"
_PROGRESS: Final = "subscription($id: ID!) { launchProgress(launchId: $id) { sequence launch { status } } }"


@dataclass
class Crowd:
    """The responses to one kind of requests."""

    told: Counter[str] = field(default_factory=Counter)
    waited_s: list[float] = field(default_factory=list)

    async def one(self, ask: Awaitable[str]) -> None:
        begun = time.perf_counter()
        try:
            self.told[await ask] += 1
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.told[type(error).__name__] += 1
        self.waited_s.append(time.perf_counter() - begun)


async def read(gateway: Gateway, http: aiohttp.ClientSession, headers: dict[str, str]) -> str:
    """Read the VMs once; return what the gateway said."""
    async with http.post(f"{gateway.url}/graphql", json={"query": _VMS}, headers=headers) as answer:
        content = await answer.json()
    return said(content)


async def follow(gateway: Gateway, http: aiohttp.ClientSession, caller: str, launch_id: str) -> str:
    """Read until the last event that was written before."""
    async with http.ws_connect(f"{gateway.url}/graphql", protocols=["graphql-transport-ws"]) as socket:
        await socket.send_json({"type": "connection_init", "payload": {"Authorization": caller}})
        acknowledged = await socket.receive(_PATIENCE_S)
        if acknowledged.type is not aiohttp.WSMsgType.TEXT:
            return f"closed with {socket.close_code}"
        query = {"query": _PROGRESS, "variables": {"id": global_id("Launch", launch_id)}}
        await socket.send_json({"type": "subscribe", "id": "1", "payload": query})
        for sequence in range(1, _EVENTS + 1):
            message = await socket.receive(_PATIENCE_S)
            if message.type is not aiohttp.WSMsgType.TEXT:
                return f"closed with {socket.close_code}"
            content = message.json()
            if content["type"] != "next":
                return str(content["payload"][0]["message"])
            if "errors" in content["payload"]:
                return said(content["payload"])
            if content["payload"]["data"]["launchProgress"]["sequence"] != sequence:
                return "an event is missing"
    return "answered"


def said(content: dict[str, Any]) -> str:
    """Return the message of the first error, or that it was answered."""
    return str(content["errors"][0]["message"]) if "errors" in content else "answered"


async def together(name: str, people: int, ask: Callable[[int], Awaitable[str]]) -> Crowd:
    """Let all people ask at once; print and return what came of it."""
    crowd = Crowd()
    begun = time.perf_counter()
    await asyncio.gather(*(crowd.one(ask(number)) for number in range(people)))
    took_s, waited = time.perf_counter() - begun, sorted(crowd.waited_s)
    say(f"{name}: {people} in {took_s:.1f} s, median {waited[len(waited) // 2]:.1f} s, last {waited[-1]:.1f} s")
    for told, count in crowd.told.most_common():
        say(f"{count:7} {told}")
    return crowd


async def ask_all(gateway: Gateway, http: aiohttp.ClientSession, people: int) -> list[Crowd]:
    """Let crowds read with keys of their own and with one key, and follow launches."""
    players = [f"Bearer {token(f'player-{number}')}" for number in range(people)]
    services = [f"Bearer {token(f'service-{number}', 'service')}" for number in range(people)]
    key = await api_key(gateway, http)

    async def reading(number: int) -> str:
        return await read(gateway, http, {"Authorization": players[number]})

    async def reading_with_one_key(_: int) -> str:
        return await read(gateway, http, {"X-API-Key": key})

    async def following(number: int) -> str:
        if number % 2:
            return await follow(gateway, http, players[number], launch_of(number))
        return await follow(gateway, http, services[number], _SHARED)

    return [
        await together("reads of players", people, reading),
        await together("reads with one API key", people, reading_with_one_key),
        await together("subscriptions", people, following),
    ]


async def api_key(gateway: Gateway, http: aiohttp.ClientSession) -> str:
    """Create an API key and return its secret."""
    mutation = 'mutation { createApiKey(input: {name: "crowd", role: SERVICE}) { secret } }'
    headers = {"Authorization": f"Bearer {token('olga', 'operator')}"}
    async with http.post(f"{gateway.url}/graphql", json={"query": mutation}, headers=headers) as answer:
        return str((await answer.json())["data"]["createApiKey"]["secret"])


def launch_of(number: int) -> str:
    """Return the id of the launch that this person follows."""
    return str(200_000_000_000_000_000 + number)


async def fill(uri: str, name: str, people: int) -> None:
    """Return launches under way, with their events so far."""
    db = Database(uri, name, timeout_s=60)
    launches = [(_SHARED, "crowd"), *((launch_of(number), f"player-{number}") for number in range(1, people, 2))]
    for begin in range(0, len(launches), 100):
        part = launches[begin : begin + 100]
        await db.insert_many([a_launch(launch_id, user_id) for launch_id, user_id in part])
        await db.insert_many([an_event(id_, sequence) for id_, _ in part for sequence in range(1, _EVENTS + 1)])
    assert await db.count(Launch, {}) == len(launches)
    assert await db.count(LaunchEvent, {}) == len(launches) * _EVENTS
    await db.close()


async def run(people: int) -> list[Crowd]:
    """Run a gateway with its database, and let the crowds ask it."""
    with tempfile.TemporaryDirectory(prefix="crowds-") as name:
        folder = Path(name)
        async with EmbeddedServices(folder / "embedded", simulator=None) as running:
            assert running.mongodb_uri is not None
            assert running.temporal_address is not None
            async with deployment(folder, running.mongodb_uri, running.temporal_address) as deployed:
                deployed.environment |= {
                    "JWT_SECRET": SECRET,
                    "LOG_LEVEL": "WARNING",
                    "RATE_LIMIT_PER_MINUTE": str(10 * people),
                }
                gateway = await deployed.gateway()
                await fill(running.mongodb_uri, deployed.environment["MONGODB_DATABASE"], people)
                timeout = aiohttp.ClientTimeout(total=_PATIENCE_S)
                connector = aiohttp.TCPConnector(limit=0, force_close=True)
                async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
                    return await ask_all(gateway, http, people)


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, default=2000)
    crowds = asyncio.run(run(**vars(parser.parse_args())))
    return 0 if all(set(crowd.told) == {"answered"} for crowd in crowds) else 1


if __name__ == "__main__":
    sys.exit(main())
