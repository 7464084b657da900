"""A console whose emulator image starts none of its games says so before and with a launch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from billing.limits import SpendingLimits
from launch.service import LaunchService
from models.catalog import CONSOLES, ConsoleType, Emulator, repository_of
from models.launches import Launch
from tests.gateway import DALLAS, OPERATOR, GatewayWorld

REASON = (
    "No emulator is configured for Nintendo Switch: ghcr.io/games-on-whales/pegasus opens a menu and starts none of "
    "its games"
)
SWITCH = {"console": "SWITCH", "gameId": "mario-odyssey"}
OWN_IMAGE = "registry.example.com/emulators/switch:1.0"


async def launched(gateway: GatewayWorld, **changes: Any) -> dict[str, Any]:
    answer = await gateway.data("LaunchGame", input={**SWITCH, **changes})
    payload: dict[str, Any] = answer["launchGame"]
    return payload


def refusing(gateway: GatewayWorld) -> None:
    """The gateway as it is with REFUSE_UNPLAYABLE."""
    services = gateway.services
    launches = LaunchService(
        services.db,
        gateway.engine,
        services.registry,
        services.placements,
        gateway.library,
        SpendingLimits(services.db),
        refuse_unplayable=True,
    )
    gateway.services = replace(services, launches=launches)


async def test_two_consoles_are_not_playable_until_an_image_is_configured(gateway: GatewayWorld) -> None:
    before = (await gateway.data("Consoles"))["consoles"]
    await gateway.data("ConfigureConsole", OPERATOR, input={"console": "SWITCH", "emulatorImage": OWN_IMAGE})
    after = (await gateway.data("Consoles"))["consoles"]

    assert [one["type"] for one in before if not one["playable"]] == ["N3DS", "SWITCH"]
    assert [one["type"] for one in after if not one["playable"]] == ["N3DS"]


async def test_every_placement_names_the_reason(gateway: GatewayWorld) -> None:
    switch = (await gateway.data("Placements", console="SWITCH", **{"from": DALLAS}))["placements"]
    wii = (await gateway.data("Placements", console="WII", **{"from": DALLAS}))["placements"]

    assert [one["reasons"][-1] for one in switch] == [REASON, REASON]
    assert [reason for one in wii for reason in one["reasons"] if "emulator" in reason] == []


async def test_a_launch_is_accepted_with_a_warning(gateway: GatewayWorld) -> None:
    payload = await launched(gateway)
    playable = await launched(gateway, console="SNES", gameId="zelda")

    assert (payload["errors"], payload["launch"]["warning"]) == ([], REASON)
    assert playable["launch"]["warning"] is None


async def test_a_machine_without_a_game_has_no_warning(gateway: GatewayWorld) -> None:
    answer = await gateway.data("CreateVm", input={"console": "SWITCH"})

    [launch] = await gateway.db.find(Launch, {})
    assert answer["createVm"]["errors"] == []
    assert launch.warning is None


async def test_where_it_is_so_configured_the_launch_is_refused_and_nothing_is_written(gateway: GatewayWorld) -> None:
    refusing(gateway)

    [error] = (await launched(gateway))["errors"]
    written = await gateway.db.count(Launch, {})
    playable = await launched(gateway, console="SNES", gameId="zelda")

    assert (error["__typename"], error["path"], error["message"]) == ("InvalidInput", ["input", "console"], REASON)
    assert written == 0
    assert playable["errors"] == []


@pytest.mark.parametrize(
    ("image", "core", "playable"),
    [
        ("ghcr.io/games-on-whales/pegasus:edge", None, False),
        (f"ghcr.io/games-on-whales/pegasus@sha256:{'0' * 64}", None, False),
        ("ghcr.io/games-on-whales/retroarch:edge", None, False),
        ("ghcr.io/games-on-whales/retroarch:edge", "citra", True),
        ("ghcr.io/games-on-whales/pegasus-with-azahar:1", None, True),
        ("localhost:5000/azahar", None, True),
    ],
)
def test_what_an_image_starts_depends_on_its_repository_and_core(image: str, core: str | None, playable: bool) -> None:
    console = replace(CONSOLES[ConsoleType.N3DS], emulator=Emulator("Some", image, ("3ds",), "n3ds", core))

    assert (console.unplayable_reason is None) is playable


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("ghcr.io/me/x:edge", "ghcr.io/me/x"),
        (f"ghcr.io/me/x:edge@sha256:{'0' * 64}", "ghcr.io/me/x"),
        ("localhost:5000/x", "localhost:5000/x"),
        ("localhost:5000/x:1", "localhost:5000/x"),
    ],
)
def test_the_repository_of_an_image_has_neither_tag_nor_digest(image: str, repository: str) -> None:
    assert repository_of(image) == repository
