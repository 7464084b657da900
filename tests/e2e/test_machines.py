"""A player's machine after its launch: real processes, real protocols, simulated clouds."""

from __future__ import annotations

import asyncio
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.service import Deployment, Gateway
from tests.moonlight import Moonlight

pytestmark = pytest.mark.timeout(240)

HOME = "var/lib/cloudypad/wolf/developer/SWITCH-mario-odyssey"
SAVE = ".local/share/citron/nand/user/save/0/1/slot.bin"
SLOT = "saves/users/developer/SWITCH/mario-odyssey/main"


async def at_cloud(deployed: Deployment) -> dict[str, Any]:
    """The one machine that the simulator knows."""
    [machine] = await deployed.machines()
    return machine


async def play(deployed: Deployment, moons: str) -> None:
    """Progress, as a game writes it."""
    save = deployed.disk((await at_cloud(deployed))["id"]) / HOME / SAVE
    save.parent.mkdir(parents=True, exist_ok=True)
    save.write_text(moons)


def saved(deployed: Deployment) -> str | None:
    """What the slot in the bucket holds."""
    current = deployed.bucket / SLOT / "current.tar.gz"
    if not current.exists():
        return None
    with tarfile.open(fileobj=io.BytesIO(current.read_bytes())) as archive:
        if SAVE not in archive.getnames():
            return None  # it holds an older save, of another place
        content = archive.extractfile(SAVE)
        assert content is not None
        return content.read().decode()


def played(deployed: Deployment, machine_id: str) -> str:
    return (deployed.disk(machine_id) / HOME / SAVE).read_text()


async def begin(deployed: Deployment) -> tuple[Gateway, str]:
    """A gateway, a worker, and a machine on which something was played."""
    gateway = await deployed.gateway()
    deployed.worker()
    vm_id = await gateway.machine()
    await play(deployed, "three moons")
    return gateway, vm_id


async def test_a_machine_stops_with_its_saves_starts_with_them_restarts_and_is_deleted(deployed: Deployment) -> None:
    gateway, vm_id = await begin(deployed)

    stop = await gateway.command("stop", vm_id)
    await gateway.until(vm_id, "STOPPED")
    after_stop = ((await at_cloud(deployed))["state"], saved(deployed))
    start = await gateway.command("start", vm_id)
    running = await gateway.until(vm_id, "RUNNING")
    after_start = played(deployed, (await at_cloud(deployed))["id"])
    await play(deployed, "four moons")
    restart = await gateway.command("restart", vm_id)
    await gateway.until(vm_id, "STARTING")
    await gateway.until(vm_id, "RUNNING")
    after_restart = saved(deployed)
    delete = await gateway.command("delete", vm_id)
    await gateway.until(vm_id, "DELETED")

    assert [payload["errors"] for payload in (stop, start, restart, delete)] == [[], [], [], []]
    assert after_stop == ("stoppeddisassociated", "three moons")
    assert after_start == "three moons"
    assert after_restart == "four moons"
    assert running["stream"]["paired"] is False
    assert await deployed.machines() == []
    refused = (await gateway.command("start", vm_id))["errors"]
    assert [(error["__typename"], error["status"]) for error in refused] == [("InvalidState", "DELETED")]


async def test_a_device_is_paired_and_stays_paired_when_the_game_is_set_up_again(
    deployed: Deployment, tmp_path: Path
) -> None:
    gateway, vm_id = await begin(deployed)
    nobody = await gateway.data("PairClient", {"vmId": vm_id, "pin": "4821"})
    stream = (await gateway.vm(vm_id))["stream"]
    device = Moonlight(f"http://{stream['host']}:{stream['httpPort']}", tmp_path, pin="4821")

    pairing = asyncio.create_task(device.pair())
    paired = await until_paired(gateway, vm_id, "4821")
    again = await gateway.launch()
    await gateway.until_over(again)

    assert await pairing is True
    assert [error["__typename"] for error in nobody["pairClient"]["errors"]] == ["InvalidState"]
    assert paired["vm"]["stream"]["paired"] is True
    launch = (await gateway.data("Launch", {"id": again}))["launch"]
    assert launch["vm"]["id"] == vm_id
    assert (await gateway.vm(vm_id))["stream"]["paired"] is True


async def test_a_wrong_pin_is_said_to_be_wrong(deployed: Deployment, tmp_path: Path) -> None:
    gateway, vm_id = await begin(deployed)
    stream = (await gateway.vm(vm_id))["stream"]
    device = Moonlight(f"http://{stream['host']}:{stream['httpPort']}", tmp_path, pin="4821")

    pairing = asyncio.create_task(device.pair())
    answer = await until_asked(gateway, vm_id, "1111")

    assert await pairing is False
    assert [error["__typename"] for error in answer["errors"]] == ["InvalidInput"]
    assert (await gateway.vm(vm_id))["stream"]["paired"] is False


async def test_a_stop_with_the_bucket_away_keeps_the_disk_and_a_delete_rescues_the_saves(deployed: Deployment) -> None:
    gateway, vm_id = await begin(deployed)
    await deployed.fault(kind="credentials-refused", operation="bucket", times="always")

    await gateway.command("stop", vm_id)
    stopped = await gateway.until(vm_id, "STOPPED")
    while_away = (saved(deployed), (await at_cloud(deployed))["state"])
    await deployed.called_off()
    await gateway.command("delete", vm_id)
    await gateway.until(vm_id, "DELETED")

    assert "the saves could not be uploaded" in stopped["warning"]
    assert while_away == (None, "stoppeddisassociated")
    assert saved(deployed) == "three moons"
    assert await deployed.machines() == []


@pytest.mark.parametrize(
    ("command", "begins", "end"),
    [
        ("stop", "STOPPING", "STOPPED"),
        ("start", "STARTING", "RUNNING"),
        ("delete", "DELETING", "DELETED"),
    ],
)
async def test_a_worker_killed_in_a_command_is_replaced(
    deployed: Deployment, command: str, begins: str, end: str
) -> None:
    gateway, vm_id = await begin(deployed)
    if command == "start":
        await gateway.command("stop", vm_id)
        await gateway.until(vm_id, "STOPPED")
    worker = deployed.processes[1]

    await gateway.command(command, vm_id)
    await gateway.until(vm_id, begins, end)
    worker.kill()
    deployed.worker()
    await gateway.until(vm_id, end)

    assert saved(deployed) == ("three moons")
    assert len(await deployed.machines()) == (0 if command == "delete" else 1)


async def test_two_gateways_command_one_machine_at_once(deployed: Deployment) -> None:
    gateway, vm_id = await begin(deployed)
    other = await deployed.gateway()

    stops = await asyncio.gather(*(each.command("stop", vm_id) for each in (gateway, other, gateway, other)))
    await other.until(vm_id, "STOPPED")
    start, delete = await asyncio.gather(gateway.command("start", vm_id), other.command("delete", vm_id))
    ended = await gateway.until(vm_id, "RUNNING", "DELETED")

    assert [payload["errors"] for payload in stops] == [[], [], [], []]
    refused = [error["__typename"] for payload in (start, delete) for error in payload["errors"]]
    assert refused in ([], ["InvalidState"])
    assert len(await deployed.machines()) == (ended["status"] == "RUNNING")


async def until_asked(gateway: Gateway, vm_id: str, pin: str) -> dict[str, Any]:
    """The answer to a PIN once the device has asked to be paired; before that the machine says that nobody asks."""
    while True:
        payload: dict[str, Any] = (await gateway.data("PairClient", {"vmId": vm_id, "pin": pin}))["pairClient"]
        if [error["__typename"] for error in payload["errors"]] != ["InvalidState"]:
            return payload


async def until_paired(gateway: Gateway, vm_id: str, pin: str) -> dict[str, Any]:
    payload = await until_asked(gateway, vm_id, pin)
    assert payload["errors"] == []
    return payload
