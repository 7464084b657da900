"""A program whose run is cancelled while it starts."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from providers.cloudypad.process import run_to_end


def processes_with(word: str) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
        except (OSError, NotADirectoryError):
            continue
        if word in command and folder.name != str(os.getpid()):
            found.append(command)
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="NOT TESTED: needs Linux's /proc")
@pytest.mark.parametrize("turns", range(8))
async def test_a_run_that_is_cancelled_while_it_starts_ends_with_all_its_children(tmp_path: Path, turns: int) -> None:
    """`turns`: how many rounds of the event loop it has had. In one of them Python 3.11 itself would wait forever."""
    mark = f"61.{os.getpid()}{turns}"
    script = ["/bin/sh", "-c", f"sleep {mark} & wait"]
    run = asyncio.create_task(
        run_to_end(script, environment={}, folder=tmp_path, deadline_s=5, on_line=lambda _: None, grace_s=1)
    )
    for _ in range(turns):
        await asyncio.sleep(0)

    run.cancel()
    ended, _ = await asyncio.wait([run], timeout=20)

    assert ended == {run}
    assert run.cancelled()
    assert processes_with(mark) == []
