"""Subscribers that get the same answer share its execution; others never do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from auth.callers import Caller, Role
from models.launches import LaunchStatus
from schema.execution.requests import RequestFailedError
from schema.execution.shared_events import SerializedAnswer
from schema.ids import global_id
from tests.gateway import ANN, BOB, GatewayWorld, a_launch, an_event, gateway

__all__ = ["gateway"]

LAUNCH = "100000000000000001"
ID = global_id("Launch", LAUNCH)
SERVICE = Caller("desk", Role.SERVICE)
PLAIN = "subscription($launchId: ID!) { launchProgress(launchId: $launchId) { sequence message } }"
NESTED = "subscription($launchId: ID!) { launchProgress(launchId: $launchId) { sequence launch { status } } }"


async def answers_of(gateway: GatewayWorld, document: str, *callers: Caller) -> list[list[dict[str, Any]]]:
    """All answers of a launch of two events, for each of the subscribers that listen at the same time."""
    await gateway.db.insert(a_launch(LAUNCH))
    await gateway.db.insert(an_event(LAUNCH, 1))
    followed = [await gateway.follow(document, caller, launchId=ID) for caller in callers]
    first = await asyncio.gather(*(anext(each) for each in followed))
    await gateway.db.insert(an_event(LAUNCH, 2, status=LaunchStatus.CANCELLED))
    rest = await asyncio.gather(*(_rest(each) for each in followed))
    return [[begun, *others] for begun, others in zip(first, rest, strict=True)]


async def _rest(answers: AsyncGenerator[dict[str, Any], None]) -> list[dict[str, Any]]:
    return [answer async for answer in answers]


def serialisations(answers: list[list[dict[str, Any]]]) -> int:
    """How many times answers were serialised."""
    return len({id(one.json) for each in answers for one in each if isinstance(one, SerializedAnswer)})


async def test_an_event_is_serialised_once_for_all_subscribers_of_one_shape(gateway: GatewayWorld) -> None:
    answers = await answers_of(gateway, PLAIN, ANN, ANN, SERVICE, SERVICE)

    assert [one["data"]["launchProgress"]["sequence"] for one in answers[0]] == [1, 2]
    assert answers[1:] == answers[:1] * 3
    assert serialisations(answers) == 2


async def test_what_resolvers_add_is_shared_by_one_caller_alone(gateway: GatewayWorld) -> None:
    answers = await answers_of(gateway, NESTED, ANN, ANN, SERVICE)

    assert answers[0] == answers[1] == answers[2]
    assert serialisations(answers) == 4


async def test_a_subscriber_of_another_player_gets_nothing_of_a_shared_answer(gateway: GatewayWorld) -> None:
    await answers_of(gateway, PLAIN, ANN)

    with pytest.raises(RequestFailedError) as refused:
        await gateway.follow(PLAIN, BOB, launchId=ID)

    assert refused.value.faults[0]["extensions"]["code"] == "NOT_FOUND"


async def test_documents_of_other_shapes_do_not_share(gateway: GatewayWorld) -> None:
    other = PLAIN.replace("message", "progress")
    await gateway.db.insert(a_launch(LAUNCH))
    await gateway.db.insert(an_event(LAUNCH, 1, status=LaunchStatus.CANCELLED))

    one = await _rest(await gateway.follow(PLAIN, launchId=ID))
    two = await _rest(await gateway.follow(other, launchId=ID))

    assert set(one[0]["data"]["launchProgress"]) == {"sequence", "message"}
    assert set(two[0]["data"]["launchProgress"]) == {"sequence", "progress"}
