"""Messages in the form of earlier builds, one argument for each field, and in the form of later ones, one object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from fleet.inputs import CheckInput, LostMachine, MachineInput, StatusChange, VmRef
from fleet.message_forms import MessageConverter, MessageInterceptor
from fleet.messages import Command, CommandRequest, MonitorState
from models.vms import VmStatus

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
CONVERTER = MessageConverter()
CHANGE = StatusChange("22", VmStatus.STOPPED, "asked", billed=True, found="IDLE", since=AT)


def payloads_of(*values: object) -> list[Payload]:
    return [Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(each).encode()) for each in values]


def json_of(payloads: Sequence[Payload]) -> list[Any]:
    return [json.loads(payload.data or "null") for payload in payloads]


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        (VmRef("22"), ["22"]),
        (MachineInput("22"), ["22", None]),
        (CHANGE, ["22", "STOPPED", "asked", True, "IDLE", "2026-05-01T12:00:00Z"]),
    ],
)
def test_a_marked_message_is_sent_as_one_argument_for_each_field(message: object, arguments: list[object]) -> None:
    assert json_of(CONVERTER.to_payloads([message])) == arguments


def test_other_messages_and_several_values_are_sent_as_they_are() -> None:
    command = CommandRequest(Command.STOP, "asked")

    assert [each["command"] for each in json_of(CONVERTER.to_payloads([command]))] == ["STOP"]
    assert json_of(CONVERTER.to_payloads([VmRef("22"), "more"])) == [{"vm_id": "22"}, "more"]


@pytest.mark.parametrize("value", ["22", {"vm_id": "22"}])
def test_a_message_of_one_field_is_read_in_both_forms(value: object) -> None:
    assert CONVERTER.from_payloads(payloads_of(value), [VmRef]) == [VmRef("22")]


def test_arguments_that_an_earlier_build_left_out_have_their_defaults() -> None:
    assert CONVERTER.from_payloads(payloads_of("22"), [MachineInput]) == [MachineInput("22")]


class Recording(ActivityInboundInterceptor):
    """The last link of the chain, which keeps the arguments that it is called with."""

    def __init__(self) -> None:
        self.arguments: list[Any] = []

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        self.arguments = list(input.args)


async def change(change: StatusChange) -> None: ...
async def check(check: CheckInput) -> None: ...
async def lose(lost: LostMachine) -> None: ...
async def of_an_earlier_build(vm_id: str, memory: MonitorState) -> None: ...


@pytest.mark.parametrize(
    ("activity", "arguments", "handed"),
    [
        (change, ["22", "STOPPED", "asked", True, "IDLE", "2026-05-01T12:00:00Z"], [CHANGE]),
        (change, ["22", "STOPPED", "asked"], [StatusChange("22", VmStatus.STOPPED, "asked")]),
        (check, ["22", {"silent": 3, "there_at": None}], [CheckInput("22", MonitorState(silent=3))]),
        (lose, ["22", "gone", None], [LostMachine("22", "gone")]),
        (change, [CHANGE], [CHANGE]),
        (of_an_earlier_build, ["22", MonitorState()], ["22", MonitorState()]),
    ],
)
async def test_an_activity_gets_one_message_of_what_arrived_as_several_arguments(
    activity: Any, arguments: list[Any], handed: list[Any]
) -> None:
    last = Recording()
    chain = MessageInterceptor().intercept_activity(last)

    await ActivityEnvironment().run(chain.execute_activity, ExecuteActivityInput(activity, arguments, None, {}))

    assert last.arguments == handed
