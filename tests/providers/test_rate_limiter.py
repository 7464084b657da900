from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from time import monotonic

import pytest

from providers.http import NothingSentError
from providers.rate_limiter import RateLimiter


async def elapsed_s(*turns: asyncio.Task[None]) -> float:
    begun = monotonic()
    await asyncio.gather(*turns)
    return monotonic() - begun


async def test_requests_of_one_kind_keep_their_distance() -> None:
    pacing = RateLimiter(per_second=20)

    took_s = await elapsed_s(*(asyncio.create_task(pacing.wait_for_turn("list")) for _ in range(5)))

    assert 0.2 <= took_s < 2


async def test_kinds_do_not_wait_for_one_another() -> None:
    pacing = RateLimiter(per_second=0.1)

    took_s = await elapsed_s(*(asyncio.create_task(pacing.wait_for_turn(kind)) for kind in ("list", "get", "create")))

    assert took_s < 5


async def test_retry_after_holds_back_those_who_wait_already() -> None:
    pacing = RateLimiter(per_second=10)
    await pacing.wait_for_turn("list")
    waiting = asyncio.create_task(pacing.wait_for_turn("list"))
    await asyncio.sleep(0)

    pacing.back_off("list", "1")

    assert await elapsed_s(waiting) >= 0.95


async def test_retry_after_may_be_a_date() -> None:
    pacing = RateLimiter(per_second=10, patience_s=20)

    pacing.back_off("list", format_datetime(datetime.now(UTC) + timedelta(seconds=300), usegmt=True))

    with pytest.raises(NothingSentError, match=r"a pause of (299|300) s"):
        await pacing.wait_for_turn("list")


@pytest.mark.parametrize("header", [None, "soon", "-5", "", f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT"])
async def test_without_a_usable_retry_after_each_refusal_doubles_the_rest(header: str | None) -> None:
    pacing = RateLimiter(per_second=10)

    for _ in range(2):
        pacing.back_off("list", header)

    assert await elapsed_s(asyncio.create_task(pacing.wait_for_turn("list"))) >= 0.39


async def test_a_success_ends_the_doubling() -> None:
    pacing = RateLimiter(per_second=100)
    for _ in range(5):
        pacing.back_off("list", None)
    await pacing.wait_for_turn("list")

    pacing.record_success("list")
    pacing.back_off("list", None)

    assert await elapsed_s(asyncio.create_task(pacing.wait_for_turn("list"))) < 0.5


async def test_nobody_is_kept_waiting_beyond_all_patience() -> None:
    pacing = RateLimiter(per_second=2, patience_s=0.1)
    await pacing.wait_for_turn("list")

    with pytest.raises(NothingSentError):
        await pacing.wait_for_turn("list")


async def test_a_waiter_that_gives_up_takes_nobodys_turn() -> None:
    pacing = RateLimiter(per_second=2)
    await pacing.wait_for_turn("list")
    given_up = asyncio.create_task(pacing.wait_for_turn("list"))
    await asyncio.sleep(0)

    given_up.cancel()

    assert await elapsed_s(asyncio.create_task(pacing.wait_for_turn("list"))) < 0.9
