"""A player's saves from machine to machine: real processes, real protocols, simulated clouds and bucket."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest

from tests.e2e.service import Deployment, Gateway
from tests.e2e.test_machines import HOME, SAVE

pytestmark = pytest.mark.timeout(240)


async def disk_of(deployed: Deployment, gateway: Gateway, vm_id: str) -> Any:
    """The file that the game saves to on this machine."""
    vm = await gateway.vm(vm_id)
    (machine,) = [one for one in await deployed.machines() if one["name"] == vm["name"]]
    return deployed.disk(machine["id"]) / HOME / SAVE


async def play(deployed: Deployment, gateway: Gateway, vm_id: str, moons: str) -> None:
    save = await disk_of(deployed, gateway, vm_id)
    save.parent.mkdir(parents=True, exist_ok=True)
    save.write_text(moons)


async def another_machine(gateway: Gateway) -> str:
    """A machine beside the one that is there, with the same game and save."""
    ordered = (await gateway.data("CreateVm", {"input": {"console": "SWITCH"}}))["createVm"]
    await gateway.until_over(ordered["launch"]["id"])
    vm = (await gateway.data("Launch", {"id": ordered["launch"]["id"]}))["launch"]["vm"]
    return await gateway.machine(vmId=vm["id"])


async def end(gateway: Gateway, vm_id: str, command: str, status: str) -> None:
    assert (await gateway.command(command, vm_id))["errors"] == []
    await gateway.until(vm_id, status)


async def change(gateway: Gateway, operation: str, **variables: str) -> dict[str, Any]:
    (payload,) = (await gateway.data(operation, variables)).values()
    return dict(payload)


async def slot(gateway: Gateway) -> dict[str, Any]:
    (found,) = (await gateway.data("Saves", {"console": "SWITCH", "gameId": "mario-odyssey"}))["saves"]
    return dict(found)


async def test_a_player_settles_a_conflict_of_two_machines_and_returns_to_an_older_save(deployed: Deployment) -> None:
    gateway = await deployed.gateway()
    deployed.worker()
    first = await gateway.machine()
    await play(deployed, gateway, first, "three moons")
    await end(gateway, first, "stop", "STOPPED")
    second = await another_machine(gateway)
    on_second = (await disk_of(deployed, gateway, second)).read_text()
    await play(deployed, gateway, second, "five moons")
    await end(gateway, first, "start", "RUNNING")
    await play(deployed, gateway, first, "four moons")
    await end(gateway, first, "delete", "DELETED")
    await end(gateway, second, "delete", "DELETED")

    opened = await slot(gateway)
    kept = await change(gateway, "KeepSave", versionId=opened["conflict"]["versions"][1]["id"])
    oldest = next(
        edge["node"]
        for edge in opened["versions"]["edges"]
        if edge["node"]["vmId"] == first and not edge["node"]["isCurrent"]
    )
    restored = await change(gateway, "RestoreSave", versionId=oldest["id"])
    third = await gateway.machine()
    on_third = (await disk_of(deployed, gateway, third)).read_text()
    refused = await change(gateway, "DeleteSave", slotId=opened["id"])
    download = (await change(gateway, "DownloadSave", versionId=opened["conflict"]["versions"][1]["id"]))["download"]
    async with deployed.http.get(download["url"]) as reply:
        archive = tarfile.open(fileobj=io.BytesIO(await reply.read()))  # noqa: SIM115 - of bytes in memory

    assert on_second == "three moons"
    assert [one["vmId"] for one in opened["conflict"]["versions"]] == [first, second]
    assert [one["isCurrent"] for one in opened["conflict"]["versions"]] == [True, False]
    assert opened["conflict"]["versions"][1]["device"].endswith("(TensorDock)")
    assert (kept["errors"], kept["slot"]["conflict"], kept["slot"]["current"]["vmId"]) == ([], None, second)
    assert restored["errors"] == []
    assert on_third == "three moons"
    assert [(error["__typename"], error["status"]) for error in refused["errors"]] == [("InvalidState", "RUNNING")]
    saved = archive.extractfile(SAVE)
    assert saved is not None
    assert saved.read() == b"five moons"
