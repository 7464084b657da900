"""The provider contract once more, with CloudyPad against the simulated Google Cloud: its executable, homes, machines.

Left out is what cannot happen there. An order's answer cannot be lost between us and CloudyPad, nor can its list lag:
the order is a program that we run, and the list is our own. A name is an id, so a tag that is rented again has the same
one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from models.cloudypad_states import CloudyPadStates
from models.database import Database
from providers.base import MachineState, ProviderName, Shape, Tag
from providers.cloudypad.cli import CloudyPadCli
from providers.cloudypad.provider import CloudyPad, CloudyPadOptions
from providers.google.compute import ComputeEngine
from providers.google.regions import regions
from providers.http import Http
from providers.storage.tokens import NoTokens
from simulator.simulation import Simulation, SimulationOptions
from streaming.keys import ensure_key_pair
from tests.contract.test_provider_contract import (
    TAG,
    Ground,
    test_a_full_site_says_so_and_another_one_does,
    test_a_rented_machine_comes_up_with_an_address,
    test_a_shape_that_no_site_has_gets_no_offer,
    test_health_says_that_the_cloud_can_be_used,
    test_machines_of_others_are_neither_shown_nor_touched,
    test_release_ends_with_the_clouds_word_that_the_machine_is_gone,
    test_renting_again_gives_the_same_machine,
    test_sites_are_priced_offers_that_fit,
    test_stop_and_start,
    test_who_rent_one_tag_at_once_get_one_machine,
)

__all__ = [
    "test_a_full_site_says_so_and_another_one_does",
    "test_a_rented_machine_comes_up_with_an_address",
    "test_a_shape_that_no_site_has_gets_no_offer",
    "test_health_says_that_the_cloud_can_be_used",
    "test_machines_of_others_are_neither_shown_nor_touched",
    "test_release_ends_with_the_clouds_word_that_the_machine_is_gone",
    "test_renting_again_gives_the_same_machine",
    "test_sites_are_priced_offers_that_fit",
    "test_stop_and_start",
    "test_who_rent_one_tag_at_once_get_one_machine",
]


class SimulatedGoogle:
    """As much of tests.contract.clouds.CloudUnderTest as these tests need. Every provider has a home of its own."""

    name = ProviderName.CLOUDYPAD
    shape = Shape(vcpus=8, ram_gb=16, storage_gb=200, min_vram_gb=16, gpu_models=("nvidia-tesla-t4", "nvidia-l4"))

    def __init__(self, simulation: Simulation, control: aiohttp.ClientSession, db: Database, folder: Path) -> None:
        self._simulation = simulation
        self._control = control
        self._db = db
        self._folder = folder
        self._key = ensure_key_pair(folder / "key").path
        self._http = Http()
        self.opened: list[CloudyPad] = []

    def provider(self) -> CloudyPad:
        variables = self._simulation.environment()
        home = self._folder / f"home-{len(self.opened)}"
        store = CloudyPadStates(self._db)
        cli = CloudyPadCli(variables["CLOUDYPAD_COMMAND"], home, store=store, key_path=self._key, grace_s=0.5)
        options = CloudyPadOptions(variables["GCP_PROJECT_ID"], self._key, simulated=True, list_kept_s=0)
        project, url = variables["GCP_PROJECT_ID"], variables["GOOGLE_COMPUTE_URL"]
        compute = ComputeEngine(self._http, NoTokens(), project, url=url)
        self.opened.append(CloudyPad(options, cli, NoTokens(), compute=compute))
        return self.opened[-1]

    async def close(self) -> None:
        for opened in self.opened:
            await opened.close()
        await self._http.close()

    async def labels(self, tag: Tag) -> dict[str, dict[str, str]]:
        """Of the instance and its disks, by their names."""
        told = await self._ask("GET", "machines")
        (labels,) = [machine["labels"] for machine in told["machines"] if machine["name"] == tag]
        return dict(labels)

    async def do(self, step: str, tag: Tag) -> None:
        """Behind CloudyPad's back: "stop", or "vanish"."""
        await self._ask("POST", f"machines/{tag}/{step}")

    async def machines_named(self, name: str) -> list[str]:
        told = await self._ask("GET", "machines")
        return [machine["name"] for machine in told["machines"] if machine["name"] == name]

    async def ever_ordered(self, tag: Tag) -> int:
        return len(await self.machines_named(tag))

    async def add_foreign(self, name: str) -> None:
        order = dict.fromkeys(("user", "projectId", "zone", "machineType", "acceleratorType"), "x")
        key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFake"
        await self._ask("POST", "machines", {**order, "name": name, "public_key": key, "useSpot": False})

    async def lag_list(self) -> None:
        """It never lags."""

    async def fill_site(self, site_id: str) -> None:
        await self._ask("POST", "full-zones", {"zones": list(regions()[site_id].zones)})

    async def _ask(self, method: str, path: str, body: object = None) -> Any:
        async with self._control.request(method, f"{self._simulation.control_url}/gcp/{path}", json=body) as reply:
            told = await reply.json()
            assert reply.ok, told
            return told


@pytest.fixture
async def ground(db: Database, tmp_path: Path) -> AsyncIterator[Ground]:
    options = SimulationOptions(tmp_path / "world", clock_factor=5000)
    async with (
        AsyncExitStack() as stack,
        Simulation(options) as simulation,
        aiohttp.ClientSession() as control,
    ):
        cloud = SimulatedGoogle(simulation, control, db, tmp_path)
        provider = cloud.provider()
        priced = [provider.offer(site, cloud.shape) for site in await provider.sites()]
        first, second, *_ = sorted(filter(None, priced), key=lambda offer: (offer.usd_per_hour, offer.site_id))
        yield Ground(cloud, provider, first, second)  # type: ignore[arg-type]  # what is left out is not called
        stack.push_async_callback(cloud.close)


async def test_a_machine_that_somebody_deleted_at_google_has_vanished_until_it_is_released(ground: Ground) -> None:
    google = ground.cloud
    assert isinstance(google, SimulatedGoogle)
    rented = await ground.provider.rent(ground.offer, TAG)

    await google.do("vanish", TAG)
    seen, (listed,) = await ground.provider.machine(rented.id), await ground.provider.machines()
    await ground.provider.release(rented.id)

    assert seen is not None
    assert (seen.state, listed.state) == (MachineState.VANISHED, MachineState.VANISHED)
    assert await ground.provider.machine(rented.id) is None
    assert await google.machines_named(TAG) == []


async def test_a_machine_that_somebody_stopped_at_google_is_stopped(ground: Ground) -> None:
    assert isinstance(ground.cloud, SimulatedGoogle)
    rented = await ground.provider.rent(ground.offer, TAG)

    await ground.cloud.do("stop", TAG)
    seen = await ground.provider.machine(rented.id)

    assert seen is not None
    assert seen.state is MachineState.STOPPED_RELEASED


async def test_a_rented_machine_and_its_disks_carry_the_label_by_which_google_bills_it(ground: Ground) -> None:
    assert isinstance(ground.cloud, SimulatedGoogle)

    await ground.provider.rent(ground.offer, TAG)

    ours = {"gamer_machine": TAG}
    assert await ground.cloud.labels(TAG) == {f"cloudypad-{TAG}": ours, f"cloudypad-{TAG}-data": ours}
