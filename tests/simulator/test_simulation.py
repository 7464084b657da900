from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncssh
import pytest

from simulator.faults import FaultKind
from simulator.machines.pool import MachinePark
from simulator.simulation import Simulation, SimulationError, SimulationOptions

PROJECT = Path(__file__).parents[2]
GPU = "geforcertx4090-pcie-24gb"
WITHIN_S = 10.0


@pytest.fixture
def key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


def simulation(folder: Path, **options: Any) -> Simulation:
    return Simulation(SimulationOptions(folder, clock_factor=options.pop("clock_factor", 1000), **options))


class Customer:
    """Knows of the simulation what its environment says, and no more."""

    def __init__(self, environment: dict[str, str], http: aiohttp.ClientSession) -> None:
        self._url = environment["TENSORDOCK_API_URL"] + "/v2"
        self._headers = {"Authorization": f"Bearer {environment['TENSORDOCK_API_TOKEN']}"}
        self._http = http

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        async with self._http.request(method, self._url + path, json=body, headers=self._headers) as response:
            return await response.json()

    async def rent(self, key: asyncssh.SSHKey) -> str:
        """A machine in Dallas, by the id it got."""
        hosts = (await self.ask("GET", "/hostnodes"))["data"]["hostnodes"]
        attributes = {
            "name": "gamer-1",
            "type": "virtualmachine",
            "image": "ubuntu2404",
            "resources": {"vcpu_count": 8, "ram_gb": 16, "storage_gb": 200, "gpus": {GPU: {"count": 1}}},
            "hostnode_id": next(host["id"] for host in hosts if host["location"]["city"] == "Dallas"),
            "useDedicatedIp": True,
            "ssh_key": key.export_public_key().decode(),
        }
        answer = await self.ask("POST", "/instances", {"data": {"type": "virtualmachine", "attributes": attributes}})
        return str(answer["data"]["id"])

    async def run(self, machine_id: str, key: asyncssh.SSHKey, command: str) -> tuple[str, str]:
        """What the machine says to `command` once SSH answers, and where that was."""
        deadline = time.monotonic() + WITHIN_S
        while True:
            machine = await self.ask("GET", f"/instances/{machine_id}")
            try:
                return await said(machine, key, command)
            except OSError:
                assert time.monotonic() < deadline, "SSH never answered"
                await asyncio.sleep(0.01)


async def said(machine: dict[str, Any], key: asyncssh.SSHKey, command: str) -> tuple[str, str]:
    if not machine["ipAddress"]:
        raise ConnectionError
    ports = {forward["internal_port"]: forward["external_port"] for forward in machine["portForwards"]}
    where = (machine["ipAddress"], ports.get(22, 22))
    async with asyncssh.connect(*where, username="user", client_keys=[key], known_hosts=None, config=None) as ssh:
        return str((await ssh.run(command, check=True)).stdout), f"{where}"


@asynccontextmanager
async def customer_of(environment: dict[str, str]) -> AsyncIterator[Customer]:
    async with aiohttp.ClientSession() as http:
        yield Customer(environment, http)


async def test_a_rented_machine_is_a_real_ssh_server_with_a_disk_of_its_own(
    tmp_path: Path, key: asyncssh.SSHKey
) -> None:
    async with simulation(tmp_path) as world, customer_of(world.environment()) as customer:
        machine_id = await customer.rent(key)

        await customer.run(machine_id, key, "cp /etc/hostname save")
        text, _ = await customer.run(machine_id, key, "cat /home/user/save")

        assert text == f"{machine_id}\n"


@pytest.mark.parametrize("privileged_ports", [None, False])
async def test_a_machine_is_found_again_with_its_disk(
    tmp_path: Path, key: asyncssh.SSHKey, privileged_ports: bool | None
) -> None:
    async with (
        simulation(tmp_path, privileged_ports=privileged_ports) as world,
        customer_of(world.environment()) as customer,
    ):
        machine_id = await customer.rent(key)
        _, before = await customer.run(machine_id, key, "cp /etc/hostname save")

    async with (
        simulation(tmp_path, privileged_ports=privileged_ports) as world,
        customer_of(world.environment()) as customer,
    ):
        text, after = await customer.run(machine_id, key, "cat save")

    assert (text, after) == (f"{machine_id}\n", before)


async def test_a_machine_that_switches_itself_off_is_stopped(tmp_path: Path, key: asyncssh.SSHKey) -> None:
    async with simulation(tmp_path) as world, customer_of(world.environment()) as customer:
        machine_id = await customer.rent(key)
        await customer.run(machine_id, key, "true")
        assert isinstance(world.park, MachinePark)

        await world.park.machine(machine_id).shut_down()

        deadline = time.monotonic() + WITHIN_S
        while (await customer.ask("GET", f"/instances/{machine_id}"))["status"] != "stopped":
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


async def test_the_game_bucket_is_there_and_can_be_away(tmp_path: Path) -> None:
    async with simulation(tmp_path) as world, aiohttp.ClientSession() as http:
        environment = world.environment()
        url = f"{environment['GCS_ENDPOINT_URL']}/storage/v1/b/{environment['GCS_BUCKET_NAME']}/o"
        ordered = {"kind": "server-error", "operation": "bucket", "status": 503}
        async with http.get(url, params={"prefix": "roms/switch/"}) as response:
            names = [item["name"] for item in (await response.json())["items"]]
        async with http.post(f"{world.control_url}/faults", json=ordered) as response:
            assert response.status == 201
        async with http.get(f"{environment['TENSORDOCK_API_URL']}/v2/locations") as response:
            tensordock = response.status
        async with http.get(url) as response:
            away, said = response.status, await response.json()
        async with http.get(url) as response:
            back = response.status

    assert "roms/switch/mario-odyssey.nsp" in names
    assert (tensordock, away, said["error"]["code"], back) == (200, 503, 503, 200)


async def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    async with simulation(tmp_path / "one") as world:
        with pytest.raises(SimulationError, match=r"^cannot listen on 127\.0\.0\.1:\d+: Address already in use$"):
            async with simulation(tmp_path / "other", port=int(world.url.rpartition(":")[2])):
                pass


async def test_two_simulations_do_not_share_a_folder(tmp_path: Path) -> None:
    async with simulation(tmp_path):
        with pytest.raises(SimulationError, match="another simulator already works in"):
            async with simulation(tmp_path):
                pass


async def test_a_damaged_state_is_one_clear_line_and_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "tensordock.json"
    file.write_text('{"instances": [')

    with pytest.raises(SimulationError, match=r"tensordock\.json is damaged: remove it to begin anew$"):
        async with simulation(tmp_path):
            pass

    assert file.read_text() == '{"instances": ['


@contextmanager
def alone(folder: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """`python -m simulator` and the variables that it printed."""
    command = [sys.executable, "-m", "simulator", "--port", str(port), "--state-dir", str(folder)]
    with subprocess.Popen(
        [*command, "--clock-factor", "1000"], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            lines = iter(process.stdout.readline, "")
            variables = {}
            for line in lines:
                if line.startswith("# the simulator serves on"):
                    break
                name, _, value = line.removeprefix("export ").strip().partition("=")
                variables[name] = value
            yield process, variables
        finally:
            process.kill()


def test_alone_it_prints_the_variables_and_ends_when_told(tmp_path: Path) -> None:
    with alone(tmp_path) as (process, variables):
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=WITHIN_S)

        assert (process.returncode, errors) == (0, "")
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/api", variables["TENSORDOCK_API_URL"])
        assert variables["TENSORDOCK_API_KEY"]
        assert variables["TENSORDOCK_API_TOKEN"]


async def test_a_kill_loses_no_machine(tmp_path: Path, key: asyncssh.SSHKey) -> None:
    with alone(tmp_path) as (process, variables):
        async with customer_of(variables) as customer:
            machine_id = await customer.rent(key)
            _, before = await customer.run(machine_id, key, "cp /etc/hostname save")
        process.kill()
        process.wait()
    port = int(variables["TENSORDOCK_API_URL"].rpartition(":")[2].removesuffix("/api"))

    with alone(tmp_path, port) as (_, variables):
        async with customer_of(variables) as customer:
            text, after = await customer.run(machine_id, key, "cat save")

    assert (text, after) == (f"{machine_id}\n", before)


def test_alone_a_taken_port_is_one_line_and_a_failure(tmp_path: Path) -> None:
    with alone(tmp_path / "one") as (_, variables):
        port = variables["TENSORDOCK_API_URL"].rpartition(":")[2].removesuffix("/api")
        command = [sys.executable, "-m", "simulator", "--port", port, "--state-dir", str(tmp_path / "other")]
        second = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=WITHIN_S, check=False)

    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == f"simulator: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_the_page_about_it_names_every_fault_and_every_variable(tmp_path: Path) -> None:
    page = (PROJECT / "docs" / "simulator.md").read_text()

    assert [kind for kind in FaultKind if f"| `{kind}` |" not in page] == []
    assert [name for name in simulation(tmp_path).environment() if name not in page] == []
