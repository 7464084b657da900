"""Requests as clients of the earlier REST API send them: other spellings of names, and enum values in lower case."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from auth.callers import Caller
from models.launches import Launch
from tests.gateway import OPERATOR, SERVICE, GatewayWorld, token
from web.rest_names import spellings

DALLAS = {"user_latitude": 32.7767, "user_longitude": -96.7970}


def client_of(caller: Caller, served: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(f"http://{served}", headers={"Authorization": f"Bearer {token(caller)}"})


@pytest.fixture
async def service(served: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_of(SERVICE, served) as session:
        yield session


@pytest.fixture
async def operator(served: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_of(OPERATOR, served) as session:
        yield session


async def asked(http: aiohttp.ClientSession, method: str, path: str, **how: Any) -> tuple[int, Any]:
    async with http.request(method, path, **how) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("path", ["/launch/game", "/launch"])
async def test_a_launch_is_ordered_in_the_words_of_the_earlier_api(
    gateway: GatewayWorld, service: aiohttp.ClientSession, path: str
) -> None:
    order = {"console_type": "switch", "game_id": "mario-odyssey", "user_id": "user123", **DALLAS}

    status, told = await asked(service, "POST", path, json=order)

    (launch,) = await gateway.db.find(Launch, {})
    assert (status, told["launchGame"]["errors"]) == (200, [])
    assert (launch.user_id, launch.game_id, launch.console) == ("user123", "mario-odyssey", "SWITCH")
    assert (launch.latitude, launch.longitude) == (32.7767, -96.797)


async def test_the_closest_hosts_are_asked_for_in_the_words_of_the_earlier_api(ann: aiohttp.ClientSession) -> None:
    path = "/launch/hostnodes/closest"
    earlier = {"user_latitude": "32.7767", "user_longitude": "-96.7970", "console_type": "switch", "limit": "5"}
    ours = {"latitude": "32.7767", "longitude": "-96.7970", "console": "SWITCH", "limit": "5"}

    answers = [await asked(ann, "GET", path, params=parameters) for parameters in (earlier, ours)]

    assert [status for status, _ in answers] == [200, 200]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "path", ["/billing/costs/current-month", "/billing/alerts?daily_limit=50.0&monthly_limit=500.0"]
)
async def test_costs_and_alerts_are_asked_for_in_the_words_of_the_earlier_api(
    ann: aiohttp.ClientSession, path: str
) -> None:
    status, _ = await asked(ann, "GET", path)

    assert status == 200


@pytest.mark.parametrize(
    ("method", "path", "how", "names"),
    [
        ("GET", "/vms?userId=ann&user_id=bob", {}, ("userId", "user_id")),
        ("GET", "/launch/placements?console=nes&console_type=switch", {}, ("console", "console_type")),
        ("POST", "/launch", {"json": {"console": "nes", "gameId": "a", "game_id": "b"}}, ("gameId", "game_id")),
        (
            "POST",
            "/launch",
            {"json": {"console": "nes", "gameId": "a", "location": {"latitude": 1, "longitude": 1}, **DALLAS}},
            ("location", "user_latitude"),
        ),
    ],
)
async def test_two_names_with_different_values_are_refused_and_both_are_named(
    gateway: GatewayWorld,
    ann: aiohttp.ClientSession,
    method: str,
    path: str,
    how: dict[str, Any],
    names: tuple[str, str],
) -> None:
    status, told = await asked(ann, method, path, **how)

    (problem,) = told["errors"]
    assert (status, problem["code"], problem["field"]) == (400, "BAD_USER_INPUT", names[0])
    assert all(name in problem["message"] for name in names)
    assert await gateway.db.find(Launch, {}) == []


async def test_two_names_with_the_same_value_are_one(ann: aiohttp.ClientSession) -> None:
    status, _ = await asked(ann, "GET", "/vms?userId=ann&user_id=ann")

    assert status == 200


async def test_values_in_lists_and_nested_fields_are_read_alike(operator: aiohttp.ClientSession) -> None:
    changes = {
        "idle_stop_minutes": 20,
        "providers": [{"provider": "tensordock", "enabled": True, "max_hourly_price": "2.50"}],
    }

    status, told = await asked(operator, "PUT", "/config/consoles/nes", json=changes)

    assert status == 200, told
    assert told["configureConsole"]["console"]["idleStopMinutes"] == 20


async def test_an_unknown_field_is_named_as_it_was_sent(ann: aiohttp.ClientSession) -> None:
    status, told = await asked(ann, "POST", "/launch", json={"console": "nes", "game_id": "a", "favourite_colour": 1})

    assert (status, told["errors"][0]["field"]) == (400, "favourite_colour")


def test_the_spellings_of_a_name() -> None:
    assert spellings("maxHourlyPrice") == ("maxHourlyPrice", "max_hourly_price")
    assert spellings("console") == ("console", "console_type")
    assert spellings("limit") == ("limit",)
