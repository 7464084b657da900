"""Prepared disk images: the machine that one is made from, and what becomes of it, whatever fails."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from temporalio.testing import ActivityEnvironment

from errors import ProviderBusyError, ProviderError, ProviderRefusedError
from launch.golden_images import Google, ImageBuild, ImageBuilding
from models.catalog import CONSOLES, ConsoleType
from models.database import Database
from models.golden_images import BUILDER, GoldenImage, GoldenImages, location_of
from models.launches import Launch
from models.usage import UsageInterval
from models.vms import Vm, VmPlace, VmStatus
from models.warm_machines import WarmMachine, WarmStatus
from providers.base import Place, ProviderName
from providers.google.compute import GoogleServer
from providers.google.images import GoogleImage
from streaming.emulator_images import PinnedImage
from tests.fakes.cloud import site
from tests.fleet.warm_pool.pool import a_machine
from tests.gateway import a_vm
from tests.world import World

IOWA = replace(site("us-central1", Place("Council Bluffs", "Iowa", "United States")), provider=ProviderName.CLOUDYPAD)
BUILD = ImageBuild("us", "image:us:1")
PREFIX = "projects/p-1/global/images/"


class FakeGoogle:
    """Keeps launch.golden_images.Disks and Images. An image is ready at the second look."""

    def __init__(self) -> None:
        self.images: dict[str, GoogleImage] = {}
        self.sources: list[str] = []
        self.failures: list[ProviderError] = []
        self.broken = False

    async def server(self, name: str, zone: str, label: tuple[str, str]) -> GoogleServer | None:
        return GoogleServer(f"p-1/zones/z/instances/{name}", "TERMINATED", {}, "", (f"p-1/zones/z/disks/{name}",))

    async def create(self, name: str, source_disk: str, *, location: str, labels: dict[str, str]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sources.append(source_disk)
        made_at = datetime.now(UTC) + timedelta(seconds=len(self.images))
        self.images[name] = GoogleImage(name, f"{PREFIX}{name}", "PENDING", labels, made_at)

    async def get(self, name: str) -> GoogleImage | None:
        image = self.images.get(name)
        if image is not None:
            self.images[name] = replace(image, status="FAILED" if self.broken else "READY")
        return self.images.get(name) if self.broken else image

    async def list_labelled(self, key: str, value: str) -> list[GoogleImage]:
        return [image for image in self.images.values() if image.labels.get(key) == value]

    async def delete(self, name: str) -> None:
        self.images.pop(name, None)


class Built:
    def __init__(self, world: World) -> None:
        self.world = world
        self.google = FakeGoogle()
        world.google.stock = [IOWA]
        self.building = ImageBuilding(
            *(world.db, world.launches, world.fleet, world.streaming),
            *(Google(self.google, self.google, ("us",)), self._pin),
            poll_s=0.02,
        )

    async def _pin(self, image: str) -> PinnedImage:
        return PinnedImage(f"{image}@pinned")

    async def build(self, build: ImageBuild = BUILD) -> str:
        made: str = await ActivityEnvironment().run(self.building.build_image, build)
        return made

    async def end(self, build: ImageBuild = BUILD) -> None:
        await ActivityEnvironment().run(self.building.end_image_build, build)

    async def vm(self) -> Vm:
        (vm,) = await self.world.db.find(Vm, {"user_id": BUILDER})
        return vm


@pytest.fixture
async def built(world: World) -> Built:
    return Built(world)


async def test_an_image_is_made_of_a_metered_machine_that_is_deleted_afterwards(built: Built) -> None:
    path = await built.build()
    vm = await built.vm()
    assert vm.status is VmStatus.STOPPED
    await built.end()
    await built.end()  # by a worker that takes over

    recorded = await built.world.db.get(GoldenImage, "us")
    assert recorded is not None
    assert (path, recorded.image, recorded.problem) == (f"{PREFIX}gamer-main-{vm.id}", path, None)
    assert built.google.sources == [f"p-1/zones/z/disks/cloudypad-{vm.tag}"]
    (images,) = built.world.streaming.prepared
    assert images
    assert all(image.endswith("@pinned") for image in images)
    assert (await built.vm()).status is VmStatus.DELETED
    assert built.world.google.rented == {}
    intervals = await built.world.db.find(UsageInterval, {"vm_id": vm.id})
    assert intervals
    assert all(each.end is not None for each in intervals)


async def test_a_build_that_another_worker_repeats_makes_one_machine_and_one_image(built: Built) -> None:
    built.google.failures = [ProviderBusyError("Compute Engine did not respond in time")]
    with pytest.raises(ProviderBusyError):
        await built.build()

    first = await built.build()
    second = await built.build()

    assert first == second
    assert len(built.google.sources) == 1
    assert await built.world.db.count(Launch, {"user_id": BUILDER}) == 1
    assert built.world.google.ever_rented == 1


async def test_an_image_is_never_made_of_a_machine_of_the_warm_pool(built: Built) -> None:
    place = VmPlace(site_id="us-central1", city="Council Bluffs", latitude=41.26, longitude=-95.86)
    preset = CONSOLES[ConsoleType.GB].preset.name
    cheap = {"usd_per_hour": Decimal("0.1"), "usd_per_hour_stopped": Decimal("0.01")}
    ready = a_machine(status=WarmStatus.READY, provider=ProviderName.CLOUDYPAD, preset=preset, place=place, **cheap)
    await built.world.db.insert(ready)

    await built.build()

    assert await built.world.db.get(WarmMachine, ready.id) == ready
    assert ((await built.vm()).id == ready.id, built.world.google.ever_rented) == (False, 1)


async def test_an_image_that_google_does_not_make_leaves_no_machine_and_no_record(built: Built) -> None:
    built.google.broken = True

    with pytest.raises(ProviderRefusedError, match="Google did not make the image"):
        await built.build()
    await built.end()

    assert await built.world.db.get(GoldenImage, "us") is None
    assert built.world.google.rented == {}


async def test_a_build_that_never_rented_has_nothing_to_end(built: Built) -> None:
    await built.end()

    assert built.world.google.ever_rented == 0


async def test_a_location_that_is_not_wanted_costs_nothing(built: Built) -> None:
    assert await built.build(ImageBuild("eu", "image:eu:1")) == ""
    assert built.world.google.ever_rented == 0


@pytest.mark.parametrize(
    ("region", "location"),
    [
        *(("us-east4", "us"), ("southamerica-east1", "us"), ("europe-west4", "eu"), ("me-west1", "eu")),
        *(("africa-south1", "eu"), ("asia-south1", "asia"), ("australia-southeast1", "asia"), ("moon-1", None)),
    ],
)
def test_each_region_belongs_to_a_location(region: str, location: str | None) -> None:
    assert location_of(region) == location


async def test_an_image_is_used_while_it_is_young_and_works_and_not_for_making_the_next(db: Database) -> None:
    images = GoldenImages(db, timedelta(days=28))
    await db.insert(GoldenImage(id="us", image=f"{PREFIX}one", made_at=datetime.now(UTC) - timedelta(days=27)))
    await db.insert(GoldenImage(id="eu", image=f"{PREFIX}old", made_at=datetime.now(UTC) - timedelta(days=29)))
    await db.insert(a_vm("200000000000000001", BUILDER))

    assert await images.find("us-east4", "gamer-200000000000000009") == f"{PREFIX}one"
    assert await images.find("us-east4", "gamer-200000000000000001") is None
    assert await images.find("europe-west4", "gamer-200000000000000009") is None
    await images.record_problem(f"{PREFIX}one", "it was not found")
    assert await images.find("us-east4", "gamer-200000000000000009") is None
