"""A crowd that asks at the same moment: everyone is answered, in few calls, on few connections."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from pymongo import monitoring

from auth.rate_limits import RequestRate
from launch.progress_feed import ProgressFeed
from models.api_keys import ApiKey
from models.database import Database
from models.launches import Launch, LaunchEvent, LaunchStatus
from models.rate_counters import RateWindow
from tests.gateway import a_launch, an_event

PEOPLE = 300
LAUNCH = "100000000000000001"


class Traffic(monitoring.CommandListener):
    """The commands of clients that are made while it is registered, and how many were under way at most."""

    def __init__(self) -> None:
        self.counted: Counter[str] | None = None
        self.under_way = self.most = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if self.counted is not None:
            self.counted[event.command_name] += 1
            self.under_way += 1
            self.most = max(self.most, self.under_way)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self.under_way -= self.counted is not None

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self.under_way -= self.counted is not None


TRAFFIC = Traffic()
monitoring.register(TRAFFIC)  # for clients that are made from now on; there is no way back, so it is deaf by default


@pytest.fixture
async def watched(mongodb_uri: str) -> AsyncIterator[Database]:
    database = Database(mongodb_uri, f"test_{secrets.token_hex(6)}", timeout_s=30)
    await database.ensure_indexes([Launch, LaunchEvent, RateWindow, ApiKey])
    await database.insert_many([an_event(LAUNCH, 1), an_event(LAUNCH, 2, LaunchStatus.READY)])
    await database.insert_many([a_launch(str(number)) for number in range(PEOPLE)])
    TRAFFIC.counted, TRAFFIC.under_way, TRAFFIC.most = Counter(), 0, 0
    yield database
    TRAFFIC.counted = None
    await database.drop()
    await database.close()


def counted() -> Counter[str]:
    assert TRAFFIC.counted is not None
    return TRAFFIC.counted


async def test_reads_are_all_answered_and_few_are_under_way_at_once(watched: Database) -> None:
    asked = [watched.find_one(Launch, {"user_id": "ann", "_id": str(number)}) for number in range(PEOPLE)]

    found = await asyncio.gather(*asked)

    assert [launch and launch.id for launch in found] == [str(number) for number in range(PEOPLE)]
    assert TRAFFIC.most <= 32


async def test_reads_by_id_are_made_together(watched: Database) -> None:
    found = await asyncio.gather(*(watched.get(Launch, str(number)) for number in range(PEOPLE)))

    assert [launch and launch.id for launch in found] == [str(number) for number in range(PEOPLE)]
    assert counted() == {"find": 3}


async def test_one_document_is_read_once_for_all(watched: Database) -> None:
    found = await asyncio.gather(*(watched.get(Launch, "7") for _ in range(PEOPLE)))

    assert {launch.id for launch in found if launch} == {"7"}
    assert len({id(launch) for launch in found}) == PEOPLE
    assert counted() == {"find": 1}


async def test_the_story_of_a_launch_is_read_once_for_all_who_begin_to_follow_it_together(watched: Database) -> None:
    feed = ProgressFeed(watched)

    async def told() -> list[int]:
        return [event.sequence async for event in feed.follow(LAUNCH)]

    stories = await asyncio.gather(*(told() for _ in range(PEOPLE)))
    await feed.close()

    assert stories == [[1, 2]] * PEOPLE
    assert counted()["find"] <= 3


async def test_a_minute_of_many_callers_is_counted_in_few_transactions(watched: Database) -> None:
    rate = RequestRate(watched, per_minute=20, now=lambda: 600.0)

    await asyncio.gather(*(rate.admit(f"player-{number}") for number in range(PEOPLE)))

    windows = await watched.find(RateWindow, {})
    assert {window.id: window.count for window in windows} == {f"10:player-{number}": 1 for number in range(PEOPLE)}
    assert counted()["update"] <= 4
    assert counted()["findAndModify"] == 0


async def test_followers_of_many_launches_that_begin_at_once_share_commands(watched: Database) -> None:
    await watched.insert_many([an_event(str(number), 1, LaunchStatus.READY) for number in range(50)])
    assert TRAFFIC.counted is not None
    TRAFFIC.counted.clear()
    feed = ProgressFeed(watched, patience_s=30)

    followed = await asyncio.gather(*(_events(feed, str(number % 50)) for number in range(PEOPLE)))

    assert followed == [[(str(number % 50), 1)] for number in range(PEOPLE)]
    assert TRAFFIC.counted["find"] == 2
    await feed.close()


async def _events(feed: ProgressFeed, launch_id: str) -> list[tuple[str, int]]:
    return [(event.launch_id, event.sequence) async for event in feed.follow(launch_id)]
