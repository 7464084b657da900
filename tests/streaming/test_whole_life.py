"""One simulated machine from its first boot to its last upload, with everything simulated that is not ours: the
machine, the CloudyPad executable, the bucket. Nothing of ours is replaced."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from errors import ProviderBusyError
from models.catalog import CONSOLES, ConsoleType
from providers.base import ProgressCallback, no_progress
from providers.cloudypad.cli import CloudyPadCli
from providers.http import Http
from providers.storage.bucket import Bucket
from providers.storage.tokens import NoTokens
from providers.tensordock.cloud_init import cloud_init
from simulator.machines.machine import Machine
from simulator.machines.pool import MachinePark
from simulator.simulation import Simulation, SimulationOptions
from streaming.keys import KeyPair
from streaming.library import Library
from streaming.machine import Address, GameToPlay, LibrarySource, MachineTimes, SaveSlot, StreamingMachines
from streaming.pairing import Pairing
from streaming.ssh import Ssh
from tests.moonlight import Moonlight

TAG = "gamer-123456789012345678"
SLOT = SaveSlot("player-1", ConsoleType.SWITCH, "mario-odyssey")
SAVE = ".local/share/citron/nand/user/save/0/1/slot.bin"


@dataclass
class World:
    simulation: Simulation
    machines: StreamingMachines
    library: Library
    bucket: Bucket
    key: KeyPair

    @property
    def park(self) -> MachinePark:
        assert isinstance(self.simulation.park, MachinePark)
        return self.simulation.park

    async def rented(self, machine_id: str) -> Address:
        """A machine as a cloud hands it over: on, and perhaps still in its first boot."""
        first_boot = cloud_init(self.key.public_key)
        place = await self.park.create(
            machine_id, user="user", authorized_keys=[self.key.public_key], cloud_init=first_boot
        )
        await self.park.power_on(machine_id)
        ports = [place.port(port) for port in (47984, 47989, 48010)]
        return Address(place.ip, place.port(22), "user", None, *ports)

    def machine(self, machine_id: str) -> Machine:
        return self.park.machine(machine_id)


@pytest.fixture
async def world(tmp_path: Path, key: KeyPair) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        options = SimulationOptions(tmp_path / "simulation", clock_factor=200)
        simulation = await stack.enter_async_context(Simulation(options))
        environment = simulation.environment()
        http = Http()
        stack.push_async_callback(http.close)
        name, url = environment["GCS_BUCKET_NAME"], environment["GCS_ENDPOINT_URL"]
        bucket = Bucket(http, name, NoTokens(), endpoint_url=url)
        library = Library(bucket)
        stack.push_async_callback(library.close)
        machines = StreamingMachines(
            Ssh(key),
            CloudyPadCli(environment["CLOUDYPAD_COMMAND"], tmp_path / "cloudypad"),
            bucket,
            LibrarySource(name, url),
            pairing=Pairing(patience_s=1, settle_s=1, pause_s=0.02),
            times=MachineTimes(sample_s=0.05, ready_within_s=0),
        )
        yield World(simulation, machines, library, bucket, key)


@pytest.mark.timeout(60)
async def test_a_players_evening_on_one_machine_and_the_next_on_another(world: World) -> None:
    told: list[str] = []
    first = await launched(world, "machine-1", told.append)
    await play(world, "machine-1", first)
    await world.machines.end_sessions(first)
    report = await world.machines.upload_saves(first, SLOT)
    await world.park.destroy("machine-1")
    second = await launched(world, "machine-2", no_progress)

    assert report.outcome == "UPLOADED"
    assert {"Installing the graphics driver", "Restarting the machine", "Installing the streaming server"} <= set(told)
    assert world.machine("machine-2").root_files.read_text(f"{SLOT.home}/{SAVE}") == "three moons"
    config = tomllib.loads(world.machine("machine-2").root_files.read_text("/home/user/wolf/config.toml"))
    assert [app["title"] for app in config["profiles"][0]["apps"]] == ["SWITCH-mario-odyssey"]
    assert (await world.machines.activity(second)).paired is False


@pytest.mark.timeout(60)
async def test_a_set_up_that_was_cancelled_in_the_middle_is_ended_by_the_next_worker(world: World) -> None:
    address = await world.rented("machine-1")
    begun = asyncio.Event()
    first = asyncio.create_task(world.machines.install(address, TAG, lambda _: begun.set()))
    await begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first

    await patiently(lambda: world.machines.install(address, TAG, no_progress))
    await patiently(lambda: world.machines.verify_stream(address))

    assert world.machine("machine-1").root_files.is_file("/var/lib/gamer/installed.json")


@pytest.mark.timeout(60)
async def test_a_paired_device_lists_and_starts_the_game_although_no_registry_answers_any_more(
    world: World, tmp_path: Path
) -> None:
    address = await launched(world, "machine-1", no_progress)
    image = CONSOLES[ConsoleType.SWITCH].emulator.image
    world.park.images.set_missing(image, missing=True)
    http, https = (
        f"{scheme}://{address.host}:{port}"
        for scheme, port in (("http", address.http_port), ("https", address.https_port))
    )
    device = Moonlight(http, tmp_path, "4821")
    pairing = asyncio.create_task(device.pair())
    await patiently(lambda: world.machines.pair(address, "4821", SLOT.user_id))
    assert await pairing

    [listed] = await device.ask(https, "applist")
    app = {child.tag: child.text or "" for child in listed}
    started = await device.ask(https, "launch", appid=app["ID"], mode="1280x720x60", rikey="0" * 32, rikeyid="1")

    assert app["AppTitle"] == "SWITCH-mario-odyssey"
    assert {child.tag: child.text for child in started}["gamesession"] == "1"
    [session] = world.park.wolf("machine-1").sessions.values()
    assert world.machine("machine-1").containers.find(session.container or "").image == image


async def test_a_save_that_others_packed_is_restored_too(world: World) -> None:
    address = await world.rented("machine-1")

    files = await world.machines.restore_saves(address, replace(SLOT, user_id="developer"))

    assert files == 2


async def launched(world: World, machine_id: str, report: ProgressCallback) -> Address:
    """The six steps of a launch on a machine, each asked again while it is not ready."""
    address = await world.rented(machine_id)
    game = await world.library.find(ConsoleType.SWITCH, "mario-odyssey")
    assert game is not None
    to_play = GameToPlay(CONSOLES[game.console], game.game_id, game.title, game.rom_path, SLOT.user_id)
    address = replace(address, ssh_host_key=await patiently(lambda: world.machines.read_host_key(address)))
    pinned = address
    await patiently(lambda: world.machines.install(pinned, TAG, report))
    await patiently(lambda: world.machines.mount_library(pinned))
    await patiently(lambda: world.machines.restore_saves(pinned, SLOT))
    await patiently(lambda: world.machines.configure_game(pinned, to_play))
    await patiently(lambda: world.machines.verify_stream(pinned))
    return pinned


async def play(world: World, machine_id: str, address: Address) -> None:
    wolf = world.park.wolf(machine_id)
    wolf.begin_pairing(pin="4821")
    await world.machines.pair(address, "4821", SLOT.user_id)
    session = await wolf.begin_session(title="SWITCH-mario-odyssey")
    files = world.machine(machine_id).root_files
    files.mkdir(f"{session.home}/{SAVE}".rpartition("/")[0], parents=True)
    files.write(f"{session.home}/{SAVE}", "three moons")
    assert (await world.machines.activity(address)).in_use


async def patiently(step: Callable[[], Awaitable[object]]) -> str:
    """As an engine repeats an activity."""
    for _ in range(100):
        try:
            return str(await step())
        except ProviderBusyError as error:
            last = error
    raise last
