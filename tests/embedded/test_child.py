from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from embedded.child import Child, ChildSpec, EmbeddedError
from embedded.ports import accepts
from tests.embedded.stub import gone, is_alive, process_id, stub


@asynccontextmanager
async def started(spec: ChildSpec, *, alone: bool = True) -> AsyncIterator[Child]:
    child = Child(spec)
    try:
        await child.start(alone=alone)
        yield child
    finally:
        await child.end()
        child.close()


async def test_a_child_answers_when_it_is_started_and_is_gone_when_it_is_ended(tmp_path: Path) -> None:
    async with started(stub(tmp_path / "stub")) as child:
        assert await accepts(child.port)
        child_process = process_id(tmp_path / "stub")

    assert not is_alive(child_process)
    assert not await accepts(child.port)


async def test_a_living_child_is_used_and_not_started_twice(tmp_path: Path) -> None:
    spec = stub(tmp_path / "stub")
    async with started(spec) as first:
        before = process_id(spec.folder)

        second = Child(spec)
        await second.start(alone=False)

        assert (second.port, process_id(spec.folder)) == (first.port, before)
        second.close()


async def test_a_child_keeps_its_port_from_one_start_to_the_next(tmp_path: Path) -> None:
    spec = stub(tmp_path / "stub")
    async with started(spec) as first:
        port = first.port

    async with started(spec) as second:
        assert second.port == port


async def test_a_port_that_somebody_took_meanwhile_is_given_up(tmp_path: Path) -> None:
    spec = stub(tmp_path / "stub")
    async with started(spec) as first:
        port = first.port

    with socket.create_server(("127.0.0.1", port)):
        async with started(spec) as second:
            assert second.port != port
            assert not await gone(spec.folder, within_s=0)


async def test_a_child_that_dies_is_started_again_on_its_port_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "embedded")
    back = Waiting("embedded service restarted")
    logging.getLogger("embedded").addHandler(back)
    async with started(stub(tmp_path / "stub")) as child, watched(child):
        before = process_id(child.spec.folder)

        os.kill(before, signal.SIGKILL)
        await back.heard()

        assert process_id(child.spec.folder) != before
        assert await accepts(child.port)
    logging.getLogger("embedded").removeHandler(back)
    assert caplog.messages == [
        "embedded service died, restarting",
        "embedded service restarted",
    ]


async def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    async with started(stub(tmp_path / "stub", "stubborn", patience_s=0.2)):
        child_process = process_id(tmp_path / "stub")

    assert not is_alive(child_process)


async def test_a_child_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError) as refused:
        async with started(stub(tmp_path / "stub", "dies")):
            pass

    log = tmp_path / "stub" / "log"
    assert str(refused.value) == f"the stub does not start: no space left in the universe (full log: {log})"


async def test_an_executable_that_is_missing_is_named(tmp_path: Path) -> None:
    spec = ChildSpec("stub", "the stub", tmp_path / "stub", "1", lambda port: ("/nowhere/stubd", str(port)))

    with pytest.raises(EmbeddedError, match=r"^the stub does not start: /nowhere/stubd: No such file or directory"):
        async with started(spec):
            pass


async def test_data_of_another_version_is_left_alone_with_words_how_to_start_afresh(tmp_path: Path) -> None:
    folder = tmp_path / "embedded" / "stub"
    async with started(stub(folder, version="1")):
        pass

    with pytest.raises(EmbeddedError) as refused:
        async with started(stub(folder, version="2")):
            pass

    assert str(refused.value) == (
        f"{folder} was written by the stub 1, which 2 does not read. To start with an empty one: rm -r {folder.parent}"
    )


async def test_a_child_left_by_a_start_with_other_options_is_replaced(tmp_path: Path) -> None:
    async with started(stub(tmp_path / "stub", "says", "slow")) as old:
        old_process = process_id(tmp_path / "stub")

        async with started(stub(tmp_path / "stub", "says", "fast", ready=_said_something)) as new:
            assert not is_alive(old_process)
            assert (new.port, new.output()) == (old.port, "fast\n")


async def test_a_child_that_others_use_is_not_replaced(tmp_path: Path) -> None:
    async with started(stub(tmp_path / "stub", "says", "slow")):
        before = process_id(tmp_path / "stub")

        async with AsyncExitStack() as ending:
            second = Child(stub(tmp_path / "stub", "says", "fast"))
            ending.callback(second.close)
            await second.start(alone=False)

            assert process_id(tmp_path / "stub") == before


async def test_a_child_is_not_ready_before_it_says_so(tmp_path: Path) -> None:
    async with started(stub(tmp_path / "stub", "says", "at your service", ready=_said_something)) as child:
        assert child.output() == "at your service\n"


async def _said_something(_port: int, output: str) -> bool:
    return output != ""


@asynccontextmanager
async def watched(child: Child) -> AsyncIterator[None]:
    watching = asyncio.create_task(child.watch())
    yield
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


class Waiting(logging.Handler):
    """Hears of one message."""

    def __init__(self, message: str) -> None:
        super().__init__()
        self._message = message
        self._heard = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == self._message:
            self._heard.set()

    async def heard(self) -> None:
        await asyncio.wait_for(self._heard.wait(), timeout=5)
