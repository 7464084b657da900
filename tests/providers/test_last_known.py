"""What callers get while an outside source does not respond."""

from __future__ import annotations

import asyncio
import time

import pytest

from errors import ProviderBusyError, ProviderSilentError
from providers.last_known import LastKnown, collect_stale


class Source:
    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.answers.set()
        self.reads = 0
        self.failure: Exception | None = None

    async def read(self) -> int:
        self.reads += 1
        read = self.reads
        await self.answers.wait()
        if self.failure is not None:
            raise self.failure
        return read


async def test_an_answer_in_time_is_fresh_every_time() -> None:
    source = Source()
    known = LastKnown("cloud", source.read, patience_s=5)

    with collect_stale() as stale:
        assert [await known.get(), await known.get()] == [1, 2]

    assert stale == []


async def test_a_source_that_hangs_is_waited_for_once_and_then_its_last_answer_is_given_with_its_age() -> None:
    source = Source()
    known = LastKnown("cloud", source.read, patience_s=0.3)
    await known.get()
    source.answers.clear()

    with collect_stale() as stale:
        assert await known.get() == 1
        begun = time.process_time()
        answers = [await known.get() for _ in range(3)]

    assert answers == [1, 1, 1]
    assert source.reads == 2  # one read goes on for all of them
    assert [one.source for one in stale] == ["cloud"]
    assert 0.3 <= stale[0].age_s < 60
    assert time.process_time() - begun < 1
    await known.close()


async def test_a_source_that_answers_again_is_fresh_again() -> None:
    source = Source()
    known = LastKnown("cloud", source.read, patience_s=0.05)
    await known.get()
    source.answers.clear()
    await known.get()
    source.answers.set()

    await asyncio.wait_for(_until_fresh(known), 5)

    with collect_stale() as stale:
        assert await known.get() > 2
    assert stale == []


async def test_without_an_earlier_answer_a_silent_source_is_an_error_and_not_an_empty_answer() -> None:
    source = Source()
    source.answers.clear()
    known = LastKnown("cloud", source.read, patience_s=0.05)

    for _ in range(2):
        with pytest.raises(ProviderSilentError, match="cloud does not respond"):
            await known.get()

    assert source.reads == 1
    await known.close()


async def test_a_read_that_fails_in_time_raises_its_error() -> None:
    source = Source()
    source.failure = ProviderBusyError("500")
    known = LastKnown("cloud", source.read, patience_s=5)

    with pytest.raises(ProviderBusyError, match="500"):
        await known.get()


async def test_a_read_that_fails_after_it_hung_is_not_repeated_for_every_caller() -> None:
    source = Source()
    known = LastKnown("cloud", source.read, patience_s=0.05)
    await known.get()
    source.failure = ProviderBusyError("timed out")
    source.answers.clear()
    await known.get()
    source.answers.set()
    await asyncio.sleep(0)

    answers = [await known.get() for _ in range(20)]

    assert answers == [1] * 20
    assert source.reads == 2


async def _until_fresh(known: LastKnown[int]) -> None:
    while await known.get() == 1:  # noqa: ASYNC110  (nothing says when the background read is done)
        await asyncio.sleep(0.01)
