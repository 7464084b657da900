"""Checks before an upgrade that this build can continue all running workflows: `python -m composition.replay`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack

from composition.commands import one_line_errors
from composition.dependencies import engine_address
from composition.embedded_defaults import completed, embedded
from launch.replay import Replayed, replay_running
from launch.temporal_client import connect
from settings import load_settings


async def replay_all() -> list[Replayed]:
    """Replay every running workflow. Next to a running service, it shares the embedded services."""
    settings = load_settings()
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(embedded(settings))
        address = engine_address(completed(settings, running))
        client = await connect(address)
        return [each async for each in replay_running(client, address.task_queue)]


def report(found: list[Replayed]) -> str:
    """Return a line for each workflow that this build cannot continue, and a summary."""
    faulty = [each for each in found if each.fault is not None]
    lines = [f"{each.workflow_id}, since {each.started_at:%Y-%m-%d %H:%M} UTC: {each.fault}" for each in faulty]
    total = f"running workflows: {len(found)}; this build can continue {len(found) - len(faulty)} of them"
    return "\n".join([*lines, total])


def main() -> int:
    """Print the report; return 1 if a workflow cannot be continued."""
    with one_line_errors():
        found = asyncio.run(replay_all())
    print(report(found))  # noqa: T201 - output of a command
    return 1 if any(each.fault for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
