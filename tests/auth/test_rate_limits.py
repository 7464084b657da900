from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest

from auth.rate_limits import MessageRate, RequestRate, SocketsPerCaller
from errors import LimitReachedError, UnavailableError
from models.database import Database, Document, M
from models.rate_counters import RateWindow, claim

MINUTE = 29_454_120  # some minute, since 1970


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(MINUTE * 60 + 15.0)


async def admitted(rate: RequestRate, requests: int, subject: str = "alice") -> int:
    passed = 0
    for _ in range(requests):
        try:
            await rate.admit(subject)
        except LimitReachedError:
            continue
        passed += 1
    return passed


async def counted(db: Database, subject: str = "alice") -> int:
    window = await db.get(RateWindow, f"{MINUTE}:{subject}")
    return window.count if window else 0


class TestRequests:
    @pytest.mark.parametrize("allowed", [1, 7, 100])
    async def test_as_many_as_allowed_pass_and_no_more(self, db: Database, clock: Clock, allowed: int) -> None:
        assert await admitted(RequestRate(db, allowed, now=clock), allowed + 30) == allowed

    async def test_the_refusal_says_what_is_allowed_and_when_to_come_again(self, db: Database, clock: Clock) -> None:
        rate = RequestRate(db, 1, now=clock)
        await rate.admit("alice")

        with pytest.raises(LimitReachedError) as refused:
            await rate.admit("alice")

        assert (refused.value.limit, refused.value.allowed, refused.value.retry_after_s) == ("requestsPerMinute", 1, 45)

    async def test_processes_share_the_limit(self, db: Database, clock: Clock) -> None:
        processes = [RequestRate(db, 100, now=clock) for _ in range(3)]

        passed = sum(await asyncio.gather(*(admitted(process, 100) for process in processes)))

        assert 95 <= passed <= 100

    async def test_a_process_that_holds_claims_takes_few_from_the_others(self, db: Database, clock: Clock) -> None:
        idle, busy = (RequestRate(db, 100, now=clock) for _ in range(2))
        await idle.admit("alice")

        assert 95 <= await admitted(busy, 100) < 100

    async def test_many_at_once_pass_as_often_as_allowed(self, db: Database, clock: Clock) -> None:
        rate = RequestRate(db, 40, now=clock)

        passed = await asyncio.gather(*(admitted(rate, 1) for _ in range(60)))

        assert sum(passed) == 40

    async def test_callers_do_not_share_a_limit(self, db: Database, clock: Clock) -> None:
        rate = RequestRate(db, 5, now=clock)
        await admitted(rate, 10)

        assert await admitted(rate, 10, "bob") == 5

    async def test_a_new_minute_is_a_new_count(self, db: Database, clock: Clock) -> None:
        rate = RequestRate(db, 5, now=clock)
        await admitted(rate, 10)
        clock.now += 45

        assert await admitted(rate, 10) == 5

    async def test_a_busy_caller_costs_few_writes(self, counting: CountingDatabase, clock: Clock) -> None:
        await admitted(RequestRate(counting, 600, now=clock), 300)

        assert counting.writes <= 15

    async def test_no_request_costs_more_than_one_write_and_a_refused_one_none(
        self, counting: CountingDatabase, clock: Clock
    ) -> None:
        rate = RequestRate(counting, 3, now=clock)

        await admitted(rate, 100)

        assert counting.writes == 3

    async def test_counts_are_made_to_vanish(self, db: Database, clock: Clock) -> None:
        await db.ensure_indexes([RateWindow])

        await admitted(RequestRate(db, 5, now=clock), 1)

        [window] = await db.find(RateWindow, {})
        assert window.expires_at.timestamp() == (MINUTE + 2) * 60

    async def test_without_a_database_each_process_counts_by_itself(
        self, counting: CountingDatabase, clock: Clock
    ) -> None:
        counting.away = True
        rate = RequestRate(counting, 5, now=clock)

        passed = await admitted(rate, 20)

        assert (passed, counting.writes) == (5, 1)

    async def test_a_database_that_comes_back_counts_from_the_next_minute(
        self, counting: CountingDatabase, clock: Clock
    ) -> None:
        counting.away = True
        rate = RequestRate(counting, 5, now=clock)
        await admitted(rate, 20)

        counting.away = False
        clock.now += 60

        assert await admitted(rate, 20) == 5
        assert counting.writes == 6

    async def test_claims_of_one_moment_all_count(self, db: Database) -> None:
        counts = await asyncio.gather(*(claim(db, "alice", MINUTE, 2) for _ in range(10)))

        assert max(counts) == await counted(db) == 20


class TestSockets:
    def test_a_caller_holds_as_many_as_allowed(self) -> None:
        sockets = SocketsPerCaller(2)

        with ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(sockets.hold("alice"))
            with pytest.raises(LimitReachedError) as refused, sockets.hold("alice"):
                pass
            with sockets.hold("bob"):
                pass

        assert (refused.value.limit, refused.value.allowed, refused.value.retry_after_s) == (
            "socketsPerCaller",
            2,
            None,
        )

    def test_a_socket_that_ended_badly_is_given_back(self) -> None:
        sockets = SocketsPerCaller(1)
        with pytest.raises(ConnectionError), sockets.hold("alice"):
            raise ConnectionError

        with sockets.hold("alice"):
            pass


class TestMessages:
    def test_a_burst_passes_and_then_the_rate(self) -> None:
        clock = Clock(1000.0)
        messages = MessageRate(60, clock=clock)
        for _ in range(10):
            messages.admit()

        with pytest.raises(LimitReachedError) as refused:
            messages.admit()
        clock.now += 1
        messages.admit()

        assert (refused.value.limit, refused.value.allowed, refused.value.retry_after_s) == ("messagesPerMinute", 60, 1)
        with pytest.raises(LimitReachedError):
            messages.admit()

    def test_silence_saves_up_no_more_than_a_burst(self) -> None:
        clock = Clock(1000.0)
        messages = MessageRate(60, clock=clock)
        clock.now += 3600

        for _ in range(10):
            messages.admit()
        with pytest.raises(LimitReachedError):
            messages.admit()


class CountingDatabase(Database):
    writes = 0
    away = False

    async def update_or_insert(self, model: type[M], key: Document, changes: Document) -> M:
        self.writes += 1
        if self.away:
            raise UnavailableError("the database does not respond")
        return await super().update_or_insert(model, key, changes)


@pytest.fixture
async def counting(db: Database, mongodb_uri: str) -> AsyncIterator[CountingDatabase]:
    """The test's database, by a door that counts the writes of windows."""
    counting = CountingDatabase(mongodb_uri, db.name)
    yield counting
    await counting.close()
