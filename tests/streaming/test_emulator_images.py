"""Digests of emulator images: when they move, and what is used without one."""

from __future__ import annotations

import pytest

from errors import ProviderBusyError, ProviderError
from models.catalog import ConsoleSettings, ConsoleType
from models.database import Database
from models.emulator_images import EmulatorImage
from streaming.emulator_images import EmulatorImages, PinnedImage

IMAGE = "ghcr.io/games-on-whales/retroarch:edge"
PEGASUS = "ghcr.io/games-on-whales/pegasus:edge"
FIRST, SECOND = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


class Registry:
    def __init__(self) -> None:
        self.digests: dict[str, str] = {IMAGE: FIRST, PEGASUS: FIRST}
        self.failure: ProviderError | None = None
        self.asked: list[str] = []

    async def digest(self, image: str) -> str:
        self.asked.append(image)
        if self.failure is not None:
            raise self.failure
        return self.digests[image]


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def images(db: Database, registry: Registry) -> EmulatorImages:
    return EmulatorImages(db, registry)


def pinned(digest: str) -> PinnedImage:
    return PinnedImage(f"ghcr.io/games-on-whales/retroarch@{digest}")


async def test_a_tag_is_resolved_once_and_used_until_a_refresh_moves_it(
    images: EmulatorImages, registry: Registry
) -> None:
    first = await images.pinned(IMAGE)
    registry.digests[IMAGE] = SECOND
    later = await images.pinned(IMAGE)
    asked = list(registry.asked)
    await images.refresh()

    assert (first, later, asked) == (pinned(FIRST), pinned(FIRST), [IMAGE])
    assert await images.pinned(IMAGE) == pinned(SECOND)


async def test_without_a_digest_the_tag_is_used_and_says_so(images: EmulatorImages, registry: Registry) -> None:
    registry.failure = ProviderBusyError("ghcr.io allows no more requests for now")

    assert await images.pinned(IMAGE) == PinnedImage(
        IMAGE, "Its tag is used, because its digest is not known: ghcr.io allows no more requests for now"
    )


async def test_a_registry_that_does_not_answer_leaves_the_digest_as_it_is(
    images: EmulatorImages, registry: Registry, db: Database
) -> None:
    [_, before] = await images.refresh()
    registry.failure = ProviderBusyError("no connection")

    [_, after] = await images.refresh()

    assert (after.digest, after.resolved_at, after.problem) == (FIRST, before.resolved_at, "no connection")
    assert after.checked_at != before.checked_at
    assert await images.pinned(IMAGE) == pinned(FIRST)


async def test_the_time_of_a_digest_is_that_of_its_first_sight(images: EmulatorImages, registry: Registry) -> None:
    first = await images.refresh_one(IMAGE)
    same = await images.refresh_one(IMAGE)
    registry.digests[IMAGE] = SECOND
    moved = await images.refresh_one(IMAGE)

    assert first.resolved_at == same.resolved_at
    assert moved.resolved_at != same.resolved_at
    assert (moved.digest, moved.problem) == (SECOND, None)


async def test_a_digest_that_its_registry_removed_is_replaced_for_all_launches(
    images: EmulatorImages, registry: Registry
) -> None:
    missing = await images.pinned(IMAGE)
    registry.digests[IMAGE] = SECOND

    assert await images.replace_missing(IMAGE, missing.name) == pinned(SECOND)
    assert await images.pinned(IMAGE) == pinned(SECOND)


@pytest.mark.parametrize(
    ("failure", "why"), [(ProviderBusyError("no connection"), "no connection"), (None, "no other digest is known")]
)
async def test_without_another_digest_the_tag_replaces_one_that_its_registry_removed(
    images: EmulatorImages, registry: Registry, failure: ProviderError | None, why: str
) -> None:
    missing = await images.pinned(IMAGE)
    registry.failure = failure

    assert await images.replace_missing(IMAGE, missing.name) == PinnedImage(
        IMAGE, f"Its tag is used, because its digest is missing from the registry: {why}"
    )


async def test_an_image_that_is_configured_by_its_digest_is_not_replaced(images: EmulatorImages) -> None:
    assert await images.replace_missing(f"{IMAGE}@{FIRST}", f"{IMAGE}@{FIRST}") == PinnedImage(f"{IMAGE}@{FIRST}")


async def test_an_image_that_is_configured_by_its_digest_is_used_as_it_is(
    images: EmulatorImages, registry: Registry
) -> None:
    image = f"registry.example.com/switch@{FIRST}"

    assert await images.pinned(image) == PinnedImage(image)
    assert registry.asked == []


async def test_all_images_of_the_catalog_are_refreshed_those_of_operators_too(
    images: EmulatorImages, registry: Registry, db: Database
) -> None:
    own = "registry.example.com/switch:1"
    registry.digests[own] = SECOND
    await db.insert(ConsoleSettings(id=ConsoleType.SWITCH, emulator_image=own))
    await db.insert(ConsoleSettings(id=ConsoleType.N3DS, emulator_image=f"me/azahar@{FIRST}"))

    before = [(image.id, image.digest) for image in await images.known()]
    after = [(image.id, image.digest) for image in await images.refresh()]

    assert before == [(PEGASUS, None), (IMAGE, None), (own, None)]
    assert after == [(PEGASUS, FIRST), (IMAGE, FIRST), (own, SECOND)]
    assert await db.count(EmulatorImage, {}) == 3
