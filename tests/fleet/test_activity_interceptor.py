"""What surrounds every activity: the log line of one that failed says which launch and which VM it worked for."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from errors import NoCapacityError, ProviderBusyError
from fleet.activity_interceptor import ActivityInterceptor
from fleet.inputs import VmRef
from launch.messages import Candidate, LaunchInput, OrderInput, StepInput
from tests.payloads.sample import sample
from web.logging_setup import configure_logging

NO_CAPACITY = NoCapacityError("no machine is free")
BUSY = ProviderBusyError("the cloud is busy")
FAULT = RuntimeError("unexpected")
CANDIDATE: Candidate = sample(Candidate)


@pytest.fixture
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level


class Failing(ActivityInboundInterceptor):
    """The last link of the chain: an activity that raises."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        raise self._error


async def step(on: StepInput) -> None: ...
async def first_step(ticket: LaunchInput) -> None: ...
async def power(ref: VmRef) -> None: ...
async def rent_step(wish: OrderInput) -> None: ...
async def upkeep() -> None: ...


@pytest.mark.usefixtures("_logging_as_it_was")
@pytest.mark.parametrize("error", [NO_CAPACITY, BUSY, FAULT])
@pytest.mark.parametrize(
    ("workflow_id", "activity", "arguments", "named"),
    [
        ("launch-11", step, [StepInput("11", "22")], {"launch": "11", "vm": "22"}),
        ("launch-11", first_step, [LaunchInput("11")], {"launch": "11"}),
        ("launch-11", power, [VmRef("22")], {"launch": "11", "vm": "22"}),
        ("machine-22", power, [VmRef("22")], {"vm": "22"}),
        ("launch-11", rent_step, [OrderInput(StepInput("11", "22"), CANDIDATE)], {"launch": "11", "vm": "22"}),
        ("sweep-2026-05-01", upkeep, [], {}),
    ],
)
async def test_the_line_of_a_failed_step_names_its_launch_and_its_vm(
    capsys: pytest.CaptureFixture[str],
    workflow_id: str,
    activity: Any,
    arguments: list[Any],
    named: dict[str, str],
    error: Exception,
) -> None:
    configure_logging("INFO", as_json=True)
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, workflow_id=workflow_id)
    chain = ActivityInterceptor().intercept_activity(Failing(error))

    with pytest.raises(ApplicationError):
        await environment.run(chain.execute_activity, ExecuteActivityInput(activity, arguments, None, {}))

    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert {field: told[field] for field in ("launch", "vm") if field in told} == named
