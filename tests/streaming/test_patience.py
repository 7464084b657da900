"""Readiness is noticed at once, and waited for no longer than asked."""

from __future__ import annotations

import asyncio
import socket

import pytest

from errors import ProviderBusyError, ProviderRefusedError
from streaming.patience import PAUSE_S, repeat
from streaming.probe import await_port


class Machine:
    """It is ready when it was asked so many times."""

    def __init__(self, after: int) -> None:
        self.asked = 0
        self._after = after

    async def ask(self) -> str:
        self.asked += 1
        if self.asked < self._after:
            raise ProviderBusyError(f"not ready at look {self.asked}")
        return "ready"


async def test_a_machine_is_asked_until_it_is_ready() -> None:
    machine = Machine(after=3)

    assert await repeat(machine.ask, 20) == "ready"

    assert machine.asked == 3


async def test_without_time_a_machine_is_asked_once() -> None:
    machine = Machine(after=2)

    with pytest.raises(ProviderBusyError, match="look 1"):
        await repeat(machine.ask, 0)


async def test_a_refusal_is_not_repeated() -> None:
    asked: list[int] = []

    async def refuse() -> None:
        asked.append(1)
        raise ProviderRefusedError("no")

    with pytest.raises(ProviderRefusedError):
        await repeat(refuse, 20)

    assert len(asked) == 1


def test_a_machine_is_asked_again_within_a_quarter_of_a_second() -> None:
    assert PAUSE_S <= 0.25


async def test_a_port_is_seen_when_something_begins_to_listen_there() -> None:
    with socket.socket() as later:
        later.bind(("127.0.0.1", 0))
        port = later.getsockname()[1]
        waiting = asyncio.create_task(await_port("127.0.0.1", port, 20))
        await asyncio.sleep(2 * PAUSE_S)
        seen_early = waiting.done()
        later.listen()

        assert (seen_early, await waiting) == (False, True)


async def test_a_port_that_nothing_listens_on_is_given_up() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))

        assert not await await_port("127.0.0.1", closed.getsockname()[1], 0.1)
