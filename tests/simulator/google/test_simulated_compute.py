"""Compute Engine's REST API as the simulator keeps it, asked over plain HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulator.simulation import Simulation, SimulationOptions

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFake"
ORDER = {
    "user": "ubuntu",
    "public_key": KEY,
    "projectId": "p-1",
    "machineType": "g2-standard-8",
    "acceleratorType": "nvidia-l4",
    "useSpot": False,
}
INSTANCE = "zones/us-east1-b/instances/cloudypad-gamer-1"


class Google:
    def __init__(self, simulation: Simulation, session: aiohttp.ClientSession) -> None:
        self._simulation = simulation
        self._session = session

    async def make(self, name: str, zone: str = "us-east1-b") -> None:
        await self.do("machines", {**ORDER, "name": name, "zone": zone})

    async def do(self, path: str, body: object = None) -> None:
        async with self._session.post(f"{self._simulation.control_url}/gcp/{path}", json=body) as reply:
            assert reply.ok, await reply.text()

    async def ask(self, path: str, body: object = None, **query: str) -> tuple[int, dict[str, Any]]:
        url = f"{self._simulation.environment()['GOOGLE_COMPUTE_URL']}/compute/v1/projects/p-1/{path}"
        method = "GET" if body is None else "POST"
        async with self._session.request(method, url, params=query, json=body) as reply:
            return reply.status, await reply.json()


@pytest.fixture
async def google(tmp_path: Path) -> AsyncIterator[Google]:
    options = SimulationOptions(tmp_path, clock_factor=5000)
    async with Simulation(options) as simulation, aiohttp.ClientSession() as session:
        google = Google(simulation, session)
        await google.make("gamer-1")
        yield google


async def test_an_instance_says_its_state_and_its_disks(google: Google) -> None:
    status, instance = await google.ask(INSTANCE)

    assert (status, instance["name"], instance["status"]) == (200, "cloudypad-gamer-1", "RUNNING")
    assert [disk["source"].rpartition("/")[2] for disk in instance["disks"]] == [
        "cloudypad-gamer-1",
        "cloudypad-gamer-1-data",
    ]


async def test_an_instance_that_was_deleted_is_not_found_but_its_disks_are(google: Google) -> None:
    await google.do("machines/gamer-1/vanish")

    status, said = await google.ask(INSTANCE)
    listed = await google.ask("aggregated/instances")

    assert status == 404
    assert said["error"]["message"] == f"The resource 'projects/p-1/{INSTANCE}' was not found"
    assert said["error"]["errors"][0]["reason"] == "notFound"
    assert listed[1]["items"] == {
        "global": {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": "There are no results for this scope."}}
    }
    assert (await google.ask("zones/us-east1-b/disks/cloudypad-gamer-1-data"))[0] == 200


async def test_labels_are_set_by_whoever_knows_those_before(google: Google) -> None:
    _, before = await google.ask(INSTANCE)
    labels = {"gamer_machine": "gamer-1"}

    first = await google.ask(
        f"{INSTANCE}/setLabels", {"labels": labels, "labelFingerprint": before["labelFingerprint"]}
    )
    second = await google.ask(f"{INSTANCE}/setLabels", {"labels": {}, "labelFingerprint": before["labelFingerprint"]})
    odd = await google.ask(f"{INSTANCE}/setLabels", {"labels": {"Not": "Allowed"}, "labelFingerprint": "x"})

    assert (first[0], second[0], odd[0]) == (200, 412, 400)
    assert (await google.ask(INSTANCE))[1]["labels"] == labels


async def test_the_list_over_all_zones_is_filtered_and_has_pages(google: Google) -> None:
    await google.make("gamer-2", "us-west1-a")
    await google.make("gamer-3")

    _, first = await google.ask("aggregated/instances", maxResults="2")
    _, rest = await google.ask("aggregated/instances", maxResults="2", pageToken=first["nextPageToken"])
    _, one = await google.ask(
        "aggregated/instances", filter='(name = "cloudypad-gamer-2") OR (labels.gamer_machine = "x")'
    )
    refused = await google.ask("aggregated/instances", filter="status != RUNNING")

    assert sorted(first["items"]) == ["zones/us-east1-b", "zones/us-west1-a"]
    assert list(rest["items"]) == ["zones/us-east1-b"]
    assert "nextPageToken" not in rest
    assert [each["name"] for each in one["items"]["zones/us-west1-a"]["instances"]] == ["cloudypad-gamer-2"]
    assert refused[0] == 400
