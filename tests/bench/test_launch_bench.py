"""The critical path of a launch, and the time beside it."""

from __future__ import annotations

import pytest

from bench.launch import Kind, Measured, Step, beside_path_s, critical_path, ratios
from models.launches import LaunchStepName

SIDE_BY_SIDE = {
    LaunchStepName.CHOOSE_PLACEMENT: (0, 1),
    LaunchStepName.CREATE_VM: (1, 13),
    LaunchStepName.BOOT: (13, 40),
    LaunchStepName.CONNECT: (40, 50),
    LaunchStepName.INSTALL_STREAMING: (50, 500),
    LaunchStepName.MOUNT_LIBRARY: (50, 80),
    LaunchStepName.RESTORE_SAVES: (50, 60),
    LaunchStepName.CONFIGURE_GAME: (52, 510),
    LaunchStepName.VERIFY_STREAM: (511, 512),
}


def measured(ready_s: float = 513, **changes: tuple[float, float]) -> Measured:
    times = {**SIDE_BY_SIDE, **{LaunchStepName(name): times for name, times in changes.items()}}
    return Measured(tuple(Step(name, *times[name]) for name in LaunchStepName), ready_s, 51)


def test_the_path_leads_through_the_step_that_ended_last() -> None:
    assert LaunchStepName.INSTALL_STREAMING in critical_path(measured().steps)
    slow_library = critical_path(measured(MOUNT_LIBRARY=(50, 505)).steps)
    assert LaunchStepName.MOUNT_LIBRARY in slow_library
    assert LaunchStepName.INSTALL_STREAMING not in slow_library


def test_time_beside_the_path_is_what_no_step_of_it_took() -> None:
    assert beside_path_s(measured()) == pytest.approx(2)  # before the check, and after it


def test_a_game_is_playable_when_its_picture_comes() -> None:
    assert measured().playable_s == 513 + 51


def test_each_kind_is_compared_with_the_cold_launch_that_it_saves() -> None:
    ours = {Kind.COLD_TENSORDOCK: 600.0, Kind.IMAGE: 90.0, Kind.WARM: 30.0}
    earlier = {Kind.COLD_TENSORDOCK: 1200.0, Kind.COLD_GOOGLE: 900.0}

    assert ratios(ours, earlier, "abc") == [
        "cold-tensordock takes 0.50 of cold-tensordock of abc",
        "image takes 0.10 of cold-google of abc",
        "warm takes 0.03 of cold-tensordock of abc",
    ]
    assert ratios(ours, ours, "this tree") == ["warm takes 0.05 of cold-tensordock of this tree"]
