"""A prepared disk image at the simulated Google: made of one machine, and another one that is created from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from errors import ProviderRefusedError
from models.cloudypad_states import CloudyPadStates
from models.database import Database
from providers.base import Machine, MachineState, Offer, Shape, Tag, no_progress
from providers.cloudypad.cli import CloudyPadCli
from providers.cloudypad.provider import CloudyPad, CloudyPadOptions
from providers.google.compute import ComputeEngine
from providers.google.images import GoogleImages
from providers.http import Http
from providers.storage.tokens import NoTokens
from simulator.machines.pool import MachinePark
from simulator.simulation import Simulation, SimulationOptions
from streaming.addresses import Address
from streaming.disk_image import prepare_for_image
from streaming.keys import KeyPair, ensure_key_pair
from streaming.ssh import Shell, Ssh

SHAPE = Shape(vcpus=8, ram_gb=16, storage_gb=200, min_vram_gb=16, gpu_models=("nvidia-tesla-t4", "nvidia-l4"))
FIRST, SECOND = Tag("gamer-100000000000000001"), Tag("gamer-100000000000000002")
EMULATOR = "ghcr.io/games-on-whales/retroarch:edge"
WOLF = "/var/lib/cloudypad/wolf/cfg/cert.pem"
SECRETS = ("/etc/gamer/library-key.json", "/var/lib/gamer/pairing-used.json")
DRIVER = "Installing the graphics driver"


class Chosen:
    """Keeps providers.cloudypad.disk_images.DiskImages with one image."""

    def __init__(self) -> None:
        self.image: str | None = None
        self.problems: list[tuple[str, str]] = []

    async def find(self, region: str, tag: str) -> str | None:
        return self.image

    async def record_problem(self, image: str, problem: str) -> None:
        self.problems.append((image, problem))


@dataclass
class Google:
    simulation: Simulation
    control: aiohttp.ClientSession
    provider: CloudyPad
    compute: ComputeEngine
    chosen: Chosen
    key: KeyPair

    @property
    def park(self) -> MachinePark:
        assert isinstance(self.simulation.park, MachinePark)
        return self.simulation.park

    async def offer(self) -> Offer:
        offers = [self.provider.offer(site, SHAPE) for site in await self.provider.sites()]
        return min(filter(None, offers), key=lambda offer: (offer.usd_per_hour, offer.site_id))

    async def rent(self, tag: Tag) -> tuple[Machine, list[str]]:
        told: list[str] = []
        return await self.provider.rent(await self.offer(), tag, report=told.append), told

    @asynccontextmanager
    async def shell(self, machine: Machine) -> AsyncIterator[Shell]:
        ports = [machine.external_port(port) for port in (22, 47984, 47989, 48010)]
        address = Address(str(machine.ip_address), ports[0], machine.ssh_user, None, *ports[1:])
        async with Ssh(self.key).shell(address) as shell:
            yield shell

    async def stop(self, tag: Tag) -> None:
        async with self.control.post(f"{self.simulation.control_url}/gcp/machines/{tag}/stop") as reply:
            assert reply.ok

    async def make_image(self, tag: Tag, name: str) -> str:
        images = GoogleImages(self.compute)
        server = await self.compute.server(f"cloudypad-{tag}", "us-east1-b", ("gamer_machine", tag))
        assert server is not None
        await images.create(name, server.disks[0], location="us", labels={"gamer_image": "main"})
        for _ in range(1000):
            image = await images.get(name)
            assert image is not None
            if image.status == "READY":
                return image.path
            await asyncio.sleep(0.02)
        raise AssertionError("the image was not made")


@pytest.fixture
async def google(db: Database, tmp_path: Path) -> AsyncIterator[Google]:
    options = SimulationOptions(tmp_path / "world", clock_factor=2000)
    async with Simulation(options) as simulation, aiohttp.ClientSession() as control:
        variables, http, chosen = simulation.environment(), Http(), Chosen()
        key = ensure_key_pair(tmp_path / "key")
        cli = CloudyPadCli(
            variables["CLOUDYPAD_COMMAND"], tmp_path / "home", store=CloudyPadStates(db), key_path=key.path, grace_s=0.5
        )
        settings = CloudyPadOptions(variables["GCP_PROJECT_ID"], key.path, simulated=True, list_kept_s=0)
        compute = ComputeEngine(http, NoTokens(), settings.project_id, url=variables["GOOGLE_COMPUTE_URL"])
        provider = CloudyPad(settings, cli, NoTokens(), compute=compute, images=chosen)
        yield Google(simulation, control, provider, compute, chosen, key)
        await provider.close()
        await http.close()


async def test_a_machine_from_an_image_needs_no_set_up_and_has_an_identity_of_its_own(google: Google) -> None:
    first, told = await google.rent(FIRST)
    assert any(DRIVER in line for line in told)
    async with google.shell(first) as shell:
        for file in SECRETS:
            await shell.sudo("install", "-d", "-m", "0700", str(Path(file).parent))
            await shell.write_file(file, b'["of the first machine"]', 0o600)
        await prepare_for_image(shell, [EMULATOR], no_progress)
        await prepare_for_image(shell, [EMULATOR], no_progress)  # by another worker
        first_key = shell.host_key
        first_config = await shell.read_file("wolf/config.toml")
    await google.stop(FIRST)
    google.chosen.image = await google.make_image(FIRST, "gamer-main-1")

    second, told = await google.rent(SECOND)
    async with google.shell(second) as shell:
        second_key = shell.host_key
        images = (await shell.sudo("docker", "image", "inspect", "--format", "{{.Id}}", EMULATOR)).text

    assert second.state is MachineState.RUNNING
    assert told[1] == "Creating the machine from a prepared disk image"
    assert not any(DRIVER in line for line in told)
    assert google.chosen.problems == []
    assert first_key != second_key
    assert first_config is not None
    assert b"uuid" not in first_config
    disks = [google.park.machine(f"gcp-{tag}").root_files for tag in (FIRST, SECOND)]
    assert disks[1].is_file(WOLF)
    assert not disks[0].is_file(WOLF)
    assert [file for disk in disks for file in SECRETS if disk.is_file(file)] == []
    assert images


async def test_an_image_that_is_gone_is_not_used_again_and_the_machine_is_set_up_in_full(google: Google) -> None:
    google.chosen.image = "projects/simulated-project/global/images/gamer-main-gone"

    machine, told = await google.rent(FIRST)

    assert machine.state is MachineState.RUNNING
    ((image, problem),) = google.chosen.problems
    assert image == google.chosen.image
    assert "was not found" in problem
    assert any(line.startswith("The prepared disk image cannot be used, so the machine is set up") for line in told)
    assert any(DRIVER in line for line in told)
    assert [each.id for each in await google.provider.machines()] == [machine.id]


async def test_an_image_of_a_disk_that_a_machine_uses_is_refused(google: Google) -> None:
    await google.rent(FIRST)
    server = await google.compute.server(f"cloudypad-{FIRST}", "us-east1-b", ("gamer_machine", FIRST))
    assert server is not None

    with pytest.raises(ProviderRefusedError, match="already being used"):
        await GoogleImages(google.compute).create("gamer-main-1", server.disks[0], location="us", labels={})


async def test_images_are_listed_by_label_and_deleted_once(google: Google) -> None:
    images = GoogleImages(google.compute)
    await google.rent(FIRST)
    await google.stop(FIRST)
    await google.make_image(FIRST, "gamer-main-1")

    listed = await images.list_labelled("gamer_image", "main")
    await images.delete("gamer-main-1")
    await images.delete("gamer-main-1")

    assert [(image.name, image.labels) for image in listed] == [("gamer-main-1", {"gamer_image": "main"})]
    assert listed[0].created_at is not None
    assert await images.get("gamer-main-1") is None
    assert await images.list_labelled("gamer_image", "main") == []
