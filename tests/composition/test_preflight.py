"""`python server.py --check` against simulated clouds, a real database and Temporal, and against silence."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from composition.preflight import CheckResult, CheckState, as_text, preflight
from embedded.ports import free_port
from models.database import Database
from models.deployment import Identity, claim
from settings import load_settings
from simulator.simulation import Simulation, SimulationOptions
from tests.otlp import collector

pytestmark = pytest.mark.usefixtures("no_settings_of_this_machine")

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def simulated(tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    async with Simulation(SimulationOptions(tmp_path / "simulation", clock_factor=1000)) as simulation:
        yield {name.lower(): value for name, value in simulation.environment().items()}


def states(results: list[CheckResult]) -> dict[str, CheckState]:
    return {result.name: result.state for result in results}


def faults(results: list[CheckResult]) -> list[str]:
    return [result.message for result in results if result.state is CheckState.FAILED]


@asynccontextmanager
async def silence() -> AsyncIterator[int]:
    """Accept connections on a port, and never respond."""
    opened: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: opened.append(writer), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in opened:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in opened), return_exceptions=True)


async def test_a_complete_deployment_is_in_order(
    simulated: dict[str, Any], db: Database, mongodb_uri: str, temporal_address: str, tmp_path: Path
) -> None:
    settings = load_settings(
        **simulated,
        data_dir=tmp_path / "data",
        port=free_port(),
        mongodb_atlas_uri=mongodb_uri,
        mongodb_database=db.name,
        temporal_address=temporal_address,
    )

    results = await preflight(settings, "all")

    assert faults(results) == []
    checked = [name for name, state in states(results).items() if state is CheckState.OK]
    assert checked == [
        *("settings", "data folder", "port", "ssh key", "database", "temporal"),
        *("tensordock", "google", "compute", "cloudypad", "bucket"),
    ]
    assert not (tmp_path / "data" / "ssh").exists()


async def test_nothing_is_rented_and_no_record_is_written(
    simulated: dict[str, Any], db: Database, mongodb_uri: str, tmp_path: Path
) -> None:
    settings = load_settings(
        **simulated, data_dir=tmp_path, port=0, mongodb_atlas_uri=mongodb_uri, mongodb_database=db.name
    )

    await preflight(settings, "all")

    assert await claim(db, Identity("another", {})) is None


async def test_a_database_of_another_deployment_is_named_and_not_written_to(
    db: Database, mongodb_uri: str, tmp_path: Path
) -> None:
    await claim(db, Identity("staging", {}))
    settings = load_settings(data_dir=tmp_path, port=0, mongodb_atlas_uri=mongodb_uri, mongodb_database=db.name)

    results = await preflight(settings, "gateway")

    (fault,) = faults(results)
    assert fault.startswith(f"DEPLOYMENT: the database {db.name} belongs to the deployment staging, and this is main.")


async def test_all_faults_are_named_at_once_although_every_service_is_silent(tmp_path: Path) -> None:
    async with silence() as port:
        silent = f"http://127.0.0.1:{port}"
        settings = load_settings(
            data_dir=tmp_path,
            port=port,
            mongodb_atlas_uri=f"mongodb://127.0.0.1:{port}",
            temporal_address=f"127.0.0.1:{port}",
            tensordock_api_url=silent,
            tensordock_api_token="a-token",
            gcp_project_id="gamer-prod",
            google_compute_url=silent,
            gcs_bucket_name="games",
            gcs_endpoint_url=silent,
            jwt_jwks_url=silent,
            alert_webhook_url=f"https://127.0.0.1:{port}",
            otel_exporter_otlp_endpoint=silent,
            google_application_credentials=tmp_path / "none.json",
        )
        began = time.monotonic()

        results = await preflight(settings, "gateway")

    assert time.monotonic() - began < 15
    variables = [fault.split(":")[0] for fault in faults(results)]
    assert variables == [
        *("ALERT_WEBHOOK_SECRET", "GOOGLE_APPLICATION_CREDENTIALS", "PORT", "MONGODB_ATLAS_URI", "TEMPORAL_ADDRESS"),
        *(
            "TENSORDOCK_API_TOKEN",
            "GCS_BUCKET_NAME",
            "JWT_JWKS_URL",
            "ALERT_WEBHOOK_URL",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ),
    ]


@asynccontextmanager
async def bucket_with(permissions: Sequence[str], *, changes: int) -> AsyncIterator[dict[str, Any]]:
    """Settings of a bucket that grants these permissions, and responds to changes below saves/ with this status."""
    sent: list[str] = []

    async def some(request: web.Request) -> web.Response:
        asked = request.query.getall("permissions")
        return web.json_response({"permissions": [name for name in asked if name.rpartition(".")[2] in permissions]})

    async def change(request: web.Request) -> web.Response:
        assert request.query["ifGenerationMatch"] == "1", "no object has this generation"
        sent.append(request.method)
        return web.json_response({"error": {"code": changes}}, status=changes)

    app = web.Application()
    app.router.add_get("/storage/v1/b/games/iam/testPermissions", some)
    app.router.add_post("/upload/storage/v1/b/games/o", change)
    app.router.add_delete("/storage/v1/b/games/o/{name:saves/.+}", change)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port := free_port())
    await site.start()
    try:
        yield {"port": 0, "gcs_bucket_name": "games", "gcs_endpoint_url": f"http://127.0.0.1:{port}"}
    finally:
        await runner.cleanup()
    assert sent in ([], ["POST"], ["POST", "DELETE"])


async def test_missing_permissions_on_the_bucket_are_listed(tmp_path: Path) -> None:
    async with bucket_with(["list", "get"], changes=403) as bucket:
        results = await preflight(load_settings(data_dir=tmp_path, **bucket), "gateway")

    assert faults(results) == [
        "GCS_BUCKET_NAME: our account lacks storage.objects.create, storage.objects.delete on games. "
        "Give it the role Storage Object Viewer, and Storage Object User on names that begin with saves/"
    ]


async def test_a_role_that_is_limited_to_the_saves_is_enough(tmp_path: Path) -> None:
    async with bucket_with(["list", "get"], changes=412) as bucket:
        results = await preflight(load_settings(data_dir=tmp_path, **bucket), "gateway")

    assert (faults(results), states(results)["bucket"]) == ([], CheckState.OK)


async def test_a_worker_needs_the_port_of_its_metrics_and_not_that_of_a_gateway(tmp_path: Path) -> None:
    async with silence() as taken:
        settings = load_settings(data_dir=tmp_path, host="127.0.0.1", port=taken)

        without = await preflight(settings, "worker")
        results = await preflight(settings.model_copy(update={"metrics_port": taken}), "worker")

    assert states(without)["port"] is CheckState.SKIPPED
    assert faults(results) == [
        f"METRICS_PORT: cannot listen on 127.0.0.1:{taken}: Address already in use. Example: METRICS_PORT={taken + 1}"
    ]


async def test_a_gateway_needs_no_permission_at_compute_engine(tmp_path: Path) -> None:
    results = await preflight(load_settings(data_dir=tmp_path, port=0), "gateway")

    assert {"compute", "cloudypad", "ssh key"}.isdisjoint(states(results))


async def test_the_command_names_every_invalid_setting_and_fails(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PORT": "99999", "LOG_LEVEL": "loud", "GCS_BUCKET_NAME": "gs://x"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "server.py"), "--check", "--json"),
        env=environment,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()

    report = json.loads(output)
    assert (process.returncode, errors) == (1, b"")
    assert report["ok"] is False
    assert {check["message"].split(":")[0] for check in report["checks"]} == {"PORT", "LOG_LEVEL", "GCS_BUCKET_NAME"}


def test_the_text_counts_what_failed() -> None:
    results = [
        CheckResult("database", CheckState.OK, "reads and writes gamer"),
        CheckResult("port", CheckState.FAILED, "PORT: taken"),
    ]

    assert as_text(results) == (
        "ok      database  reads and writes gamer\nfailed  port      PORT: taken\n\n1 of 2 checks failed."
    )


async def test_a_collector_is_asked_whether_it_takes_traces(tmp_path: Path) -> None:
    with collector() as found:
        settings = load_settings(
            data_dir=tmp_path,
            port=0,
            otel_exporter_otlp_endpoint=found.url,
            otel_exporter_otlp_headers="x-api-key=a%20key",
        )

        accepted = await preflight(settings, "gateway")
        found.status = 401
        refused = await preflight(settings, "gateway")

    (result,) = [each for each in accepted if each.name == "traces"]
    assert (result.state, result.message) == (CheckState.OK, "127.0.0.1 accepts traces")
    assert found.headers[0]["x-api-key"] == "a key"
    assert [fault.split(":")[0] for fault in faults(refused)] == ["OTEL_EXPORTER_OTLP_HEADERS"]
