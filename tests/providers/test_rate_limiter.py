from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from time import monotonic

import pytest

from providers.http import NothingSentError
from providers.rate_limiter import Pacing


async def elapsed_s(*turns: asyncio.Task[None]) -> float:
    begun = monotonic()
    await asyncio.gather(*turns)
    return monotonic() - begun


async def test_requests_of_one_kind_keep_their_distance() -> None:
    pacing = Pacing(per_second=20)

    took_s = await elapsed_s(*(asyncio.create_task(pacing.turn("list")) for _ in range(5)))

    assert 0.2 <= took_s < 2


async def test_kinds_do_not_wait_for_one_another() -> None:
    pacing = Pacing(per_second=0.1)

    took_s = await elapsed_s(*(asyncio.create_task(pacing.turn(kind)) for kind in ("list", "get", "create")))

    assert took_s < 5


async def test_retry_after_holds_back_those_who_wait_already() -> None:
    pacing = Pacing(per_second=10)
    await pacing.turn("list")
    waiting = asyncio.create_task(pacing.turn("list"))
    await asyncio.sleep(0)

    pacing.rest("list", "1")

    assert await elapsed_s(waiting) >= 0.95


async def test_retry_after_may_be_a_date() -> None:
    pacing = Pacing(per_second=10, patience_s=20)

    pacing.rest("list", format_datetime(datetime.now(UTC) + timedelta(seconds=300), usegmt=True))

    with pytest.raises(NothingSentError, match=r"wait (299|300) s"):
        await pacing.turn("list")


@pytest.mark.parametrize("header", [None, "soon", "-5", "", f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT"])
async def test_without_a_usable_retry_after_each_refusal_doubles_the_rest(header: str | None) -> None:
    pacing = Pacing(per_second=10)

    for _ in range(2):
        pacing.rest("list", header)

    assert await elapsed_s(asyncio.create_task(pacing.turn("list"))) >= 0.39


async def test_a_success_ends_the_doubling() -> None:
    pacing = Pacing(per_second=100)
    for _ in range(5):
        pacing.rest("list", None)
    await pacing.turn("list")

    pacing.went_well("list")
    pacing.rest("list", None)

    assert await elapsed_s(asyncio.create_task(pacing.turn("list"))) < 0.5


async def test_nobody_is_kept_waiting_beyond_all_patience() -> None:
    pacing = Pacing(per_second=2, patience_s=0.1)
    await pacing.turn("list")

    with pytest.raises(NothingSentError):
        await pacing.turn("list")


async def test_a_waiter_that_gives_up_takes_nobodys_turn() -> None:
    pacing = Pacing(per_second=2)
    await pacing.turn("list")
    given_up = asyncio.create_task(pacing.turn("list"))
    await asyncio.sleep(0)

    given_up.cancel()

    assert await elapsed_s(asyncio.create_task(pacing.turn("list"))) < 0.9
