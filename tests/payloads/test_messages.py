"""What earlier builds wrote is understood: recorded messages of every activity, workflow, update and signal are read
with the worker's own data converter.

A failure means that an activity, a command or a machine's memory of an older build would not be understood. A field may
be added with a default; every other change needs a new name beside the old one, as docs/operating.md describes.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowHistory

from fleet.message_forms import MESSAGES, MessageConverter
from tests.payloads.record import encoded, forms_of, read, with_today
from tests.temporal_definitions import Message, messages

MESSAGES_BY_NAME = {message.name: message for message in messages()}
RECORDED = read()
HISTORIES = sorted((Path(__file__).parent.parent / "histories").glob("*/*.json"))


async def decoded(values: list[Any], kinds: list[type]) -> list[Any]:
    """Return the values as a worker reads them: without types if their number differs."""
    payloads = [Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(value).encode()) for value in values]
    return await MESSAGES.decode(payloads, kinds if len(kinds) == len(payloads) else None)


def keeps(recorded: Any, now: Any) -> bool:
    """Return whether everything recorded is still there; fields may have been added."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        return all(key in now and keeps(value, now[key]) for key, value in recorded.items())
    if isinstance(recorded, list) and isinstance(now, list):
        return len(recorded) == len(now) and all(map(keeps, recorded, now))
    return bool(recorded == now)


async def assert_understood(message: Message, values: list[Any]) -> None:
    read = MessageConverter().assemble(message.handler, await decoded(values, message.arguments))
    inspect.signature(message.handler).bind(None, *read)
    kept = [keeps(values, form[: len(values)]) for form in await forms_of(read)]
    assert any(kept), "a field or value is no longer known, and would be dropped in silence"


@pytest.mark.parametrize("name", sorted({*RECORDED, *MESSAGES_BY_NAME}))
async def test_recorded_messages_are_understood(name: str) -> None:
    assert name in RECORDED, "not recorded yet: `make payloads`"
    assert name in MESSAGES_BY_NAME, "older builds still send this; keep it"
    message, recorded = MESSAGES_BY_NAME[name], RECORDED[name]

    for arguments in recorded["arguments"]:
        await assert_understood(message, arguments)
    for result in recorded["results"]:
        assert message.result is not None
        assert keeps([result], await encoded(await decoded([result], [message.result])))


@pytest.mark.parametrize("name", sorted(MESSAGES_BY_NAME))
def test_every_handler_takes_at_most_one_message(name: str) -> None:
    assert [is_dataclass(kind) for kind in MESSAGES_BY_NAME[name].arguments] in ([], [True])


async def test_what_today_sends_is_recorded() -> None:
    assert await with_today(RECORDED) == RECORDED, "a message has changed: `make payloads`, and commit what it adds"


@pytest.mark.parametrize("history", HISTORIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_the_messages_within_recorded_histories_are_understood(history: Path) -> None:
    for name, values in arguments_in(history):
        await assert_understood(MESSAGES_BY_NAME[name], values)


def arguments_in(path: Path) -> Iterator[tuple[str, list[Any]]]:
    workflow = ""
    for event in WorkflowHistory.from_json("recorded", path.read_text()).events:
        match event.WhichOneof("attributes"):
            case "workflow_execution_started_event_attributes":
                started = event.workflow_execution_started_event_attributes
                workflow = started.workflow_type.name
                yield f"workflow {workflow}", plain(started.input)
            case "activity_task_scheduled_event_attributes":
                scheduled = event.activity_task_scheduled_event_attributes
                yield f"activity {scheduled.activity_type.name}", plain(scheduled.input)
            case "workflow_execution_signaled_event_attributes":
                signaled = event.workflow_execution_signaled_event_attributes
                yield f"signal {workflow}.{signaled.signal_name}", plain(signaled.input)
            case "workflow_execution_update_accepted_event_attributes":
                update = event.workflow_execution_update_accepted_event_attributes.accepted_request.input
                yield f"update {workflow}.{update.name}", plain(update.args)


def plain(payloads: Any) -> list[Any]:
    return [json.loads(payload.data or b"null") for payload in payloads.payloads]
