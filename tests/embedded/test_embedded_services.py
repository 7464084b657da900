from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient
from temporalio.client import Client

from embedded.child import EmbeddedError
from embedded.services import EmbeddedServices, Running
from embedded.simulator import simulator_environment
from embedded.temporal import temporal_spec
from tests.embedded.stub import process_id

NO_CLOUD = {"PATH": ""}


async def test_a_killed_database_is_back_for_the_same_client_with_what_it_acknowledged(tmp_path: Path) -> None:
    async with (
        EmbeddedServices(tmp_path, temporal=False) as running,
        AsyncMongoClient[dict[str, int]](running.mongodb_uri) as client,
    ):
        await client.gamer.launches.insert_one({"_id": 7})

        os.kill(process_id(tmp_path / "embedded" / "mongodb"), signal.SIGKILL)

        assert await client.gamer.launches.find_one() == {"_id": 7}


async def test_a_killed_temporal_is_back_for_the_same_client_with_what_it_acknowledged(tmp_path: Path) -> None:
    async with EmbeddedServices(tmp_path, mongodb=False, environment=NO_CLOUD) as running:
        client = await Client.connect(running.temporal_address or "")
        await client.start_workflow("Launch", id="launch-7", task_queue="gamer")

        os.kill(process_id(tmp_path / "embedded" / "temporal"), signal.SIGKILL)

        assert (await client.get_workflow_handle("launch-7").describe()).id == "launch-7"


async def test_temporal_starts_under_settings_that_are_meant_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_API_KEY", "of-a-cloud")
    monkeypatch.setenv("TEMPORAL_TLS", "true")

    async with EmbeddedServices(tmp_path, mongodb=False, temporal_namespace="gamer") as running:
        client = await Client.connect(running.temporal_address or "", namespace="gamer")
        await client.start_workflow("Launch", id="launch-7", task_queue="gamer")


async def test_nothing_is_made_when_nothing_is_wanted(tmp_path: Path) -> None:
    async with EmbeddedServices(tmp_path, mongodb=False, temporal=False) as running:
        assert running == Running()

    assert os.listdir(tmp_path) == []


async def test_a_data_folder_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")

    with pytest.raises(EmbeddedError) as refused:
        await EmbeddedServices(tmp_path / "data").__aenter__()

    assert str(refused.value) == (
        f"DATA_DIR: {tmp_path}/data/embedded: Not a directory. Example: DATA_DIR=/var/lib/gamer"
    )


async def test_a_full_disk_is_refused_in_one_line_before_anything_is_started(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"^DATA_DIR: .*/embedded has no space: \d+ MB are free, 10\d* MB are need"):
        await EmbeddedServices(tmp_path, needed_bytes=10**18).__aenter__()

    assert os.listdir(tmp_path / "embedded") == []


@pytest.mark.parametrize("variable", ["K_SERVICE", "CLOUD_RUN_WORKER_POOL"])
async def test_the_development_temporal_is_refused_on_cloud_run(tmp_path: Path, variable: str) -> None:
    with pytest.raises(EmbeddedError) as refused:
        await EmbeddedServices(tmp_path, mongodb=False, environment={variable: "gamer"}).__aenter__()

    assert str(refused.value) == (
        f"TEMPORAL_ADDRESS: missing; the development server is not for Cloud Run ({variable} is set). "
        "Example: TEMPORAL_ADDRESS=gamer.a1b2c.tmprl.cloud:7233"
    )


async def test_the_temporal_on_path_is_preferred(tmp_path: Path) -> None:
    executable = _program(tmp_path, "echo 'temporal version 2.0.0 (Server 3.1.4, UI 2.0.0)'")

    spec = await temporal_spec(tmp_path / "data", "default", {"PATH": f"{tmp_path}:/bin:/usr/bin"})

    assert spec.command(7233)[0] == executable
    assert spec.version == "3.1.4"


@pytest.mark.parametrize("script", ["echo 'temporal anomaly 1.0'", "exit 1"])
async def test_another_program_of_that_name_is_passed_over(tmp_path: Path, script: str) -> None:
    executable = _program(tmp_path, script)

    spec = await temporal_spec(tmp_path / "data", "default", {"PATH": f"{tmp_path}:/bin:/usr/bin"})

    assert spec.command(7233)[0] != executable


def test_the_simulators_lines_for_a_shell_become_variables() -> None:
    output = "export TENSORDOCK_API_URL=http://127.0.0.1:8790/api\nexport NAME='two words'\n# the simulator's end\n"

    assert simulator_environment(output) == {
        "TENSORDOCK_API_URL": "http://127.0.0.1:8790/api",
        "NAME": "two words",
    }


def _program(folder: Path, script: str) -> str:
    program = folder / "temporal"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


async def test_a_disk_that_becomes_full_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    services = EmbeddedServices(tmp_path, temporal=False, needed_bytes=0, left_bytes=10**18)

    async with services as running, AsyncMongoClient[dict[str, int]](running.mongodb_uri) as client:
        await client.gamer.launches.insert_one({"_id": 7})

    assert [each.message for each in caplog.records if each.name == "embedded"] == ["DATA_DIR has no space left"]
