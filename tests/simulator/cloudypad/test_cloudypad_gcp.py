"""Machines at the simulated Google Cloud, by way of the executable."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulator.simulation import Simulation
from tests.simulator.cloudypad.tool import Tool, park_of

MACHINE = "gcp-gw-1001"


def create(key: Path, *more: str, zone: str = "europe-west4-a", data_disk: str = "100") -> tuple[str, ...]:
    return (
        *("create", "gcp", "--name", "gw-1001", "--yes", "--overwrite-existing", "--skip-pairing"),
        *("--project-id", "P", "--region", "europe-west4", "--zone", zone, "--machine-type", "g2-standard-8"),
        *("--gpu-type", "nvidia-l4", "--disk-size", "50", "--data-disk-size", data_disk, "--disk-type", "pd-balanced"),
        *("--network-tier", "STANDARD", "--nic-type", "auto", "--spot", "--cost-alert", "no"),
        *("--streaming-server", "wolf", "--autostop", "no", "--ssh-private-key", str(key), "--retries", "0", *more),
    )


async def test_a_machine_is_made_set_up_and_described(tool: Tool, key: Path, world: Simulation) -> None:
    ended = await tool.run(*create(key))

    described = await tool.get("gw-1001")
    assert (ended.status, ended.stderr) == (0, "")
    assert " +  gcp:compute:Instance cloudypad-gw-1001 created" in ended.stdout
    assert described["status"] == {
        "serverStatus": "running",
        "provisioned": True,
        "configured": True,
        "ready": True,
    }
    output = described["provision"]["output"]
    assert output["host"] == output["publicIPv4"] == park_of(world).address(MACHINE).ip
    assert output["dataDiskId"] == output["machineDataDiskLookupId"] == "cloudypad-gw-1001-data"
    assert output["baseImageId"] == "projects/P/global/images/gw-1001-base-image"
    given = described["provision"]["input"]
    assert (given["machineType"], given["acceleratorType"], given["useSpot"]) == ("g2-standard-8", "nvidia-l4", True)
    assert given["ssh"] == {"user": "ubuntu", "privateKeyPath": str(key)}
    assert given["costAlert"] is None


async def test_a_stop_gives_the_server_up_and_a_start_brings_it_back_with_its_data(
    tool: Tool, key: Path, world: Simulation
) -> None:
    await tool.run(*create(key))
    saved = world.options.state_dir / "machines" / MACHINE / "root/var/lib/cloudypad/wolf/developer/save"
    saved.parent.mkdir(parents=True)
    saved.write_text("progress")
    address = park_of(world).address(MACHINE)

    stopped = await tool.run("stop", "gw-1001", "--wait")
    between = await tool.get("gw-1001")
    gone = not saved.exists()
    started = await tool.run("start", "gw-1001", "--wait")

    assert (stopped.status, started.status) == (0, 0), (stopped, started)
    assert gone
    assert between["status"]["serverStatus"] == "unknown"
    assert between["status"]["configured"] is False
    assert between["provision"]["input"]["runtime"] == {"instanceServerState": "absent", "dataDiskState": "snapshot"}
    assert "dataDiskId" not in between["provision"]["output"]
    assert "output" not in between["configuration"]
    assert (await tool.get("gw-1001"))["status"]["ready"] is True
    assert saved.read_text() == "progress"
    assert park_of(world).address(MACHINE) == address


async def test_without_a_data_disk_a_stop_loses_what_was_saved(tool: Tool, key: Path, world: Simulation) -> None:
    await tool.run(*create(key, data_disk="0"))
    saved = world.options.state_dir / "machines" / MACHINE / "root/var/lib/cloudypad/wolf/save"
    saved.write_text("progress")

    await tool.run("stop", "gw-1001", "--wait")
    await tool.run("start", "gw-1001", "--wait")

    assert not saved.exists()


async def test_a_server_that_is_not_given_up_is_only_stopped(tool: Tool, key: Path) -> None:
    flags = ("--delete-instance-server-on-stop", "no", "--data-disk-snapshot", "no", "--base-image-snapshot", "no")
    await tool.run(*create(key, *flags))
    given = tool.state("gw-1001")["provision"]["input"]

    await tool.run("stop", "gw-1001", "--wait")

    assert given["deleteInstanceServerOnStop"] is False
    assert "dataDiskSnapshot" not in given
    assert "baseImageSnapshot" not in given
    assert (await tool.get("gw-1001"))["status"]["serverStatus"] == "stopped"


async def test_a_full_zone_is_told_in_googles_words_and_leaves_a_state(
    tool: Tool, key: Path, world: Simulation
) -> None:
    await _post(world, "gcp/full-zones", {"zones": ["europe-west4-a"]})

    full = await tool.run(*create(key))
    elsewhere = await tool.run(*create(key, zone="europe-west4-b"))

    assert full.status == 1
    assert "ZONE_RESOURCE_POOL_EXHAUSTED" in full.stdout
    assert elsewhere.status == 0


async def test_a_quota_that_is_used_up_is_told_in_googles_words(tool: Tool, key: Path, world: Simulation) -> None:
    await _post(world, "gcp/quotas", {"quotas": [{"name": "NVIDIA_L4_GPUS", "region": "europe-west4"}]})

    full = await tool.run(*create(key))

    assert full.status == 1
    assert "Quota 'NVIDIA_L4_GPUS' exceeded.  Limit: 1.0 in region europe-west4., quotaExceeded" in full.stdout


async def test_a_killed_run_leaves_a_lock_that_only_force_removes(tool: Tool, key: Path, tmp_path: Path) -> None:
    process = await tool.in_real_time(tmp_path).started(*create(key))
    assert process.stdout is not None
    while b"creating" not in await asyncio.wait_for(process.stdout.readline(), 10):
        pass
    process.send_signal(signal.SIGTERM)
    status = await process.wait()
    await process.stdout.read()

    locked = await tool.run(*create(key))
    forced = await tool.run(*create(key, "--force-pulumi-cancel"))

    assert status == 143
    assert locked.status == 1
    assert locked.stdout.count("is locked, retrying in 10 seconds.") == 12
    assert "ConcurrentUpdateError" in locked.stdout
    assert forced.status == 0, forced


async def test_a_restart_wants_to_be_waited_for(tool: Tool, key: Path) -> None:
    await tool.run(*create(key))

    hasty = await tool.run("restart", "gw-1001")
    patient = await tool.run("restart", "gw-1001", "--wait")

    assert hasty.status == 1
    assert "--wait is required to restart GCP instance." in hasty.stdout
    assert (patient.status, patient.stdout) == (0, "Restarting instance gw-1001...\n")


async def test_destroy_removes_everything(tool: Tool, key: Path, world: Simulation) -> None:
    await tool.run(*create(key))

    ended = await tool.run("destroy", "gw-1001", "--yes")

    assert ended.status == 0
    assert ended.stdout.endswith("\nDestroyed instance gw-1001\n")
    assert tool.names() == []
    assert (await _get(world, "gcp/machines"))["machines"] == []
    assert park_of(world).machines() == []


async def test_what_became_of_a_machine_and_when_is_told_also_after_a_restart(
    tool: Tool, key: Path, world: Simulation
) -> None:
    kept = ("--delete-instance-server-on-stop", "no", "--data-disk-snapshot", "no", "--base-image-snapshot", "no")
    await tool.run(*create(key, *kept))
    await tool.run("stop", "gw-1001", "--wait")
    await tool.run("destroy", "gw-1001", "--yes")
    options = world.options
    await world.__aexit__(None, None, None)

    async with Simulation(options) as again:
        (life,) = (await _get(again, "gcp/lives"))["lives"]

    assert life["name"] == "gw-1001"
    assert [one["state"] for one in life["states"]] == ["on", "off"]
    moments = [life["at"], *(one["from"] for one in life["states"]), life["ended_at"]]
    assert moments == sorted(moments)


async def test_a_machine_that_switched_itself_off_is_stopped(tool: Tool, key: Path, world: Simulation) -> None:
    await tool.run(*create(key))

    park_of(world).machine(MACHINE).shut_down()
    async with asyncio.timeout(5):
        while (await tool.get("gw-1001"))["status"]["serverStatus"] != "stopped":
            pass


async def test_machines_outlive_a_restart_of_the_world(tool: Tool, key: Path, world: Simulation) -> None:
    await tool.run(*create(key))
    options = world.options
    await world.__aexit__(None, None, None)

    async with Simulation(options) as again:
        listed = (await _get(again, "gcp/machines"))["machines"]

        assert [(one["name"], one["status"]) for one in listed] == [("gw-1001", "RUNNING")]
        assert (await Tool(again.environment()["CLOUDYPAD_COMMAND"], tool.home).get("gw-1001"))["provision"]["output"]


@pytest.mark.parametrize("missing", ["--zone", "--machine-type", "--disk-type"])
async def test_a_question_that_nobody_answers_makes_no_machine(
    tool: Tool, key: Path, world: Simulation, missing: str
) -> None:
    argv = list(create(key))
    at = argv.index(missing)

    ended = await tool.run(*argv[:at], *argv[at + 2 :])

    assert ended.status == 0
    assert ended.stdout.endswith("Instance initialization cancelled.\n")
    assert park_of(world).machines() == []


async def _post(world: Simulation, path: str, body: dict[str, object]) -> None:
    async with aiohttp.ClientSession() as http, http.post(f"{world.control_url}/{path}", json=body) as answer:
        assert answer.status == 200


async def _get(world: Simulation, path: str) -> dict[str, list[dict[str, Any]]]:
    async with aiohttp.ClientSession() as http, http.get(f"{world.control_url}/{path}") as answer:
        assert answer.status == 200
        return dict(await answer.json())
