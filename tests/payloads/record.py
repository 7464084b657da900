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
from temporalio.converter import DataConverter

from fleet.message_forms import MESSAGES
from tests.payloads.sample import sample
from tests.temporal_definitions import Message, messages

RECORDED: Final = Path(__file__).with_name("messages.json")
Payloads = dict[str, dict[str, list[Any]]]


async def encoded(values: Sequence[object], converter: DataConverter = MESSAGES) -> list[Any]:
    """Return the JSON in which these values travel."""
    return [json.loads(payload.data or "null") for payload in await converter.encode(values)]


async def forms_of(values: Sequence[object]) -> list[list[Any]]:
    """Return the JSON of arguments as this build sends them, and as the next one will: one object for each message."""
    return [await encoded(values), await encoded(values, pydantic_data_converter)]


async def with_today(recorded: Payloads) -> Payloads:
    """Return the recorded messages with those of today's code."""
    return {message.name: await _added(message, recorded.get(message.name, {})) for message in messages()}


async def _added(message: Message, recorded: dict[str, list[Any]]) -> dict[str, list[Any]]:
    kept = {"arguments": [*recorded.get("arguments", [])], "results": [*recorded.get("results", [])]}
    for arguments in await forms_of([sample(kind) for kind in message.arguments]):
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
