"""Clients of other people play an evening against the service as it is run, where it runs trusted documents only."""

from __future__ import annotations

import asyncio
import fcntl
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from schema.manifests import apollo_manifest
from tests.clients.python_client import play
from tests.e2e.conftest import deployed
from tests.e2e.service import Deployment, Gateway
from tests.web.chromium import EXECUTABLE, open_page

__all__ = ["deployed"]

pytestmark = pytest.mark.timeout(300)
FOLDER: Final = Path(__file__).with_name("node")
NODE_CLIENTS: Final = ("apollo", "urql", "graphql_ws")


@pytest.fixture(scope="module")
def node() -> str | None:
    """Node with the packages of `node/`, or None."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    with (FOLDER / "package.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # several processes run tests at once
        wanted = json.loads(held.read())
        if not all(
            (FOLDER / "node_modules" / n).exists() for n in (*wanted["dependencies"], *wanted["devDependencies"])
        ):
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            if subprocess.run(command, cwd=FOLDER, capture_output=True, timeout=90, check=False).returncode:
                return None
    return node


@pytest.fixture
async def service(deployed: Deployment) -> Gateway:
    gateway = await deployed.gateway(TRUSTED_DOCUMENTS_ONLY="true")
    deployed.worker()
    return gateway


async def test_every_client_plays_the_whole_story(service: Gateway, node: str | None, tmp_path: Path) -> None:
    """In one test, because a deployment costs more than the clients."""
    stories = {"gql": play(f"{service.url}/graphql", "gql")}
    if node is not None:
        stories |= {name: played(node, name, service) for name in NODE_CLIENTS}
    if EXECUTABLE is not None:
        stories["browser"] = in_a_browser(service, tmp_path)

    seen = dict(zip(stories, await asyncio.gather(*stories.values()), strict=True))

    for name, story in seen.items():
        assert story["sequences"] == list(range(1, len(story["sequences"]) + 1)), name
        assert story["host"].startswith("127."), name
        told = {key: value for key, value in story.items() if key not in ("sequences", "host")}
        assert told == {
            "launches": 1,
            "status": "READY",
            "refused": [["InvalidState", "INVALID_STATE"]],
            "stopped": "STOPPED",
        }, name
    missing = {*NODE_CLIENTS, "browser"} - set(seen)
    if missing:
        pytest.skip(
            f"NOT TESTED: {sorted(missing)}; `apt-get install nodejs npm chromium`, or the packages cannot be got"
        )


async def played(node: str, name: str, service: Gateway) -> dict[str, Any]:
    client = await asyncio.create_subprocess_exec(
        *(node, f"{name}.mjs", f"{service.url}/graphql", name),
        cwd=FOLDER,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    said, complaints = await asyncio.wait_for(client.communicate(), 250)
    assert client.returncode == 0, f"{name}: {complaints.decode()}"
    story: dict[str, Any] = json.loads(said)
    return story


async def in_a_browser(service: Gateway, tmp_path: Path) -> dict[str, Any]:
    hashes = {each["name"]: each["id"] for each in json.loads(apollo_manifest())["operations"]}
    script = Path(__file__).with_name("browser.js").read_text(encoding="utf-8").rstrip()
    async with open_page(f"{service.url}/console", tmp_path / "browser") as page:
        story: dict[str, Any] = await page.evaluate(
            f"({script.partition(chr(10))[2]})({json.dumps(hashes)}, 'browser')"
        )
    return story


def test_the_typescript_types_are_current_and_compile(node: str | None, tmp_path: Path) -> None:
    if node is None:
        pytest.skip("NOT TESTED: the TypeScript types; `apt-get install nodejs npm`, or the packages cannot be got")
    shipped, made = Path("docs/clients/operations.ts"), tmp_path / "operations.ts"

    subprocess.run([node, "types.mjs", str(made)], cwd=FOLDER, check=True)
    checked = subprocess.run(
        [node, "node_modules/typescript/bin/tsc", "--noEmit", "-p", "."],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=False,
    )

    assert made.read_text() == shipped.read_text(), "run `make clients`"
    assert (checked.returncode, checked.stdout) == (0, "")
