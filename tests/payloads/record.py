"""Adds what today's code sends to `messages.json`: `make payloads`.

What is there already stays, so that messages of earlier builds are read in the tests until someone deletes them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Any, Final

from temporalio.contrib.pydantic import pydantic_data_converter

from tests.payloads.sample import sample
from tests.temporal_definitions import Message, messages

RECORDED: Final = Path(__file__).with_name("messages.json")
Payloads = dict[str, dict[str, list[Any]]]


async def encoded(values: Sequence[object]) -> list[Any]:
    """Return the JSON in which these values travel."""
    return [json.loads(payload.data or "null") for payload in await pydantic_data_converter.encode(values)]


async def with_today(recorded: Payloads) -> Payloads:
    """Return the recorded messages with those of today's code."""
    return {message.name: await _added(message, recorded.get(message.name, {})) for message in messages()}


async def _added(message: Message, recorded: dict[str, list[Any]]) -> dict[str, list[Any]]:
    arguments = await encoded([sample(kind) for kind in message.arguments])
    kept = {"arguments": [*recorded.get("arguments", [])], "results": [*recorded.get("results", [])]}
    if arguments not in kept["arguments"]:
        kept["arguments"].append(arguments)
    if message.result not in {None, NoneType}:
        (result,) = await encoded([sample(message.result)])
        if result not in kept["results"]:
            kept["results"].append(result)
    return kept


def read() -> Payloads:
    return json.loads(RECORDED.read_text()) if RECORDED.exists() else {}


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(asyncio.run(with_today(read())), indent=1, sort_keys=True) + "\n")
