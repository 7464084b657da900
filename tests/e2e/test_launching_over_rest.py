"""A launch by a client that knows HTTP and nothing of GraphQL."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.service import MARIO, Deployment, Gateway

pytestmark = pytest.mark.timeout(150)


async def test_a_launch_is_ordered_followed_played_and_given_back_by_plain_http(deployed: Deployment) -> None:
    gateway = await deployed.gateway()
    deployed.worker()

    ordered = await asked(gateway, "POST", "/launch", json=MARIO)
    launch_id = ordered["launchGame"]["launch"]["id"]
    events = await progress(gateway, launch_id)
    launch = (await asked(gateway, "GET", f"/launch/{launch_id}"))["launch"]
    vm_path = f"/vms/{launch['vm']['id']}"
    vm = (await asked(gateway, "GET", vm_path))["vm"]

    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert (launch["status"], vm["status"], vm["gameId"]) == ("READY", "RUNNING", "mario-odyssey")
    assert [machine["id"] for machine in await deployed.machines()] == [vm["providerId"]]

    given_back = await asked(gateway, "DELETE", vm_path)
    await gateway.until(launch["vm"]["id"], "DELETED")

    assert given_back["deleteVm"]["vm"]["status"] == "DELETING"
    assert await deployed.machines() == []


async def asked(gateway: Gateway, method: str, path: str, **how: Any) -> dict[str, Any]:
    async with gateway.http.request(method, f"{gateway.url}{path}", **how) as answer:
        assert answer.status == 200, await answer.text()
        data: dict[str, Any] = await answer.json()
    return data


async def progress(gateway: Gateway, launch_id: str) -> list[dict[str, Any]]:
    async with gateway.http.get(f"{gateway.url}/launch/{launch_id}/progress") as answer:
        text = await answer.text()
    told = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert text.endswith("event: complete\ndata:\n\n")
    return [json.loads(data)["data"]["launchProgress"] for data in told]
