"""Workflows of today go on with histories that earlier builds began: each committed one is replayed.

A failure here means that launches or machines under way would stop at an upgrade. Make the change with
`workflow.patched`, so that old histories take the old way. docs/operating.md says when an old set may be deleted.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from launch.worker import build_replayer
from tests.temporal_definitions import workflows

HISTORIES = sorted(Path(__file__).parent.glob("*/*.json"))
PATHS = {
    *("launch-ready", "launch-failover", "launch-cancelled", "launch-failed", "machine-stop-start"),
    *("machine-deleted", "machine-idle-stop", "sweep", "spending-stop", "machine-spending-stop"),
}


def read(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text())


@pytest.fixture(scope="module")
def replayer() -> Replayer:
    return build_replayer()


@pytest.mark.parametrize("history", HISTORIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_a_recorded_history_replays(history: Path, replayer: Replayer) -> None:
    await replayer.replay_workflow(read(history))


async def test_a_history_whose_steps_came_in_another_order_does_not_replay(replayer: Replayer) -> None:
    ready = next(path for path in HISTORIES if path.stem == "launch-ready").read_text()
    swapped = (
        ready.replace("mount_library", "?").replace("restore_saves", "mount_library").replace("?", "restore_saves")
    )

    with pytest.raises(NondeterminismError, match=r"restore_saves.*mount_library"):
        await replayer.replay_workflow(WorkflowHistory.from_json("recorded", swapped))


def test_every_set_has_a_history_of_each_path() -> None:
    sets = {folder: {path.stem for path in folder.glob("*.json")} for folder in {path.parent for path in HISTORIES}}

    assert sets
    assert {folder.name: sorted(PATHS - names) for folder, names in sets.items() if PATHS - names} == {}


def test_every_workflow_has_a_recorded_history() -> None:
    started = [read(path).events[0].workflow_execution_started_event_attributes for path in HISTORIES]

    recorded = {each.workflow_type.name for each in started}

    assert {each.name for each in workflows()} - recorded == set()


@pytest.mark.parametrize("word", ["identity", "stackTrace"])
def test_histories_name_no_machine_that_they_were_recorded_on(word: str) -> None:
    assert [path.name for path in HISTORIES if f'"{word}"' in path.read_text()] == []
