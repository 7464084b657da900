"""`python -m launch.golden_images LOCATION`: prepared disk images at Google, made by a schedule and by this command.

An image is made from a machine of ours, which is rented by a launch as every other machine: recorded before it is
ordered, metered, and known to the sweeper. The workflow deletes it when the image is made or has failed, whatever
happened to the processes that worked on it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, TypeVar

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from billing.workflows import ensure_schedule
    from errors import GatewayError, InvalidStateError, ProviderBusyError, ProviderRefusedError
    from fleet.machine_operations import address_of
    from fleet.messages import Command
    from fleet.service import MachineService
    from fleet.unlimited_retries import ENDLESS
    from launch.orders import LaunchOrder
    from launch.service import LaunchService
    from models.catalog import ConsoleType, consoles
    from models.database import Database
    from models.golden_images import BUILDER, LOCATIONS, GoldenImage, location_of
    from models.launches import ENDED as LAUNCH_ENDED
    from models.launches import Launch, LaunchStatus
    from models.vms import ENDED, Vm, VmStatus
    from placement.coordinates import Position
    from providers.base import ProgressCallback, ProviderName, no_progress
    from providers.google.compute import GoogleServer
    from providers.google.images import FAILED, READY, GoogleImage
    from streaming.addresses import Address
    from streaming.emulator_images import PinnedImage

log = logging.getLogger(__name__)

T = TypeVar("T")

BUILD_IMAGES: Final = "BuildImages"
_RETRY: Final = RetryPolicy(initial_interval=timedelta(seconds=10), maximum_interval=timedelta(minutes=5))
_NEAR: Final = {"us": Position(41.26, -95.86), "eu": Position(53.44, 6.83), "asia": Position(24.05, 120.5)}
_HOURS: Final = 3.0
_KEPT: Final = 2  # machines may still be created from the previous image


class Disks(Protocol):
    """The part of providers.google.compute.ComputeEngine that building needs."""

    async def server(self, name: str, zone: str, label: tuple[str, str]) -> GoogleServer | None: ...


class Images(Protocol):
    """The part of providers.google.images.GoogleImages that building needs."""

    async def create(self, name: str, source_disk: str, *, location: str, labels: dict[str, str]) -> None: ...
    async def get(self, name: str) -> GoogleImage | None: ...
    async def list_labelled(self, key: str, value: str) -> list[GoogleImage]: ...
    async def delete(self, name: str) -> None: ...


class Preparing(Protocol):
    """The part of streaming.machine.StreamingMachines that building needs."""

    async def prepare_for_image(self, address: Address, images: Sequence[str], report: ProgressCallback) -> None: ...


@dataclass(frozen=True, slots=True)
class Google:
    """What building uses at Google, and the storage locations of the images that are wanted."""

    disks: Disks
    images: Images
    locations: Collection[str]


Pin = Callable[[str], Awaitable[PinnedImage]]


@dataclass(frozen=True, slots=True)
class ImageBuild:
    """Make an image for machines at this location. The same `key` uses the same machine."""

    location: str
    key: str


@dataclass(frozen=True, slots=True)
class ImageBuilds:
    """The locations to make images for; all that are configured if there are none."""

    locations: tuple[str, ...] = ()


class ImageBuilding:
    """The building of one image as an activity."""

    def __init__(
        self,
        db: Database,
        launches: LaunchService,
        machines: MachineService,
        streaming: Preparing,
        google: Google | None,
        pin: Pin,
        *,
        deployment: str = "main",
        poll_s: float = 2.0,
    ) -> None:
        """Set up the activity. Without `google`, and for other than its locations, nothing is built."""
        self._db = db
        self._launches = launches
        self._machines = machines
        self._streaming = streaming
        self._google = google
        self._pin = pin
        self._deployment = deployment
        self._poll_s = poll_s

    @activity.defn(name="build_image")
    async def build_image(self, build: ImageBuild) -> str:
        """Return the image's name at Google; nothing for a location that is not configured. May be repeated."""
        if self._google is None or build.location not in self._google.locations:
            return ""
        vm = await self._rent(build)
        image = await self._make(self._google, vm, build)
        await self._delete_older(self._google.images, build.location)
        return image

    @activity.defn(name="end_image_build")
    async def end_image_build(self, build: ImageBuild) -> None:
        """End the launch of a build if it still runs, and delete its machine until the cloud confirms it."""
        query = {"caller_id": BUILDER, "idempotency_key": build.key}
        for launch in await self._db.find(Launch, query, limit=1):
            if launch.status not in LAUNCH_ENDED:
                with contextlib.suppress(InvalidStateError):  # it has just ended
                    await self._launches.cancel(launch, "the disk image was not made in time")
            vm_id = (await self._until_ended(launch)).vm_id
            if vm_id is not None and (vm := await self._db.get(Vm, vm_id)) is not None:
                await self._delete(vm)

    async def _rent(self, build: ImageBuild) -> Vm:
        """Return the machine, set up in full by a launch."""
        order = LaunchOrder(
            caller_id=BUILDER,
            user_id=BUILDER,
            console=ConsoleType.GB,
            game_id=None,
            near=_NEAR[build.location],
            provider=ProviderName.CLOUDYPAD,
            idle_stop_minutes=int(_HOURS * 60),
            max_session_hours=_HOURS,
            idempotency_key=build.key,
        )
        launch = await self._until_ended(await self._launches.request(order))
        vm = None if launch.vm_id is None else await self._db.get(Vm, launch.vm_id)
        if launch.status is not LaunchStatus.READY or vm is None:
            raise ProviderRefusedError(f"the machine for a disk image was not set up: {launch.failure}")
        return vm

    async def _until_ended(self, launch: Launch) -> Launch:
        while launch.status not in LAUNCH_ENDED:
            await asyncio.sleep(self._poll_s)
            launch = await self._db.get(Launch, launch.id) or launch
        return launch

    async def _make(self, google: Google, vm: Vm, build: ImageBuild) -> str:
        if location_of(vm.place.site_id) != build.location:
            raise ProviderRefusedError(f"a machine in {vm.place.site_id} is not at the location {build.location}")
        name = f"gamer-{self._deployment}-{vm.id}"
        if await google.images.get(name) is None:
            await self._prepare(vm)
            server = await google.disks.server(
                f"cloudypad-{vm.tag}", f"{vm.place.site_id}-a", ("gamer_machine", vm.tag)
            )
            if server is None or not server.disks:
                raise ProviderRefusedError("Google does not know the disk for the image")
            labels = {"gamer_image": self._deployment, "gamer_location": build.location}
            await google.images.create(name, server.disks[0], location=build.location, labels=labels)
        image = await self._until_made(google.images, name)
        made = GoldenImage(
            id=build.location, image=image.path, host_key=vm.ssh_host_key, made_at=datetime.now(UTC), problem=None
        )
        await self._db.replace(made)
        return image.path

    async def _prepare(self, vm: Vm) -> None:
        """Prepare the machine's disk and stop it."""
        vm = await self._again(vm)
        if vm.status is VmStatus.RUNNING:
            names = {console.emulator.image for console in (await consoles(self._db)).values()}
            pinned = [(await self._pin(name)).name for name in sorted(names)]
            await self._streaming.prepare_for_image(address_of(vm), pinned, no_progress)
            await self._machines.command(vm, Command.STOP, "a disk image is made of it")
        await self._until(vm, {VmStatus.STOPPED})

    async def _until_made(self, images: Images, name: str) -> GoogleImage:
        while True:
            image = await images.get(name)
            if image is None or image.status == FAILED:
                raise ProviderRefusedError(f"Google did not make the image {name}")
            if image.status == READY:
                return image
            await asyncio.sleep(self._poll_s)

    async def _delete(self, vm: Vm) -> None:
        """Delete the machine, and wait until it has ended. Nobody plays on it, so no save is lost."""
        while (vm := await self._again(vm)).status not in ENDED:
            try:
                await self._machines.command(vm, Command.DELETE, "its disk image is made or failed", discard=True)
            except GatewayError as error:
                log.warning("failed to delete machine of an image", extra={"vm": vm.id, "why": error.message})
            await asyncio.sleep(self._poll_s)

    async def _delete_older(self, images: Images, location: str) -> None:
        ours = await images.list_labelled("gamer_image", self._deployment)
        here = [image for image in ours if image.labels.get("gamer_location") == location]
        oldest = datetime.min.replace(tzinfo=UTC)
        for image in sorted(here, key=lambda each: each.created_at or oldest, reverse=True)[_KEPT:]:
            await images.delete(image.name)

    async def _until(self, vm: Vm, statuses: set[VmStatus]) -> None:
        while (status := (await self._again(vm)).status) not in statuses:
            if status in ENDED or status is VmStatus.LOST:
                raise ProviderRefusedError(f"the machine for a disk image is {status}")
            await asyncio.sleep(self._poll_s)

    async def _again(self, vm: Vm) -> Vm:
        found = await self._db.get(Vm, vm.id)
        if found is None:
            raise ProviderBusyError(f"VM {vm.id} has no record")
        return found


_ALL: Final = ImageBuilds()


@workflow.defn(name=BUILD_IMAGES)
class BuildImagesWorkflow:
    """Makes the images one after another. One that fails does not stop the others."""

    @workflow.run
    async def run(self, wanted: ImageBuilds = _ALL) -> list[str]:
        made = [await self._build(location) for location in wanted.locations or LOCATIONS]
        return [image for image in made if image]

    async def _build(self, location: str) -> str:
        build = ImageBuild(location, f"image:{location}:{workflow.uuid4()}")
        try:
            return await self._run(ImageBuilding.build_image, build, timedelta(hours=_HOURS))
        except ActivityError:
            return ""
        finally:
            await self._run(ImageBuilding.end_image_build, build, ENDLESS)

    async def _run(
        self, work: Callable[[ImageBuilding, ImageBuild], Awaitable[T]], build: ImageBuild, time: timedelta
    ) -> T:
        result: T = await workflow.execute_activity_method(
            work,
            build,
            schedule_to_close_timeout=time,
            heartbeat_timeout=timedelta(seconds=30),
            retry_policy=_RETRY,
        )
        return result


async def ensure_build_schedule(client: Client, task_queue: str, every: timedelta) -> None:
    """Create the schedule that makes the images. Every worker may call it at every start."""
    await ensure_schedule(client, task_queue, BUILD_IMAGES, every)


def main() -> int:
    """Run the command and return the exit status."""
    from server import build_images_once, one_line_errors  # noqa: PLC0415 - by then it may

    parser = argparse.ArgumentParser(description="Make a prepared disk image at Google, with the running service.")
    parser.add_argument("location", choices=LOCATIONS, help="where machines are created from it")
    arguments = parser.parse_args()
    with one_line_errors():
        made = asyncio.run(build_images_once(arguments.location))
    print("\n".join(made) or "No image was made: see the service's log.")  # noqa: T201  (for the operator)
    return 0 if made else 1


if __name__ == "__main__":
    sys.exit(main())
