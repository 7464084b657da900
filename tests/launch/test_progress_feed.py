"""Following a launch: what was told, then what is told, whatever happens to the database or the follower."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from embedded.ports import free_port
from errors import UnavailableError
from launch.progress_feed import ProgressFeed
from models.database import Database
from models.launches import LaunchEvent, LaunchStatus
from tests.fault_proxy import Error, Fault, FaultProxy
from tests.servers import await_port

LAUNCH = "100000000000000001"


@pytest.fixture
async def feed(db: Database) -> AsyncIterator[ProgressFeed]:
    progress = ProgressFeed(db)
    yield progress
    await progress.close()


async def test_what_was_told_before_is_replayed_after_the_given_sequence(db: Database, feed: ProgressFeed) -> None:
    await tell(db, 1, 2, 3, last=4)

    events = await sequences(feed, after=2)

    assert events == [3, 4]


async def test_what_is_told_later_follows_the_replay_without_gap_or_repetition(
    db: Database, feed: ProgressFeed
) -> None:
    await tell(db, 1, 2)
    following = asyncio.create_task(sequences(feed))
    await until(lambda: feed.following and feed.followers == 1)

    await tell(db, 3, 4, last=5)

    assert await following == [1, 2, 3, 4, 5]


async def test_events_are_given_out_in_order_when_they_are_written_out_of_order(
    db: Database, feed: ProgressFeed
) -> None:
    await tell(db, 1)
    following = asyncio.create_task(sequences(feed))
    await until(lambda: feed.followers == 1)

    await tell(db, 3)
    await tell(db, last=4)
    await tell(db, 2)

    assert await following == [1, 2, 3, 4]


async def test_a_last_event_that_comes_while_the_record_is_read_is_told(db: Database, mongodb_uri: str) -> None:
    overtaken = OvertakenDatabase(mongodb_uri, db.name)
    feed = ProgressFeed(overtaken)

    assert await sequences(feed) == [1]

    await feed.close()
    await overtaken.close()


async def test_an_event_that_was_never_told_live_is_read_from_the_record(db: Database, feed: ProgressFeed) -> None:
    await tell(db, 1)
    following = asyncio.create_task(sequences(feed))
    await until(lambda: feed.followers == 1 and feed.following)

    await tell(db, 2, launch="somebody elses")
    await db.update(LaunchEvent, {"_id": "somebody elses:2"}, {"$set": {"launch_id": LAUNCH}})
    await tell(db, last=3)

    assert await following == [1, 2, 3]


async def test_a_break_that_cannot_be_gone_on_from_is_bridged_from_the_record(db: Database, mongodb_uri: str) -> None:
    breaking = BreakingDatabase(mongodb_uri, db.name)
    feed = ProgressFeed(breaking)
    await tell(db, 1)
    following = asyncio.create_task(sequences(feed))
    await until(lambda: breaking.stream.waiting)

    await tell(db, 2, last=3)
    breaking.stream.broken.set()

    assert await following == [1, 2, 3]
    await feed.close()
    await breaking.close()


async def broken_by(faults: FaultProxy, how: str) -> None:
    match how:
        case "connections reset between two reads":
            faults.reset_connections()
        case "a read that is reset":
            await faults.add(Fault("getMore", reset=True, times=1)).reached.wait()
        case "a read that is never answered":
            await faults.add(Fault("getMore", silent=True, times=1)).reached.wait()
        case "a history that is lost":
            lost = Error(286, "ChangeStreamHistoryLost", ["NonResumableChangeStreamError"])
            await faults.add(Fault("getMore", error=lost, times=1)).reached.wait()


@pytest.mark.parametrize(
    "how",
    [
        *("connections reset between two reads", "a read that is reset"),
        *("a read that is never answered", "a history that is lost"),
    ],
)
async def test_followers_miss_nothing_when_the_stream_breaks(
    db: Database, faulty_db: Database, faults: FaultProxy, how: str, forgotten_sockets: None
) -> None:
    await db.ensure_indexes([LaunchEvent])
    feed = ProgressFeed(faulty_db)
    await tell(db, 1)
    following = asyncio.create_task(sequences(feed))
    await until(lambda: feed.following and feed.followers == 1)

    await tell(db, 2)
    await asyncio.wait_for(broken_by(faults, how), 20)
    await tell(db, 3, 4)
    await broken_by(faults, "connections reset between two reads")
    await tell(db, last=5)

    assert await asyncio.wait_for(following, 40) == [1, 2, 3, 4, 5]
    await feed.close()


async def test_events_of_another_launch_are_not_told(db: Database, feed: ProgressFeed) -> None:
    following = asyncio.create_task(sequences(feed))
    await until(lambda: feed.followers == 1)

    await tell(db, 1, last=2, launch="100000000000000002")
    await tell(db, last=1)

    assert await following == [1]


@pytest.mark.parametrize("after", [2, 3, 99])
async def test_following_an_ended_launch_from_its_end_completes_at_once(
    db: Database, feed: ProgressFeed, after: int
) -> None:
    await tell(db, 1, last=2)

    assert await sequences(feed, after=after) == []


async def test_following_from_beyond_the_end_completes_when_the_launch_ends(db: Database, feed: ProgressFeed) -> None:
    await tell(db, 1)
    following = asyncio.create_task(sequences(feed, after=50))
    await until(lambda: feed.followers == 1)

    await tell(db, last=2)

    assert await following == []


async def test_many_followers_share_one_change_stream_and_leave_nothing_behind(
    db: Database, feed: ProgressFeed
) -> None:
    await tell(db, 1)
    followers = [asyncio.create_task(sequences(feed)) for _ in range(40)]
    await until(lambda: feed.followers == 40)
    streams = [task for task in asyncio.all_tasks() if task.get_name() == "feed of LaunchEvent"]

    await tell(db, 2, last=3)

    assert await asyncio.gather(*followers) == [[1, 2, 3]] * 40
    assert len(streams) == 1
    assert (feed.followers, feed.following) == (0, False)


async def test_a_follower_that_goes_away_in_the_middle_leaves_nothing_behind(db: Database, feed: ProgressFeed) -> None:
    await tell(db, 1)
    following = asyncio.create_task(sequences(feed))
    await until(lambda: feed.followers == 1)

    following.cancel()
    await asyncio.gather(following, return_exceptions=True)

    assert (feed.followers, feed.following) == (0, False)


async def test_the_change_stream_is_opened_again_for_the_next_follower(db: Database, feed: ProgressFeed) -> None:
    await tell(db, 1)
    async with aclosing(feed.follow(LAUNCH)) as first:
        await anext(first)

    following = asyncio.create_task(sequences(feed))
    await until(lambda: feed.followers == 1)
    await tell(db, last=2)

    assert await following == [1, 2]


async def test_a_follower_that_does_not_read_is_ended_and_the_others_are_not(db: Database) -> None:
    feed = ProgressFeed(db, backlog=3)
    await tell(db, 1)
    async with aclosing(feed.follow(LAUNCH)) as slow:
        await anext(slow)
        quick = asyncio.create_task(sequences(feed))
        await until(lambda: feed.followers == 2)

        for sequence in range(2, 9):
            await tell(db, sequence)
        await tell(db, last=9)

        assert await quick == list(range(1, 10))
        with pytest.raises(UnavailableError, match="read too slowly"):
            await anext(slow)
    await feed.close()


async def test_closing_the_feed_ends_its_followers(db: Database, feed: ProgressFeed) -> None:
    await tell(db, 1)
    following = asyncio.create_task(sequences(feed))
    await until(lambda: feed.followers == 1 and feed.following)

    await feed.close()

    with pytest.raises(UnavailableError):
        await following
    assert (feed.followers, feed.following) == (0, False)


async def test_no_database_is_told_within_seconds(db_away: Database) -> None:
    feed = ProgressFeed(db_away, patience_s=0.3)

    with pytest.raises(UnavailableError):
        await sequences(feed)

    assert feed.followers == 0
    await feed.close()


@pytest.mark.usefixtures("forgotten_sockets")
async def test_nothing_is_lost_or_doubled_when_the_database_is_killed_and_comes_back(tmp_path: Path) -> None:
    port = free_port()
    server = started_database(port, tmp_path)
    db = Database(f"mongodb://127.0.0.1:{port}", "killed", timeout_s=2)
    feed = ProgressFeed(db)
    try:
        await tell(db, 1, 2)
        following = asyncio.create_task(sequences(feed))
        await until(lambda: feed.followers == 1)
        await tell(db, 3)

        server.kill()
        server.wait()
        server = started_database(port, tmp_path)
        await tell(db, 4, 5, last=6)

        assert await asyncio.wait_for(following, 20) == [1, 2, 3, 4, 5, 6]
    finally:
        await feed.close()
        await db.close()
        server.kill()
        server.wait()


class OvertakenDatabase(Database):
    """The only event of a launch is written right after the record was first read."""

    def __init__(self, uri: str, name: str) -> None:
        super().__init__(uri, name)
        self._overtaken = False

    async def find(self, *args: Any, **kwargs: Any) -> list[Any]:
        found = await super().find(*args, **kwargs)
        if not self._overtaken:
            self._overtaken = True
            await tell(self, last=1)
        return found


class DeafStream:
    """A change stream that tells nothing and then breaks, leaving no place to go on from."""

    alive = True
    resume_token = None

    def __init__(self) -> None:
        self.waiting = False
        self.broken = asyncio.Event()

    async def try_next(self) -> None:
        self.waiting = True
        await self.broken.wait()
        raise UnavailableError("the stream broke")


class BreakingDatabase(Database):
    """Its first change stream is deaf."""

    def __init__(self, uri: str, name: str) -> None:
        super().__init__(uri, name)
        self.stream = DeafStream()

    @asynccontextmanager
    async def watch(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        if not self.stream.waiting:
            yield self.stream
            return
        async with super().watch(*args, **kwargs) as stream:
            yield stream


def started_database(port: int, folder: Path) -> subprocess.Popen[bytes]:
    program = str(Path(sys.executable).with_name("secantusd-py"))
    arguments = ("--host", "127.0.0.1", "--port", str(port), "--storage-path", str(folder), "--sync-on-commit")
    server = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    await_port(port, server)
    return server


async def sequences(feed: ProgressFeed, after: int = 0) -> list[int]:
    async with aclosing(feed.follow(LAUNCH, after)) as events:
        return [event.sequence async for event in events]


async def tell(db: Database, *numbers: int, last: int | None = None, launch: str = LAUNCH) -> None:
    for number in [*numbers, *([last] if last else [])]:
        await db.insert(
            LaunchEvent(
                id=f"{launch}:{number}",
                launch_id=launch,
                sequence=number,
                at=datetime.now(UTC),
                status=LaunchStatus.READY if number == last else LaunchStatus.RUNNING,
                progress=number / 100,
                message=f"event {number}",
            )
        )


async def until(holds: Callable[[], bool], within_s: float = 5) -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)
