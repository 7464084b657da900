"""Machines that are set up by the provider `ssh`: what is on them afterwards, and what went wrong."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import asyncssh
import pytest

from providers.cloudypad.error_parsing import reason_in
from simulator.addresses import MachineAddress
from simulator.clock import Clock
from simulator.machines.pool import MachinePark
from simulator.simulation import Simulation, SimulationOptions
from tests.simulator.cloudypad.tool import Tool, park_of


@pytest.fixture
async def machine(world: Simulation, key: Path) -> MachineAddress:
    public = asyncssh.read_private_key(key).export_public_key().decode()
    await park_of(world).create("m-1", user="user", authorized_keys=[public], cloud_init=None)
    await park_of(world).power_on("m-1")
    return park_of(world).address("m-1")


def create(machine: MachineAddress, key: Path, *more: str) -> tuple[str, ...]:
    return (
        *("create", "ssh", "--name", "gw-2001", "--yes", "--overwrite-existing", "--skip-pairing"),
        *("--hostname", machine.ip, "--ssh-user", "user", "--ssh-private-key", str(key)),
        *("--streaming-server", "wolf", "--autostop", "no", *more),
    )


async def test_a_machine_is_set_up_and_its_state_is_that_of_the_real_tool(
    tool: Tool, machine: MachineAddress, key: Path, world: Simulation
) -> None:
    ended = await tool.run(*create(machine, key))

    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Executing playbook wolf.yml\n")
    assert "- Play recap -" in ended.stdout
    assert "Instance has been initialized successfully" in ended.stdout
    state = tool.state("gw-2001")
    assert tool.events("gw-2001") == [
        *("init", "provision-begin", "provision-end", "configuration-begin", "configuration-end")
    ]
    assert state["version"] == "1"
    assert state["provision"]["output"]["host"] == machine.ip
    assert state["provision"]["input"] == {
        "ssh": {"user": "user", "privateKeyPath": str(key)},
        "runtime": {"instanceServerState": "present", "dataDiskState": "live"},
        "hostname": machine.ip,
    }
    assert state["configuration"]["input"] == {
        "autostop": {"enable": False},
        "sunshine": None,
        "wolf": {"enable": True},
    }
    assert state["metadata"]["lastConfigurationCloudypadVersion"] == "0.45.2"
    root = world.options.state_dir / "machines/m-1/root"
    assert "config_version = 6" in (root / "home/user/wolf/config.toml").read_text()
    assert "paired_clients = []" in (root / "home/user/wolf/config.toml").read_text()
    assert "nc -z localhost 47989" in (root / "usr/local/bin/cloudypad-check-readiness").read_text()
    assert (await tool.get("gw-2001"))["status"] == {
        "serverStatus": "running",
        "provisioned": True,
        "configured": True,
        "ready": True,
    }


async def test_configuring_again_forgets_the_pairings(
    tool: Tool, machine: MachineAddress, key: Path, world: Simulation
) -> None:
    await tool.run(*create(machine, key))
    wolf = park_of(world).wolf("m-1")
    wolf.pairings.give_pin(wolf.begin_pairing(pin="1").secret, "1")
    assert len(wolf.config.clients) == 1

    ended = await tool.run("configure", "gw-2001", "--retries", "0")

    assert ended.status == 0, ended
    assert ended.stdout.endswith("\nConfigured instance gw-2001\n")
    assert park_of(world).wolf("m-1").config.clients == []


async def test_without_a_callback_of_its_image_it_prints_as_ansible_does(
    tool: Tool, machine: MachineAddress, key: Path, world: Simulation
) -> None:
    park_of(world).set_fault("m-1", "install-fails", True)

    ended = await tool.run(*create(machine, key), ANSIBLE_STDOUT_CALLBACK="default")

    assert "\nPLAY [Configure instance] ****" in ended.stdout
    assert "\nTASK [geerlingguy.docker : Install Docker packages] ****" in ended.stdout
    assert 'FAILED! => {"changed": false, "msg": "E: Failed to fetch' in ended.stdout
    assert reason_in(ended.stdout).startswith("geerlingguy.docker : Install Docker packages: E: Failed to fetch")


async def test_a_failing_install_is_tried_four_times_and_told_on_stdout(
    tool: Tool, machine: MachineAddress, key: Path, world: Simulation
) -> None:
    park_of(world).set_fault("m-1", "install-fails", True)

    ended = await tool.run(*create(machine, key))

    assert ended.status == 1
    assert ended.stdout.count("Executing playbook wolf.yml") == 4
    assert "failed | msg: E: Failed to fetch" in ended.stdout
    assert "Configuration attempt 1/2 failed, retrying in 10 seconds." in ended.stdout
    assert "Ansible run failed, exit code 2" in ended.stdout
    assert "cloudypad destroy gw-2001" in ended.stderr
    assert tool.events("gw-2001")[-1] == "configuration-begin"


async def test_with_no_retries_two_runs_are_left(
    tool: Tool, machine: MachineAddress, key: Path, world: Simulation
) -> None:
    park_of(world).set_fault("m-1", "install-fails", True)

    failed = await tool.run(*create(machine, key, "--retries", "0"))
    park_of(world).set_fault("m-1", "install-fails", False)
    repeated = await tool.run(*create(machine, key, "--retries", "0"))

    assert (failed.status, failed.stdout.count("Executing playbook")) == (1, 2)
    assert (repeated.status, repeated.stdout.count("Executing playbook")) == (0, 1)


async def test_a_machine_that_is_off_still_counts_as_running_but_not_as_ready(
    tool: Tool, machine: MachineAddress, key: Path, world: Simulation
) -> None:
    await tool.run(*create(machine, key))

    await park_of(world).power_off("m-1")

    assert (await tool.get("gw-2001"))["status"] == {
        "serverStatus": "running",
        "provisioned": True,
        "configured": True,
        "ready": False,
    }


async def test_stop_and_start_do_nothing_to_the_machine(
    tool: Tool, machine: MachineAddress, key: Path, world: Simulation
) -> None:
    await tool.run(*create(machine, key))

    stopped = await tool.run("stop", "gw-2001", "--wait")
    started = await tool.run("start", "gw-2001")

    assert (stopped.status, started.status) == (0, 0)
    assert stopped.stdout.startswith("Stopping instance gw-2001...\n")
    assert stopped.stdout.endswith("Stopped instance gw-2001\n")
    assert "WARN" in stopped.stdout
    assert "Use --wait flag to wait for completion." in started.stdout
    assert park_of(world).wolf("m-1").config.hostname == "gw-2001"


async def test_destroy_forgets_the_instance_and_leaves_the_machine(
    tool: Tool, machine: MachineAddress, key: Path, world: Simulation
) -> None:
    await tool.run(*create(machine, key))

    ended = await tool.run("destroy", "gw-2001", "--yes")

    assert (ended.status, ended.stdout) == (0, "\nDestroyed instance gw-2001\n")
    assert tool.names() == []
    assert park_of(world).wolf("m-1").config.hostname == "gw-2001"


async def test_killed_it_ends_with_143_and_its_playbook_goes_on(
    tool: Tool, machine: MachineAddress, key: Path, world: Simulation
) -> None:
    process = await tool.started(*create(machine, key))
    assert process.stdout is not None
    while b"reachable" not in await asyncio.wait_for(process.stdout.readline(), 10):
        pass

    process.send_signal(signal.SIGTERM)
    status = await process.wait()
    # The orphan holds the pipe: it closes when the playbook has ended too.
    rest = await asyncio.wait_for(process.stdout.read(), 20)

    assert status == 143
    assert b"- Play recap -" in rest
    assert tool.events("gw-2001")[-1] == "configuration-begin"
    assert park_of(world).wolf("m-1").config.hostname == "gw-2001"


async def test_where_port_22_is_taken_it_knows_the_way(tmp_path: Path, key: Path) -> None:
    options = SimulationOptions(state_dir=tmp_path / "world", clock_factor=2000, privileged_ports=False)
    async with Simulation(options) as world:
        public = asyncssh.read_private_key(key).export_public_key().decode()
        address = await park_of(world).create("m-1", user="user", authorized_keys=[public], cloud_init=None)
        await park_of(world).power_on("m-1")
        tool = Tool(world.environment()["CLOUDYPAD_COMMAND"], tmp_path / "home")

        ended = await tool.run(*create(address, key))

        assert ended.status == 0, ended
        assert (await tool.get("gw-2001"))["status"]["ready"] is True
        assert os.path.isabs(world.environment()["CLOUDYPAD_COMMAND"])


async def test_among_machines_that_share_an_address_it_finds_the_one_with_the_instances_name(
    tmp_path: Path, key: Path
) -> None:
    options = SimulationOptions(state_dir=tmp_path / "world", clock_factor=2000)
    park = MachinePark(options.state_dir, Clock(2000), own_addresses=False)
    async with Simulation(options, park=park) as world:
        other = await _ordered(world, key, "gw-2002")
        wanted = await _ordered(world, key, "gw-2001")
        tool = Tool(world.environment()["CLOUDYPAD_COMMAND"], tmp_path / "home")

        ended = await tool.run(*create(park.address(wanted), key))

        assert ended.status == 0, ended
        assert park.wolf(wanted).config.hostname == "gw-2001"
        with pytest.raises(LookupError):
            park.wolf(other)


async def _ordered(world: Simulation, key: Path, name: str) -> str:
    """A machine rented as a client rents it; its id, once SSH may be tried."""
    environment = world.environment()
    headers = {"Authorization": f"Bearer {environment['TENSORDOCK_API_TOKEN']}"}
    url = f"{environment['TENSORDOCK_API_URL']}/v2"
    async with aiohttp.ClientSession(headers=headers) as http:
        async with http.get(f"{url}/hostnodes") as stock:
            nodes = (await stock.json())["data"]["hostnodes"]
        order = _order(name, asyncssh.read_private_key(key).export_public_key().decode())
        for node in nodes:
            order["data"]["attributes"]["hostnode_id"] = node["id"]
            async with http.post(f"{url}/instances", json=order) as made:
                body = await made.json()
            if "id" in body.get("data", {}):
                break
    async with asyncio.timeout(10):
        while True:
            async with aiohttp.ClientSession() as http, http.get(f"{world.control_url}/machines") as listed:
                machines = {one["name"]: one for one in (await listed.json())["machines"]}
            if machines[name]["booted"]:
                return str(machines[name]["id"])
            await asyncio.sleep(0.02)


def _order(name: str, public_key: str) -> dict[str, Any]:
    resources = {"vcpu_count": 2, "ram_gb": 4, "storage_gb": 100}
    attributes = {
        **{"name": name, "type": "virtualmachine", "image": "ubuntu2404", "resources": resources},
        **{"useDedicatedIp": True, "ssh_key": public_key},
    }
    return {"data": {"type": "virtualmachine", "attributes": attributes}}
