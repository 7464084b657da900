"""Rate-limit headers in the forms that are common."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from providers.http import NothingSentError
from providers.rate_limiter import RateLimiter
from providers.rate_limits import is_used_up, reset_s

NOW = 1_780_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-reset": "30"}, 30),
        ({"x-rate-limit-reset": "1.5"}, 1.5),
        ({"x-ratelimit-reset": "1780000012"}, 12),
        ({"x-ratelimit-reset": "1780000012000"}, 12),
        ({"x-ratelimit-reset": "1779999990"}, 0),
        ({"ratelimit-reset": "7"}, 7),
        ({"ratelimit": "limit=100, remaining=0, reset=9"}, 9),
        ({"ratelimit": '"default";r=0;t=11'}, 11),
        ({"x-ratelimit-reset": "soon"}, None),
        ({"x-ratelimit-reset": "-5"}, None),
        ({"x-ratelimit-reset": "9" * 400}, None),
        ({}, None),
    ],
)
def test_a_reset_is_seconds_or_a_moment(headers: dict[str, str], seconds: float | None) -> None:
    assert reset_s(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("headers", "used_up"),
    [
        ({"x-ratelimit-remaining": "0"}, True),
        ({"x-ratelimit-remaining": "1"}, False),
        ({"ratelimit": '"default";r=0;t=11'}, True),
        ({"ratelimit": "limit=100, remaining=3, reset=9"}, False),
        ({"x-ratelimit-remaining": "many"}, False),
        ({}, False),
    ],
)
def test_the_last_allowed_request_says_so(headers: dict[str, str], used_up: bool) -> None:
    assert is_used_up(headers) is used_up


async def test_an_account_that_is_used_up_holds_back_requests_of_every_kind() -> None:
    pacing, begun = RateLimiter(per_second=100, patience_s=20), monotonic()

    pacing.back_off_all(0.3)
    await asyncio.gather(pacing.wait_for_turn("list"), pacing.wait_for_turn("create"))

    assert monotonic() - begun >= 0.29


async def test_a_reset_beyond_all_patience_is_told_at_once() -> None:
    pacing = RateLimiter(per_second=100, patience_s=1)

    pacing.back_off_all(300)

    with pytest.raises(NothingSentError):
        await pacing.wait_for_turn("list")
