"""Secrets stay where they were put: one is planted in every credential, the service is driven through launches,
failures and errors, and then everything that came out is searched for them."""

from __future__ import annotations

import asyncio
import json
import secrets
import traceback
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pymongo
import pytest
from temporalio.client import Client

from embedded.ports import free_port
from settings import SettingsError, load_settings
from tests.e2e.service import Deployment, Gateway

pytestmark = pytest.mark.timeout(240)

VIEWER = {"query": "{ viewer { id role } }"}
LONGEST_PIECE = 24  # of a long secret, a piece of this length is a leak too


def canary(name: str) -> str:
    return f"canary-{name}-{secrets.token_hex(16)}"


@dataclass
class Canaries:
    """The planted secrets by what they are, and everything that came out."""

    planted: dict[str, str] = field(default_factory=dict)
    came_out: dict[str, str] = field(default_factory=dict)

    def plant(self, name: str) -> str:
        self.planted[name] = canary(name)
        return self.planted[name]

    def hear(self, where: str, what: object) -> None:
        text = what if isinstance(what, str) else json.dumps(what, default=str)
        self.came_out[f"{len(self.came_out)} {where}"] = text

    def found(self) -> list[tuple[str, str]]:
        return [
            (name, where)
            for name, secret in self.planted.items()
            for where, text in self.came_out.items()
            if secret[:200] in text or secret[-LONGEST_PIECE:] in text
        ]


def signed(secret: str, user_id: str, role: str, lasting_s: float = 600) -> str:
    expires = datetime.now(UTC) + timedelta(seconds=lasting_s)
    return jwt.encode({"sub": user_id, "role": role, "exp": expires.timestamp()}, secret, "HS256")


def service_account(path: Path, private_key: str) -> str:
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "gamer-prod",
                "private_key_id": "0" * 40,
                "private_key": f"-----BEGIN PRIVATE KEY-----\n{private_key}\n-----END PRIVATE KEY-----\n",
                "client_email": "library@gamer-prod.iam.gserviceaccount.com",
                "token_uri": "http://127.0.0.1:1/token",
            }
        )
    )
    return str(path)


async def test_no_planted_secret_comes_out_anywhere(deployed: Deployment) -> None:
    heard = Canaries()
    plant_everywhere(deployed, heard)
    operator = signed(heard.planted["jwt-secret"], "olga", "operator")
    player = signed(heard.planted["jwt-secret"], "ann", "player")
    heard.planted |= {"operator's token": operator, "player's token": player}
    deployed.http.headers["Authorization"] = f"Bearer {player}"
    gateway = await deployed.gateway()
    deployed.worker()

    api_key = await make_api_key(gateway, operator)
    heard.planted["API key"] = api_key
    await ask_rightly_and_wrongly(gateway, heard, player, api_key)
    await launch_and_fail(deployed, gateway, heard)
    await lose_database_and_engine(deployed, heard)

    heard.planted["SSH key"] = ssh_key(deployed)
    for process in deployed.processes:
        await asyncio.to_thread(process.end)
        heard.hear(f"log {process.log.name}", process.log.read_text())
    heard.hear("whole database", dump_of(deployed))
    heard.hear("engine", await histories_of(deployed))
    hear_settings(deployed, heard)

    assert heard.found() == []
    assert "READY" in str(heard.came_out)  # there was something to hear
    assert '"digest"' in heard.came_out[next(name for name in heard.came_out if "whole database" in name)]


@pytest.mark.parametrize("leak", ["all of {0}", "its end: {1}", '{{"token": "{0}"}}'])
def test_a_secret_that_comes_out_is_found(leak: str) -> None:
    heard = Canaries()
    secret = heard.plant("jwt-secret")

    heard.hear("log", "nothing of interest")
    heard.hear("answer", leak.format(secret, secret[-LONGEST_PIECE:]))

    assert heard.found() == [("jwt-secret", "1 answer")]


def plant_everywhere(deployed: Deployment, heard: Canaries) -> None:
    environment = deployed.environment
    heard.planted |= {
        "TensorDock's key": environment["TENSORDOCK_API_KEY"],
        "TensorDock's token": environment["TENSORDOCK_API_TOKEN"],
    }
    folder = deployed.folder
    environment |= {
        "JWT_SECRET": heard.plant("jwt-secret"),
        "API_KEY_SECRET": heard.plant("api-key-secret"),
        "API_KEY_SECRET_PREVIOUS": heard.plant("api-key-secret-previous"),
        "ALERT_WEBHOOK_URL": f"http://127.0.0.1:{free_port()}/hook",
        "ALERT_WEBHOOK_SECRET": heard.plant("webhook-secret"),
        "METRICS_TOKEN": heard.plant("metrics-token"),
        "GCS_LIBRARY_KEY_FILE": service_account(folder / "library.json", heard.plant("library-key")),
        "GOOGLE_APPLICATION_CREDENTIALS": service_account(folder / "google.json", heard.plant("google-key")),
        "LOG_LEVEL": "DEBUG",
        "TENSORDOCK_SETTLE_SECONDS": "1",
    }


async def make_api_key(gateway: Gateway, operator: str) -> str:
    """Its own answer is the one place where it is ever shown."""
    answer = await gateway.ask(
        "CreateApiKey", {"input": {"name": "shop", "role": "SERVICE"}}, Authorization=f"Bearer {operator}"
    )
    return str(answer["data"]["createApiKey"]["secret"])


async def ask_rightly_and_wrongly(gateway: Gateway, heard: Canaries, player: str, api_key: str) -> None:
    ways: list[Mapping[str, str]] = [
        {"X-API-Key": api_key},
        {"X-API-Key": api_key + "x"},
        {"X-API-Key": f"{api_key} {api_key}"},
        {"Authorization": f"Bearer {player}"},
        {"Authorization": f"Bearer {player}x"},
        {"Authorization": f"Bearer {player}", "X-API-Key": api_key},
        {"Authorization": f"Basic {player}"},
        {"Authorization": player},
    ]
    async with aiohttp.ClientSession() as http:
        for headers in ways:
            async with http.post(f"{gateway.url}/graphql", json=VIEWER, headers=headers) as answer:
                heard.hear(f"answer {answer.status}", f"{dict(answer.headers)} {await answer.text()}")
            for path in ("/vms", "/metrics"):
                async with http.get(f"{gateway.url}{path}", headers=headers) as plain:
                    heard.hear(f"{path} {plain.status}", f"{dict(plain.headers)} {await plain.text()}")
        for query in (f"access_token={player}", f"query={{viewer{{id}}}}&token={api_key}"):
            async with http.get(f"{gateway.url}/graphql?{query}") as answer:
                heard.hear("answer to a query string", await answer.text())
        for payload in ({"Authorization": f"Bearer {player}x"}, {"X-API-Key": api_key + "x"}, {"X-API-Key": [api_key]}):
            async with http.ws_connect(f"{gateway.url}/graphql", protocols=["graphql-transport-ws"]) as socket:
                await socket.send_json({"type": "connection_init", "payload": payload})
                message = await socket.receive()
                heard.hear("socket", f"{message.type} {message.data!r} {message.extra!r} {socket.close_code}")


async def launch_and_fail(deployed: Deployment, gateway: Gateway, heard: Canaries) -> None:
    heard.hear("a launch", await gateway.until_over(await gateway.launch()))
    for fault in ("html", "server-error"):
        await deployed.fault(kind=fault, operation="create", times=1)
    heard.hear("a hard launch", await gateway.until_over(await machine_wanted(gateway, "SNES")))
    await deployed.fault(kind="credentials-refused", operation="create", times="always")
    refused = await gateway.ask("LaunchGame", {"input": {"console": "GBA", "gameId": "no-such-game"}})
    heard.hear("a refused launch", refused)
    heard.hear("a failing launch", await until_a_step_failed(gateway, await machine_wanted(gateway, "GBA")))
    for operation in ("Launches", "Vms", "Providers"):
        heard.hear(operation, await gateway.ask(operation))
    await deployed.called_off()
    await hear_ready(gateway, heard)


async def until_a_step_failed(gateway: Gateway, launch_id: str) -> list[dict[str, Any]]:
    """All that is told until then. Its end takes minutes: an order that is under way is waited for."""
    told = []
    async with asyncio.timeout(60), aclosing(gateway.follow(launch_id)) as events:
        async for event in events:
            told.append(event)
            if event["stepStatus"] == "FAILED":
                return told
    raise AssertionError(f"no step failed: {told}")


async def machine_wanted(gateway: Gateway, console: str) -> str:
    """The id of a launch of a machine without a game."""
    payload = (await gateway.data("CreateVm", {"input": {"console": console}}))["createVm"]
    assert payload["errors"] == []
    return str(payload["launch"]["id"])


async def lose_database_and_engine(deployed: Deployment, heard: Canaries) -> None:
    """A gateway whose database and engine refuse it, with the credentials in their addresses."""
    password, engine_key = heard.plant("mongo-password"), heard.plant("temporal-key")
    lost = await deployed.gateway(
        MONGODB_ATLAS_URI=f"mongodb://gamer:{password}@127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=300",
        TEMPORAL_ADDRESS=f"127.0.0.1:{free_port()}",
        TEMPORAL_API_KEY=engine_key,
    )
    await hear_ready(lost, heard)
    heard.hear("Vms without a database", await lost.ask("Vms"))
    heard.hear("CreateVm without a database", await lost.ask("CreateVm", {"input": {"console": "NES"}}))


async def hear_ready(gateway: Gateway, heard: Canaries) -> None:
    async with gateway.http.get(f"{gateway.url}/ready") as answer:
        heard.hear("ready", await answer.text())


def ssh_key(deployed: Deployment) -> str:
    lines = (deployed.folder / "data" / "ssh" / "id_ed25519").read_text().splitlines()
    return lines[2]  # the first holds the public half as well


def dump_of(deployed: Deployment) -> str:
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(deployed.environment["MONGODB_ATLAS_URI"])
    try:
        database = client[deployed.environment["MONGODB_DATABASE"]]
        held = {name: list(database[name].find()) for name in database.list_collection_names()}
    finally:
        client.close()
    return json.dumps(held, default=str)


async def histories_of(deployed: Deployment) -> str:
    """Everything the engine was told: inputs, results and failures of every step."""
    client = await Client.connect(deployed.environment["TEMPORAL_ADDRESS"])
    queue = deployed.environment["TEMPORAL_TASK_QUEUE"]
    told = []
    async for one in client.list_workflows(f"TaskQueue = '{queue}'"):
        history = await client.get_workflow_handle(one.id, run_id=one.run_id).fetch_history()
        told.append("".join(str(event) for event in history.events))
    assert told
    return "\n".join(told)


def hear_settings(deployed: Deployment, heard: Canaries) -> None:
    """As an error, a debugger or a careless log line would show them."""
    environment = {name.lower(): value for name, value in deployed.environment.items()}
    uri = f"mongodb://gamer:{heard.planted['mongo-password']}@127.0.0.1/"
    environment |= {"mongodb_atlas_uri": uri, "temporal_api_key": heard.planted["temporal-key"]}
    settings = load_settings(**environment)
    heard.hear("settings", f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}")
    for name in ("jwt_secret", "api_key_secret", "tensordock_api_token", "mongodb_atlas_uri"):
        try:
            load_settings(**{**environment, name: [environment[name]]})
        except SettingsError:
            heard.hear(f"a wrong {name}", traceback.format_exc())
