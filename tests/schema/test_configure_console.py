"""Operators change consoles: what is changed, what is refused, and what the trail says of both."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from auth.callers import Caller
from models.audit import AuditEntry
from models.catalog import ConsoleSettings
from streaming.name_checks import validate_image
from tests.gateway import ANN, DALLAS, OPERATOR, SERVICE, GatewayWorld

IMAGES = (
    "ghcr.io/games-on-whales/retroarch:edge",
    "registry.example.com:5000/emulators/switch_player:1.2.3",
    "me/emulator@sha256:" + "0" * 64,
)
NO_IMAGES = (
    *("", "retroarch", "Ghcr.io/me/x", "ghcr.io//x", "ghcr.io/me/x:", "ghcr.io/me/../x", "/etc/passwd", "me/x y"),
    *(
        "me/x;reboot",
        "me/x$(reboot)",
        "me/x\n",
        'me/x"',
        "me/x:tag:tag",
        "me/x@sha256:12",
        "http://me/x",
        "me/" + "x" * 200,
    ),
)


async def configured(gateway: GatewayWorld, caller: Caller = OPERATOR, **changes: Any) -> dict[str, Any]:
    answer = await gateway.data("ConfigureConsole", caller, input={"console": "SWITCH", **changes})
    payload: dict[str, Any] = answer["configureConsole"]
    return payload


async def test_what_is_given_is_changed_and_the_rest_stays(gateway: GatewayWorld) -> None:
    preferences = [
        {"provider": "CLOUDYPAD", "enabled": True, "maxHourlyPrice": "2.50"},
        {"provider": "TENSORDOCK", "enabled": False},
    ]

    await configured(gateway, preset="ADVANCED", emulatorImage=IMAGES[1], providers=preferences)
    console = (await configured(gateway, maxSessionHours=4, idleStopMinutes=15))["console"]

    assert (console["preset"]["name"], console["emulator"]["image"]) == ("ADVANCED", IMAGES[1])
    assert (console["maxSessionHours"], console["idleStopMinutes"]) == (4, 15)
    assert [(p["provider"], p["enabled"]) for p in console["providers"]] == [("CLOUDYPAD", True), ("TENSORDOCK", False)]
    assert Decimal(console["providers"][0]["maxHourlyPrice"]) == Decimal("2.50")


async def test_launches_follow_it(gateway: GatewayWorld) -> None:
    await configured(gateway, providers=[{"provider": "CLOUDYPAD", "enabled": True}])

    placements = (await gateway.data("Placements", console="SWITCH", **{"from": DALLAS}))["placements"]

    assert placements == []


@pytest.mark.parametrize("image", IMAGES)
async def test_what_is_taken_for_an_image_can_be_put_on_a_machine(gateway: GatewayWorld, image: str) -> None:
    payload = await configured(gateway, emulatorImage=image)

    assert payload["console"]["emulator"]["image"] == validate_image(image)


@pytest.mark.parametrize("image", NO_IMAGES)
async def test_what_is_no_image_is_refused(gateway: GatewayWorld, image: str) -> None:
    await refused(gateway, ["input", "emulatorImage"], emulatorImage=image)


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        (["maxSessionHours"], {"maxSessionHours": 0}),
        (["maxSessionHours"], {"maxSessionHours": 24.5}),
        (["idleStopMinutes"], {"idleStopMinutes": 0}),
        (["idleStopMinutes"], {"idleStopMinutes": 1441}),
        (["providers"], {"providers": []}),
        (["providers"], {"providers": [{"provider": "TENSORDOCK", "enabled": False}]}),
        (["providers"], {"providers": [{"provider": "TENSORDOCK", "enabled": True}] * 2}),
        (
            ["providers", "0", "maxHourlyPrice"],
            {"providers": [{"provider": "TENSORDOCK", "enabled": True, "maxHourlyPrice": "-1"}]},
        ),
    ],
)
async def test_what_is_out_of_bounds_is_refused(
    gateway: GatewayWorld, path: list[str], changes: dict[str, Any]
) -> None:
    await refused(gateway, ["input", *path], **changes)


async def refused(gateway: GatewayWorld, path: list[str], **changes: Any) -> None:
    payload = await configured(gateway, **changes)

    (error,) = payload["errors"]
    assert (payload["console"], error["__typename"], error["path"]) == (None, "InvalidInput", path)
    assert await gateway.db.count(ConsoleSettings, {}) == 0


@pytest.mark.parametrize("caller", [ANN, SERVICE])
async def test_only_operators_may_and_the_attempt_is_in_the_audit_log(gateway: GatewayWorld, caller: Caller) -> None:
    error = await gateway.error("ConfigureConsole", caller, input={"console": "SWITCH", "idleStopMinutes": 5})

    assert error["extensions"]["code"] == "FORBIDDEN"
    assert await gateway.db.count(ConsoleSettings, {}) == 0
    (entry,) = await gateway.db.find(AuditEntry, {})
    assert (entry.actor_id, entry.action, entry.outcome) == (caller.id, "configureConsole", "DENIED")


async def test_the_audit_log_says_who_changed_what(gateway: GatewayWorld) -> None:
    await configured(gateway, idleStopMinutes=15, providers=[{"provider": "TENSORDOCK", "enabled": True}])

    (entry,) = await gateway.db.find(AuditEntry, {})
    assert (entry.actor_id, entry.action, entry.subject_id, entry.outcome) == (
        "olga",
        "configureConsole",
        "SWITCH",
        "DONE",
    )
    assert entry.detail == "providers=TENSORDOCK, idle_stop_minutes=15"
