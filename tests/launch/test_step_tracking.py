"""The bar of a launch whose steps run side by side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from launch.step_tracking import StepTracking
from models.launches import LaunchStepName
from providers.base import ProviderName

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SIDE_BY_SIDE = (
    LaunchStepName.INSTALL_STREAMING,
    LaunchStepName.CONFIGURE_GAME,
    LaunchStepName.MOUNT_LIBRARY,
    LaunchStepName.RESTORE_SAVES,
)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def tracking(*done: LaunchStepName, provider: ProviderName | None = None) -> StepTracking:
    steps = StepTracking()
    steps.provider = provider
    steps.restart(done)
    return steps


@pytest.mark.parametrize("provider", [None, *ProviderName])
def test_all_steps_together_fill_the_bar(provider: ProviderName | None) -> None:
    assert tracking(*LaunchStepName, provider=provider).progress == 1.0


@pytest.mark.parametrize("provider", list(ProviderName))
def test_the_bar_of_a_long_step_moves_with_the_time_that_it_usually_takes(provider: ProviderName) -> None:
    step = LaunchStepName.CREATE_VM if provider is ProviderName.CLOUDYPAD else LaunchStepName.INSTALL_STREAMING
    steps = tracking(provider=provider)
    steps.begin(step, NOON)
    bars = []

    for minutes in (0, 3, 6, 60):
        steps.move_on(at(minutes))
        bars.append(steps.progress)

    assert bars == sorted(set(bars))
    assert bars[2] - bars[0] > 0.2
    assert bars[-1] < tracking(step, provider=provider).progress


def test_steps_side_by_side_add_up_whichever_ends_first() -> None:
    forwards, backwards = tracking(), tracking()
    for steps, order in ((forwards, SIDE_BY_SIDE), (backwards, SIDE_BY_SIDE[::-1])):
        for step in SIDE_BY_SIDE:
            steps.begin(step, NOON)
        for step in order:
            steps.finish(step, NOON)

    assert forwards.progress == backwards.progress == tracking(*SIDE_BY_SIDE).progress


def test_the_bar_never_falls_when_another_cloud_is_tried() -> None:
    steps = tracking(LaunchStepName.CHOOSE_PLACEMENT, provider=ProviderName.CLOUDYPAD)
    steps.begin(LaunchStepName.CREATE_VM, NOON)
    steps.move_on(at(10))
    before = steps.progress

    steps.provider = ProviderName.TENSORDOCK
    steps.move_on(at(11))

    assert steps.progress == before


def test_the_step_that_began_last_is_at_the_end() -> None:
    steps = tracking()
    for step in SIDE_BY_SIDE:
        steps.begin(step, NOON)
    steps.finish(LaunchStepName.RESTORE_SAVES, NOON)

    assert steps.running == list(SIDE_BY_SIDE[:3])
    assert steps.stop() == list(SIDE_BY_SIDE[:3])
    assert steps.running == []


def test_trouble_is_over_when_the_last_troubled_step_has_ended() -> None:
    steps = tracking()
    for step in SIDE_BY_SIDE[:3]:
        steps.begin(step, NOON)
    for step in SIDE_BY_SIDE[:2]:
        steps.note_trouble(step)

    assert [steps.finish(step, NOON) for step in SIDE_BY_SIDE[:3]] == [False, True, False]
