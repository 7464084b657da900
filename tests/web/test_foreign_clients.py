"""Clients that nobody here wrote: the official audits of GraphQL over HTTP, and the reference client of
graphql-transport-ws. They need Node and the packages of tests/web/node."""

from __future__ import annotations

import asyncio
import fcntl
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from models.launches import LaunchStatus
from schema.ids import global_id
from tests.gateway import (
    ANN,
    BOB,
    OPERATIONS,
    GatewayWorld,
    a_launch,
    a_vm,
    an_event,
    listening,
    token,
    web_gateway,
)
from web.app import create_app
from web.health import Readiness

FOLDER: Final = Path(__file__).with_name("node")
LAUNCH: Final = "100000000000000001"


@pytest.fixture(scope="module")
def node() -> str:
    """Node, with the packages installed beside the scripts."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("NOT TESTED against foreign clients: no Node here; `apt-get install nodejs npm`")
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    with (FOLDER / "package.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # several processes run tests at once
        if all((FOLDER / "node_modules" / name).exists() for name in json.loads(held.read())["dependencies"]):
            return node
        try:
            subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=50, check=True)
        except subprocess.SubprocessError as error:
            words = (getattr(error, "stderr", None) or str(error))[-300:]
            pytest.skip(f"NOT TESTED against foreign clients: `cd {FOLDER} && npm ci` failed: {words}")
    return node


async def test_every_audit_of_graphql_over_http_passes(node: str, served: str) -> None:
    audits = await lines_of(node, "audits.mjs", f"http://{served}/graphql", f"Bearer {token(ANN)}")

    assert len(audits) >= 61
    assert [audit for audit in audits if audit["status"] != "ok"] == []


async def test_the_reference_client_follows_a_launch_to_its_end(node: str, gateway: GatewayWorld, served: str) -> None:
    await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.RUNNING))
    await gateway.db.insert(an_event(LAUNCH, 1))
    following = asyncio.create_task(followed(node, served))
    while gateway.progress.followers == 0:  # noqa: ASYNC110 - what is waited for has no event of its own
        await asyncio.sleep(0.01)

    for sequence, status in ((2, LaunchStatus.RUNNING), (3, LaunchStatus.READY)):
        await gateway.db.insert(an_event(LAUNCH, sequence, status))
    *events, end = await following

    assert [(event["sequence"], event["status"]) for event in events] == [(1, "RUNNING"), (2, "RUNNING"), (3, "READY")]
    assert end == {"ended": "complete"}


async def test_the_reference_client_goes_on_after_a_lost_connection(
    node: str, gateway: GatewayWorld, served: str
) -> None:
    await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.READY))
    for sequence, status in ((1, LaunchStatus.RUNNING), (2, LaunchStatus.RUNNING), (3, LaunchStatus.READY)):
        await gateway.db.insert(an_event(LAUNCH, sequence, status))

    *events, end = await followed(node, served, "cut")

    assert [event["sequence"] for event in events] == [1, 2, 3]
    assert end == {"ended": "complete"}


async def test_the_reference_client_is_told_why_it_may_not_follow(
    node: str, gateway: GatewayWorld, served: str
) -> None:
    await gateway.db.insert(a_launch(LAUNCH, ANN.id))

    (foreign,) = await followed(node, served, caller=BOB)

    assert [fault["extensions"]["code"] for fault in foreign["ended"]] == ["NOT_FOUND"]


async def test_one_socket_follows_50_machines_and_turns_pages(node: str, gateway: GatewayWorld) -> None:
    for number in range(100):
        await gateway.db.insert(a_vm(str(200000000000000000 + number)))
    async with listening(create_app(web_gateway(gateway), Readiness())) as address:
        asked = (f"ws://{address}/graphql", f"Bearer {token(ANN)}", str(OPERATIONS.resolve()), "5")

        (seen,) = await lines_of(node, "pages.mjs", *asked)

    assert seen == {"pages": [50] * 6, "errors": [], "closed": 0}


async def followed(node: str, served: str, *more: str, caller: Any = ANN) -> list[Any]:
    file = (OPERATIONS / "LaunchProgress.graphql").resolve()
    asked = (f"ws://{served}/graphql", f"Bearer {token(caller)}", str(file), global_id("Launch", LAUNCH))
    return await lines_of(node, "follow.mjs", *asked, *more)


async def lines_of(node: str, script: str, *arguments: str) -> list[Any]:
    """What a script said, one JSON value a line."""
    client = await asyncio.create_subprocess_exec(
        node, script, *arguments, cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    said, complaints = await asyncio.wait_for(client.communicate(), 30)
    assert client.returncode == 0, complaints.decode()
    return [json.loads(line) for line in said.splitlines()]
