"""Pages by keyset give every document once, also when many are of the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from models.catalog import ConsoleType
from models.database import Database, Document
from models.launches import Launch, LaunchStatus
from models.pages import Mark, find_newest_first

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"user_id": "ann"},
        {"status": {"$in": [LaunchStatus.READY]}},
        {"user_id": "ann", "status": {"$in": [LaunchStatus.READY, LaunchStatus.FAILED]}},
    ],
)
@pytest.mark.parametrize("size", [1, 3, 100])
async def test_pages_give_every_matching_launch_once_newest_first(db: Database, query: Document, size: int) -> None:
    launches = await some_launches(db)

    listed = await all_pages(db, query, size)

    assert listed == [launch.id for launch in newest(launches) if matches(launch, query)]


async def test_a_launch_that_arrives_between_two_pages_moves_none(db: Database) -> None:
    launches = newest(await some_launches(db))
    first = await find_newest_first(db, Launch, {}, "requested_at", None, 4)
    await db.insert(a_launch(99, "ann", NOON + timedelta(hours=1), LaunchStatus.QUEUED))

    second = await find_newest_first(db, Launch, {}, "requested_at", mark(first[-1]), 4)

    assert [launch.id for launch in [*first, *second]] == [launch.id for launch in launches[:8]]


async def all_pages(db: Database, query: Document, size: int) -> list[str]:
    listed: list[str] = []
    after: Mark | None = None
    while page := await find_newest_first(db, Launch, query, "requested_at", after, size):
        listed += [launch.id for launch in page]
        after = mark(page[-1])
    return listed


async def some_launches(db: Database) -> list[Launch]:
    """Twelve launches at four moments, of two players, in three states."""
    states = [LaunchStatus.READY, LaunchStatus.FAILED, LaunchStatus.RUNNING]
    launches = [
        a_launch(n, "ann" if n % 2 else "bob", NOON + timedelta(milliseconds=n // 3), states[n % 3]) for n in range(12)
    ]
    for launch in launches:
        await db.insert(launch)
    return launches


def a_launch(number: int, user_id: str, at: datetime, status: LaunchStatus) -> Launch:
    return Launch(
        id=str(10**17 + number * 7919 % 100),
        caller_id=user_id,
        idempotency_key=str(number),
        user_id=user_id,
        console=ConsoleType.NES,
        idle_stop_minutes=30,
        max_session_hours=8,
        status=status,
        requested_at=at,
    )


def newest(launches: Sequence[Launch]) -> list[Launch]:
    return sorted(launches, key=lambda launch: (launch.requested_at, launch.id), reverse=True)


def matches(launch: Launch, query: Document) -> bool:
    return launch.user_id == query.get("user_id", launch.user_id) and (
        "status" not in query or launch.status in query["status"]["$in"]
    )


def mark(launch: Launch) -> Mark:
    return Mark(launch.requested_at, launch.id)
