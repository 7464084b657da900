"""Operators see the digests that launches use, and have them refreshed."""

from __future__ import annotations

from models.emulator_images import EmulatorImage
from tests.gateway import NOON, OPERATOR, GatewayWorld

RETROARCH = "ghcr.io/games-on-whales/retroarch:edge"
PEGASUS = "ghcr.io/games-on-whales/pegasus:edge"
DIGEST = f"sha256:{'1' * 64}"


async def test_images_are_listed_with_their_digests_and_problems(gateway: GatewayWorld) -> None:
    await gateway.db.insert(EmulatorImage(id=RETROARCH, digest=DIGEST, resolved_at=NOON, checked_at=NOON))

    images = (await gateway.data("EmulatorImages", OPERATOR))["emulatorImages"]

    assert [(one["image"], one["digest"], one["resolvedAt"]) for one in images] == [
        (PEGASUS, None, None),
        (RETROARCH, DIGEST, "2026-05-01T12:00:00.000Z"),
    ]


async def test_a_refresh_is_handed_to_a_worker_for_one_image_or_for_all(gateway: GatewayWorld) -> None:
    one = await gateway.data("RefreshEmulatorImages", OPERATOR, image=RETROARCH)
    every = await gateway.data("RefreshEmulatorImages", OPERATOR)

    assert one["refreshEmulatorImages"]["errors"] == every["refreshEmulatorImages"]["errors"] == []
    assert [image["image"] for image in one["refreshEmulatorImages"]["images"]] == [PEGASUS, RETROARCH]
    assert gateway.engine.refreshed == [RETROARCH, None]


async def test_an_image_that_is_not_configured_is_not_found(gateway: GatewayWorld) -> None:
    [error] = (await gateway.data("RefreshEmulatorImages", OPERATOR, image="me/other:1"))["refreshEmulatorImages"][
        "errors"
    ]

    assert (error["__typename"], error["path"]) == ("NotFound", ["input", "image"])
    assert gateway.engine.refreshed == []


async def test_without_temporal_the_refresh_is_unavailable(gateway: GatewayWorld) -> None:
    gateway.engine.away = True

    error = await gateway.error("RefreshEmulatorImages", OPERATOR)

    assert error["extensions"]["code"] == "UNAVAILABLE"
