"""`python -m composition.replay`: before an upgrade, can this build go on with what is running?"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack

from composition.dependencies import engine_address
from composition.embedded_defaults import completed, embedded
from launch.replay import Replayed, replay_running
from launch.temporal_client import connect
from settings import load_settings


async def replayed() -> list[Replayed]:
    """Return every running workflow. Started beside a running service it shares its children."""
    settings = load_settings()
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(embedded(settings))
        address = engine_address(completed(settings, running))
        client = await connect(address)
        return [each async for each in replay_running(client, address.task_queue)]


def report(found: list[Replayed]) -> str:
    """Return a line for each workflow with which this build cannot go on, and one for all."""
    faulty = [each for each in found if each.fault is not None]
    lines = [f"{each.workflow_id}, since {each.started_at:%Y-%m-%d %H:%M} UTC: {each.fault}" for each in faulty]
    total = f"running workflows: {len(found)}; this build can go on with {len(found) - len(faulty)} of them"
    return "\n".join([*lines, total])


def main() -> int:
    from server import one_line_errors  # noqa: PLC0415 - it is the one above this package

    with one_line_errors():
        found = asyncio.run(replayed())
    print(report(found))  # noqa: T201 - for who ran it in a terminal
    return 1 if any(each.fault for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
