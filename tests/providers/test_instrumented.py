"""Each call to a cloud is told, and is otherwise as it was."""

from __future__ import annotations

import asyncio

import pytest

from errors import (
    MachineLostError,
    NoCapacityError,
    ProviderBusyError,
    ProviderError,
    ProviderRefusedError,
)
from providers.base import MachineId, Provider, ProviderName
from providers.instrumented import InstrumentedProvider, outcome_of
from tests.fakes.cloud import FakeCloud

Told = list[tuple[str, str, str]]


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def measured(cloud: FakeCloud, told: Told) -> Provider:
    def listen(provider: ProviderName, operation: str, outcome: str, seconds: float) -> None:
        assert 0 <= seconds < 5
        told.append((provider, operation, outcome))

    return InstrumentedProvider(cloud, listen)


async def test_a_call_is_told_with_its_operation_and_ends_as_inside(measured: Provider, told: Told) -> None:
    assert await measured.machines() == ()
    assert (await measured.health()).configured

    assert told == [("TENSORDOCK", "machines", "ok"), ("TENSORDOCK", "health", "ok")]


async def test_a_failure_is_told_and_passed_on(measured: Provider, cloud: FakeCloud, told: Told) -> None:
    cloud.failures["stop"] = [ProviderBusyError("no answer")]

    with pytest.raises(ProviderBusyError, match="no answer"):
        await measured.stop(MachineId("m1"))

    assert told == [("TENSORDOCK", "stop", "busy")]


async def test_a_call_that_nobody_waits_for_is_interrupted(measured: Provider, cloud: FakeCloud, told: Told) -> None:
    reached = cloud.hold("machines")
    call = asyncio.create_task(measured.machines())
    await reached.wait()

    call.cancel()
    await asyncio.wait([call])

    assert told == [("TENSORDOCK", "machines", "interrupted")]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NoCapacityError(""), "no_capacity"),
        (MachineLostError(""), "machine_lost"),
        (ProviderBusyError(""), "busy"),
        (ProviderRefusedError(""), "refused"),
        (ProviderError(""), "failed"),
        (ValueError(), "unforeseen"),
    ],
)
def test_an_error_is_told_by_what_to_do_next(error: Exception, outcome: str) -> None:
    assert outcome_of(error) == outcome
