"""A digest that its registry removed is replaced by what the image's tag stands for now."""

from __future__ import annotations

from dataclasses import replace

import pytest
from temporalio.testing import ActivityEnvironment

from errors import ImageMissingError
from launch.game_source import GameSource
from launch.messages import StepInput
from launch.setup_activities import SetupActivities
from models.emulator_images import EmulatorImage
from streaming.emulator_images import EmulatorImages
from tests.fakes.games import FakeGames
from tests.world import World

pytestmark = pytest.mark.test_server

TAG = "ghcr.io/games-on-whales/pegasus:edge"
REMOVED, PRESENT = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
MISSING = ImageMissingError("the emulator's image is missing from its registry")


class Registry:
    async def digest(self, image: str) -> str:
        return PRESENT


async def steps_of(world: World, registry: Registry | None) -> SetupActivities:
    await world.db.insert(EmulatorImage(id=TAG, digest=REMOVED))
    games = GameSource(world.db, FakeGames(), EmulatorImages(world.db, registry))
    return SetupActivities(world.db, world.streaming, games, world.registry)


def environment_of(world: World) -> ActivityEnvironment:
    environment = ActivityEnvironment(world.client)
    environment.info = replace(environment.info, workflow_id="launch-1")
    return environment


async def test_a_removed_digest_is_replaced_where_the_image_is_pulled_and_configured(world: World) -> None:
    vm = await world.machine()
    steps, on = await steps_of(world, Registry()), StepInput(vm.launch_id, vm.id)
    world.streaming.failures["pull_image"] = [MISSING]

    done = await environment_of(world).run(steps.pull_image, on)
    await world.db.update(EmulatorImage, {"_id": TAG}, {"$set": {"digest": REMOVED}})
    world.streaming.failures["configure_game"] = [MISSING]
    await environment_of(world).run(steps.configure_game, on)

    image = f"ghcr.io/games-on-whales/pegasus@{PRESENT}"
    assert (done.message, world.streaming.pulled[-1]) == ("The emulator is on the machine", image)
    assert world.streaming.configured[-1].console.emulator.image == image


async def test_an_image_that_is_missing_under_its_new_digest_too_is_refused(world: World) -> None:
    vm = await world.machine()
    steps = await steps_of(world, Registry())
    world.streaming.failures["pull_image"] = [MISSING, MISSING]

    with pytest.raises(ImageMissingError):
        await environment_of(world).run(steps.pull_image, StepInput(vm.launch_id, vm.id))


async def test_a_tag_without_a_digest_is_refused_at_once(world: World) -> None:
    vm = await world.machine()
    steps, pulls = await steps_of(world, None), world.streaming.calls["pull_image"]
    world.streaming.failures["pull_image"] = [MISSING]

    with pytest.raises(ImageMissingError):
        await environment_of(world).run(steps.pull_image, StepInput(vm.launch_id, vm.id))

    assert world.streaming.calls["pull_image"] == pulls + 1
