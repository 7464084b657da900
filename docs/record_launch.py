"""Runs a launch on a running service and writes a recording of it into README.md: `python -m docs.record_launch`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

README: Final = Path(__file__).parents[1] / "README.md"
BEGIN: Final = "<!-- a recorded launch; `make recording` writes it -->"
END: Final = "<!-- the end of that recording -->"
EXAMPLES: Final = Path(__file__).parents[1] / "web" / "graphiql" / "examples"
LAUNCH: Final = (EXAMPLES / "launch.graphql").read_text()
PROGRESS: Final = """subscription LaunchProgress($launchId: ID!) {
  launchProgress(launchId: $launchId) { at step stepStatus progress message }
}"""
MACHINE: Final = """query Machine($launchId: ID!) {
  launch(id: $launchId) {
    status
    vm { status ipAddress hourlyPrice stream { host httpsPort httpPort rtspPort } }
  }
}"""
SLOWEST_S: Final = 300

Answer = dict[str, Any]


def recording(order: Answer, events: Sequence[Answer], machine: Answer) -> str:
    """Return the three operations with their responses, as Markdown."""
    started = datetime.fromisoformat(events[0]["at"])
    story = "\n".join(_line(event, (datetime.fromisoformat(event["at"]) - started).total_seconds()) for event in events)
    return (
        f"```graphql\n{_without_comments(LAUNCH)}```\n\n```json\n{_pretty(order)}\n```\n\n"
        f"```graphql\n{PROGRESS}\n```\n\n```text\n{story}\n```\n\n"
        f"```graphql\n{MACHINE}\n```\n\n```json\n{_pretty(machine)}\n```\n"
    )


def with_recording(readme: str, recorded: str) -> str:
    """Return the README with this recording."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{recorded}{END}{after}"


def _line(event: Answer, seconds: float) -> str:
    step = f"{event['step'] or '':<18}{event['stepStatus'] or '':<8}"
    return f"{seconds:5.1f} s {event['progress']:5.0%}  {step} {event['message']}"


def _without_comments(operation: str) -> str:
    return "".join(line for line in operation.splitlines(keepends=True) if not line.startswith("#"))


def _pretty(answer: Answer) -> str:
    return json.dumps(answer, indent=2)


async def _record(url: str) -> str:
    async with connect(url.replace("http", "ws", 1), subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        await socket.send(json.dumps({"type": "connection_init"}))
        await socket.recv()
        (order,) = [answer async for answer in _asked(socket, LAUNCH, {})]
        launch_id = order["launchGame"]["launch"]["id"]
        events = [answer["launchProgress"] async for answer in _asked(socket, PROGRESS, {"launchId": launch_id})]
        (machine,) = [answer async for answer in _asked(socket, MACHINE, {"launchId": launch_id})]
    return recording(order, events, machine)


async def _asked(socket: Any, query: str, variables: dict[str, str]) -> AsyncIterator[Answer]:
    await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query, "variables": variables}}))
    async with asyncio.timeout(SLOWEST_S):
        while (message := json.loads(await socket.recv()))["type"] == "next":
            yield message["payload"]["data"]
    assert message["type"] == "complete", message


if __name__ == "__main__":
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000/graphql"
    README.write_text(with_recording(README.read_text(), asyncio.run(_record(url))))
