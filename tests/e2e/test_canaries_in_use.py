"""Secrets that are good, and used: what those who take them are sent, echo and are told stays with them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pymongo
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from temporalio.client import Client

from embedded.ports import free_port
from tests.e2e.service import SERVER, Deployment, Gateway, surroundings
from tests.e2e.test_canaries import Canaries, dump_of, hear_ready, histories_of, make_api_key, signed
from tests.e2e.tls import tls_before
from tests.servers import await_port

pytestmark = pytest.mark.timeout(240)


@dataclass
class Outside:
    """Google's tokens, a receiver of alerts, and a cloud that says everything again that it is told."""

    token: str
    tokens_given: int = 0
    echoed: list[str] = field(default_factory=list)
    alerts: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    async def grant(self, _: web.Request) -> web.Response:
        self.tokens_given += 1
        return web.json_response({"access_token": self.token, "expires_in": 3600, "token_type": "Bearer"})

    async def take_alert(self, request: web.Request) -> web.Response:
        self.alerts.put_nowait(f"{dict(request.headers)} {await request.text()}")
        return web.json_response({})

    async def echo(self, request: web.Request) -> web.Response:
        said = f"no: {request.method} {request.path_qs} {dict(request.headers)} {await request.text()}"
        self.echoed.append(said)
        return web.json_response({"status": 403, "error": said, "message": said}, status=403, reason=said[:200])

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/token", self.grant)
        application.router.add_post("/hook", self.take_alert)
        application.router.add_route("*", "/{rest:.*}", self.echo)
        return application


@pytest.fixture
async def outside() -> AsyncIterator[tuple[Outside, str]]:
    made = Outside(f"ya29.canary-{secrets.token_hex(16)}")
    async with TestServer(made.application()) as server:
        yield made, str(server.make_url("")).rstrip("/")


@contextlib.contextmanager
def guarded_mongodb(folder: Path, password: str) -> Iterator[str]:
    """A database that lets nobody in without this password."""
    with mongodb(folder) as port:
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient("127.0.0.1", port)
        client.admin.command("createUser", "gamer", pwd=password, roles=["root"])
        client.close()
    with mongodb(folder, "--auth") as port:
        yield f"mongodb://gamer:{password}@127.0.0.1:{port}/?authSource=admin"


@contextlib.contextmanager
def mongodb(folder: Path, *options: str) -> Iterator[int]:
    port = free_port()
    command = [str(Path(sys.executable).with_name("secantusd-py")), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--storage-path", str(folder), "--log-level", "WARNING", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            await_port(port, server)
            yield port
        finally:
            server.terminate()


def google_key(path: Path, token_url: str) -> str:
    """A key that signs, in a file; returns a piece of it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    content = {
        "type": "service_account",
        "project_id": "gamer-prod",
        "private_key_id": "0" * 40,
        "private_key": pem,
        "client_email": "gamer@gamer-prod.iam.gserviceaccount.com",
        "token_uri": token_url,
    }
    path.write_text(json.dumps(content))
    return pem.splitlines()[5]


async def hear_command_lines(heard: Canaries) -> None:
    """Of every process of this machine, as anybody on it may read them."""
    seen: set[str] = set()
    while True:
        seen |= await asyncio.to_thread(command_lines)
        heard.came_out["command lines"] = "\n".join(seen)
        await asyncio.sleep(0.05)


def command_lines() -> set[str]:
    found = set()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.add(file.read_text(errors="replace"))
    return found


async def test_no_secret_that_is_used_comes_out(deployed: Deployment, outside: tuple[Outside, str]) -> None:
    heard, (receiver, address) = Canaries(), outside
    heard.planted["Google's token"] = receiver.token
    plant(deployed, heard, address)
    operator = signed(heard.planted["jwt-secret"], "olga", "operator")
    deployed.http.headers["Authorization"] = f"Bearer {operator}"
    listening = asyncio.create_task(hear_command_lines(heard))
    with guarded_mongodb(deployed.folder / "guarded", heard.plant("mongo-password")) as uri:
        deployed.environment["MONGODB_ATLAS_URI"] = uri
        async with tls_before(deployed.environment["TEMPORAL_ADDRESS"], deployed.folder) as engine:
            await use_everything(deployed, heard, receiver, address, engine)
        heard.hear("database", dump_of(deployed))
        heard.hear("engine", await histories_of(deployed))
    listening.cancel()
    await asyncio.wait([listening])

    assert heard.found() == []
    assert "X-Gamer-Signature" in str(heard.came_out)
    assert receiver.tokens_given >= 1
    for name in ("TensorDock's token", "Google's token"):
        assert heard.planted[name] in "\n".join(receiver.echoed)
    assert "server.py" in heard.came_out["command lines"]
    assert "READY" in str(heard.came_out)


async def use_everything(deployed: Deployment, heard: Canaries, receiver: Outside, outside: str, engine: str) -> None:
    """Launch, raise an alert, and ask clouds that echo; then end all processes."""
    key = heard.plant("temporal-key")
    paid = {"TEMPORAL_ADDRESS": engine, "TEMPORAL_API_KEY": key, "SSL_CERT_FILE": str(deployed.folder / "ca.pem")}
    gateway = await deployed.gateway(**paid)
    deployed.run("--role", "worker", **paid)

    heard.planted["API key"] = await make_api_key(gateway, signed(heard.planted["jwt-secret"], "olga", "operator"))
    heard.hear("as an API key", await gateway.ask("Viewer", {}, **{"X-API-Key": heard.planted["API key"]}))
    heard.hear("a launch", await gateway.until_over(await gateway.launch()))
    alert = await alert_of_a_limit(deployed, gateway, receiver)
    heard.hear("the alert as it was sent", alert)
    await ask_clouds_that_echo(deployed, heard, receiver, outside)

    for process in deployed.processes:
        await asyncio.to_thread(process.end)
        heard.hear(f"log {process.log.name}", process.log.read_text())


def plant(deployed: Deployment, heard: Canaries, outside: str) -> None:
    folder = deployed.folder
    heard.planted["library key"] = google_key(folder / "library.json", f"{outside}/token")
    heard.planted["google key"] = google_key(folder / "google.json", f"{outside}/token")
    deployed.environment |= {
        "JWT_SECRET": heard.plant("jwt-secret"),
        "API_KEY_SECRET": heard.plant("api-key-secret"),
        "ALERT_WEBHOOK_URL": f"{outside}/hook",
        "ALERT_WEBHOOK_SECRET": heard.plant("webhook-secret"),
        "GCS_LIBRARY_KEY_FILE": str(folder / "library.json"),
        "GOOGLE_APPLICATION_CREDENTIALS": str(folder / "google.json"),
        "LOG_LEVEL": "DEBUG",
    }


async def alert_of_a_limit(deployed: Deployment, gateway: Gateway, outside: Outside) -> str:
    """The alert of a limit that is reached, as its receiver got it."""
    limit = {"period": "DAILY", "amount": "0.0001", "hard": False}
    payload = (await gateway.data("SetSpendingLimit", {"input": limit}))["setSpendingLimit"]
    assert payload["errors"] == []
    client = await Client.connect(deployed.environment["TEMPORAL_ADDRESS"])
    async with asyncio.timeout(60):
        while outside.alerts.empty():
            name = f"watch-{secrets.token_hex(4)}"
            queue = deployed.environment["TEMPORAL_TASK_QUEUE"]
            await client.execute_workflow("WatchSpending", id=name, task_queue=queue)
        return await outside.alerts.get()


async def ask_clouds_that_echo(deployed: Deployment, heard: Canaries, receiver: Outside, outside: str) -> None:
    """A gateway whose clouds answer with all that they were sent. An address that is not called loopback, so that
    Google is taken for real and is shown a token."""
    token, key = heard.plant("TensorDock's token"), heard.plant("TensorDock's key")
    bucket = deployed.environment["GCS_ENDPOINT_URL"].replace("127.0.0.1", "0.0.0.0")
    apart = f"{deployed.environment['MONGODB_DATABASE']}_echo"  # nothing is known there yet, so everything is asked
    gateway = await deployed.gateway(
        MONGODB_DATABASE=apart,
        TENSORDOCK_API_URL=f"{outside}/api",
        TENSORDOCK_API_TOKEN=token,
        TENSORDOCK_API_KEY=key,
        GCS_ENDPOINT_URL=bucket,
        GOOGLE_LOCATION_FINDER_URL=outside,
        GOOGLE_COMPUTE_URL=outside,
        GCP_BIGQUERY_URL=outside,
    )
    place = {"from": {"latitude": 32.7, "longitude": -96.8}, "console": "SNES"}
    for operation in (
        "Providers",
        "Hostnodes",
        "Locations",
        "Regions",
        "ClosestRegions",
        "ClosestHostnodes",
        "Placements",
    ):
        heard.hear(operation, await gateway.ask(operation, place if operation.startswith(("Cl", "Pl")) else {}))
    heard.hear("CreateVm", await gateway.ask("CreateVm", {"input": {"console": "SNES"}}))
    await hear_ready(gateway, heard)
    async with asyncio.timeout(30):
        while not any(receiver.token in said for said in receiver.echoed):
            heard.hear("ClosestRegions", await gateway.ask("ClosestRegions", place))
            await asyncio.sleep(0.2)
    heard.hear(
        "its database", dump_of(replace(deployed, environment={**deployed.environment, "MONGODB_DATABASE": apart}))
    )


# name: what is wrong about it
WRONG = {
    "MONGODB_ATLAS_URI": "mongodb://gamer:{0}@127.0.0.1:port/",
    "JWT_SECRET": "-----BEGIN PUBLIC KEY-----\n{0}\n-----END PUBLIC KEY-----",
    "API_KEY_SECRET": "canary-to",
    "TENSORDOCK_API_URL": "ftp://user:{0}@cloud.example",
    "ALERT_WEBHOOK_URL": "hook {0}",
    "SSH_KEY_PATH": "/proc/self/environ",
    "GCS_LIBRARY_KEY_FILE": "/proc/self/environ",
    "TEMPORAL_TLS_CERT_PATH": "/nonexistent",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_start_that_fails_says_the_name_and_not_the_value(tmp_path: Path, name: str) -> None:
    heard = Canaries()
    others = {
        other: heard.plant(other)
        for other in ("JWT_SECRET", "API_KEY_SECRET", "TENSORDOCK_API_TOKEN", "TEMPORAL_API_KEY")
    }
    secret = heard.plant("the wrong value")
    address = f"mongodb://gamer:{heard.plant('mongo-password')}@127.0.0.1:{free_port()}/"
    environment = {
        **{
            "MONGODB_ATLAS_URI": address,
            "TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}",
            "PORT": "0",
            "LOG_LEVEL": "DEBUG",
        },
        **{
            "GCS_BUCKET_NAME": "games",
            "GCS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
            "DATA_DIR": str(tmp_path),
        },
        **{"TENSORDOCK_API_URL": f"http://127.0.0.1:{free_port()}", "CLOUDYPAD_COMMAND": "/bin/false"},
        **others,
        **({"TEMPORAL_TLS_KEY_PATH": str(SERVER)} if name == "TEMPORAL_TLS_CERT_PATH" else {}),
        name: WRONG[name].format(secret),
    }

    ended = subprocess.run(
        [sys.executable, SERVER],
        cwd=tmp_path,
        env={**surroundings(), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    heard.hear("what it said", ended.stdout + ended.stderr)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"{name}: ")
    assert ended.stderr.count("\n") == 1
    assert heard.found() == []
    assert WRONG[name][:12] not in ended.stderr or name.endswith(("PATH", "FILE"))
