"""What Prometheus reads: true, in its format, and without a word that a caller chose."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from auth.authenticator import Authenticator
from auth.callers import Caller, Role
from auth.rate_limits import RequestRate
from errors import UnavailableError
from models import audit
from models.audit import AuditEntry, new_entry
from models.database import Database
from models.launches import LaunchStatus, LaunchStepName, Step, StepStatus
from models.vms import VmStatus
from providers.base import ProviderName
from resolvers.record_metrics import RecordMetrics, read_record_metrics
from schema.execution.executor import GraphQLExecution
from schema.ids import global_id
from tests.billing.exact import an_interval, utc
from tests.gateway import (
    ANN,
    OPERATOR,
    SERVICE,
    GatewayWorld,
    a_launch,
    a_vm,
    an_event,
    listening,
    text_of,
    token,
    web_gateway,
)
from tests.shown_metrics import shown_metrics
from web.app import create_app
from web.health import Readiness
from web.metrics import Metrics
from web.metrics_endpoint import (
    CachedRecordMetrics,
    Check,
    MetricsPage,
    allow_all,
    metrics_endpoint,
    require_token,
    require_token_or_staff,
)

TOKEN = SecretStr("what Prometheus knows and nobody else".replace(" ", "-"))
LAUNCH = "100000000000000001"
DOCUMENT = Path("docs/metrics.md").read_text(encoding="utf-8")
EMPTY = RecordMetrics({}, {}, {}, {}, {})
NOW = datetime(2026, 5, 10, 12, tzinfo=UTC)

Sample = tuple[str, frozenset[tuple[str, str]]]


def parsed(text: str) -> dict[Sample, float]:
    """Every sample by its name and labels; the format is checked on the way."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples), "a sample is told twice"
    return found


def value(samples: Mapping[Sample, float], name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


@asynccontextmanager
async def watched(world: GatewayWorld, check: Check = allow_all) -> AsyncIterator[aiohttp.ClientSession]:
    """A gateway whose metrics allow_all may read, and ann at it."""
    metrics = Metrics("1.2.3")
    page = MetricsPage(metrics, CachedRecordMetrics(lambda: read_record_metrics(world.db), fresh_s=0), check)
    gateway = web_gateway(world, execution=GraphQLExecution(listener=metrics))
    app = create_app(gateway, Readiness(), metrics=page)
    async with (
        listening(app) as address,
        aiohttp.ClientSession(f"http://{address}", headers={"Authorization": f"Bearer {token(ANN)}"}) as http,
    ):
        yield http


async def asked(sent: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> None:
    async with sent as answer:
        await answer.read()


async def numbers(http: aiohttp.ClientSession) -> dict[Sample, float]:
    async with http.get("/metrics") as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        return parsed(await answer.text())


class TestOperations:
    async def test_a_trusted_document_is_counted_by_its_name_whatever_brought_it(self, gateway: GatewayWorld) -> None:
        async with watched(gateway) as http:
            await asked(http.post("/graphql", json={"query": text_of("Consoles")}))
            await asked(http.get("/config/consoles"))
            found = await numbers(http)

        assert value(found, "gamer_operations_total", operation="Consoles", outcome="ok") == 2
        assert value(found, "gamer_operation_seconds_count", operation="Consoles") == 2

    @pytest.mark.parametrize(
        ("query", "outcome"),
        [
            ("query Consoles { viewer { id } }", "ok"),
            ('query Evil { vm(id: "%s") { id } nothing }' % ("x" * 50), "refused"),
            ("{ auditLog { edges { cursor } } }", "error"),
        ],
    )
    async def test_any_other_is_counted_together_and_no_word_of_it_is_told(
        self, gateway: GatewayWorld, query: str, outcome: str
    ) -> None:
        async with watched(gateway) as http:
            await asked(http.post("/graphql", json={"query": query, "operationName": None}))
            found = await numbers(http)

        assert value(found, "gamer_operations_total", operation="other", outcome=outcome) == 1
        assert "Evil" not in str(found)

    async def test_a_document_that_is_answered_with_errors(self, gateway: GatewayWorld) -> None:
        async with watched(gateway) as http:
            await asked(http.get("/billing/costs?start=2026-05-02&end=2026-05-01"))
            found = await numbers(http)

        assert value(found, "gamer_operations_total", operation="CostReport", outcome="error") == 1
        assert value(found, "gamer_http_answers_total", status="400") == 1

    async def test_what_is_open_now(self, gateway: GatewayWorld) -> None:
        await gateway.db.insert(a_launch(LAUNCH))
        await gateway.db.insert(an_event(LAUNCH, 1))
        subscribe = {"query": text_of("LaunchProgress"), "variables": {"launchId": global_id("Launch", LAUNCH)}}
        async with watched(gateway) as http:
            async with http.ws_connect("/graphql", protocols=["graphql-transport-ws"]) as socket:
                await socket.send_json({"type": "connection_init"})
                await socket.receive_json()
                await socket.send_json({"id": "1", "type": "subscribe", "payload": subscribe})
                assert json.loads((await socket.receive()).data)["type"] == "next"
                during = await numbers(http)
            async with asyncio.timeout(5):
                while value(after := await numbers(http), "gamer_websockets"):
                    pass

        assert value(during, "gamer_websockets") == 1
        assert value(during, "gamer_subscriptions", operation="LaunchProgress") == 1
        assert value(after, "gamer_subscriptions", operation="LaunchProgress") == 0
        assert value(after, "gamer_operations_total", operation="LaunchProgress", outcome="ok") == 1


class TestRecords:
    async def test_machines_launches_steps_and_what_was_done(self, db: Database) -> None:
        for number, status in enumerate([VmStatus.RUNNING, VmStatus.RUNNING, VmStatus.LOST, VmStatus.DELETED]):
            await db.insert(a_vm(f"20000000000000000{number}", status=status))
        steps = [
            Step(name=name, status=StepStatus.DONE, started_at=NOW, finished_at=NOW + timedelta(seconds=number + 1))
            for number, name in enumerate(LaunchStepName)
        ]
        placed: dict[str, Any] = {"placed_with": ProviderName.TENSORDOCK, "steps": steps, "status": LaunchStatus.READY}
        await db.insert(a_launch("100000000000000001", requested_at=NOW - timedelta(hours=1), **placed))
        await db.insert(a_launch("100000000000000002", requested_at=NOW - timedelta(hours=25), **placed))
        await db.insert(a_launch("100000000000000003", requested_at=NOW - timedelta(hours=25)))
        for at in (NOW - timedelta(hours=1), NOW - timedelta(hours=25)):
            await db.insert(new_entry("ann", Role.PLAYER, "stopVm", audit.Outcome.DONE, at=at))

        census = await read_record_metrics(db, NOW)

        assert census.machines == {("TENSORDOCK", "RUNNING"): 2, ("TENSORDOCK", "LOST"): 1}
        assert {labels: count for labels, count in census.launches.items() if count} == {("READY",): 1, ("QUEUED",): 1}
        assert census.step_seconds["TENSORDOCK", "BOOT"] == [3.0, 3.0]
        assert census.audit == {("stopVm", "DONE"): 1}

    async def test_what_the_month_has_cost_by_cloud(self, db: Database) -> None:
        await db.insert(an_interval("200000000000000001", 1, utc(2026, 5, 10, 9), utc(2026, 5, 10, 11)))

        assert (await read_record_metrics(db, NOW)).usd_this_month == {("TENSORDOCK",): Decimal("0.90")}

    def test_they_are_told_with_their_labels(self) -> None:
        census = RecordMetrics(
            machines={("CLOUDYPAD", "RUNNING"): 3},
            launches={("READY",): 5, ("FAILED",): 0},
            step_seconds={("TENSORDOCK", "BOOT"): [float(second) for second in range(1, 101)]},
            audit={("deleteStray", "DONE"): 1},
            usd_this_month={("TENSORDOCK",): Decimal("12.50")},
        )

        found = parsed(Metrics("1.2.3").text(census).decode())

        assert value(found, "gamer_records_readable") == 1
        assert value(found, "gamer_machines", provider="CLOUDYPAD", status="RUNNING") == 3
        assert value(found, "gamer_launches", status="FAILED") == 0
        assert value(found, "gamer_audit_entries", action="deleteStray", outcome="DONE") == 1
        assert value(found, "gamer_spent_usd", provider="TENSORDOCK") == 12.5
        labels = {"provider": "TENSORDOCK", "step": "BOOT"}
        assert value(found, "gamer_launch_step_seconds", **labels, percentile="50") == 51
        assert value(found, "gamer_launch_step_seconds", **labels, percentile="95") == 96

    async def test_they_are_asked_once_however_many_scrape(self) -> None:
        asked = 0

        async def take() -> RecordMetrics:
            nonlocal asked
            asked += 1
            return EMPTY

        census = CachedRecordMetrics(take)
        read = await asyncio.gather(*(census.read() for _ in range(20)))

        assert (asked, read) == (1, [EMPTY] * 20)

    @pytest.mark.parametrize("failure", [UnavailableError("away"), TimeoutError()])
    async def test_without_them_the_rest_is_told(self, failure: Exception) -> None:
        async def take() -> RecordMetrics:
            raise failure

        found = parsed(Metrics("1.2.3").text(await CachedRecordMetrics(take).read()).decode())

        assert value(found, "gamer_records_readable") == 0
        assert value(found, "gamer_build", version="1.2.3") == 1
        assert not [name for name, _ in found if name in ("gamer_machines", "gamer_launches")]


class TestWhoMayRead:
    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            (None, 401),
            (ANN, 403),
            (OPERATOR, 200),
            (SERVICE, 200),
            (TOKEN.get_secret_value(), 200),
            (TOKEN.get_secret_value()[:-1], 401),
        ],
    )
    async def test_in_production_staff_and_who_has_the_token(
        self, gateway: GatewayWorld, sent: Caller | str | None, status: int
    ) -> None:
        metrics = Metrics("1.2.3")
        page = MetricsPage(
            metrics,
            CachedRecordMetrics(lambda: read_record_metrics(gateway.db)),
            require_token_or_staff(web_gateway(gateway), TOKEN),
        )
        app = create_app(web_gateway(gateway), Readiness(), metrics=page)
        credential = token(sent) if isinstance(sent, Caller) else sent  # made now: it outlives no long suite
        headers = {} if credential is None else {"Authorization": f"Bearer {credential}"}
        async with (
            listening(app) as address,
            aiohttp.ClientSession() as http,
            http.get(f"http://{address}/metrics", headers=headers) as answer,
        ):
            text = await answer.text()

        assert (answer.status, "gamer_build" in text) == (status, status == 200)

    async def test_a_player_that_tries_is_on_the_trail(self, gateway: GatewayWorld) -> None:
        async with (
            watched(gateway, require_token_or_staff(web_gateway(gateway), None)) as http,
            http.get("/metrics") as answer,
        ):
            assert answer.status == 403

        (entry,) = await gateway.db.find(AuditEntry, {})
        assert (entry.actor_id, entry.action, entry.outcome) == ("ann", "metrics", "DENIED")

    async def test_the_token_is_good_while_the_database_is_away(self, gateway: GatewayWorld, db_away: Database) -> None:
        door = web_gateway(gateway, authenticator=Authenticator(None, None), rate=RequestRate(db_away, 1))
        page = MetricsPage(
            Metrics("1"), CachedRecordMetrics(lambda: read_record_metrics(db_away)), require_token_or_staff(door, TOKEN)
        )
        headers = {"Authorization": f"Bearer {TOKEN.get_secret_value()}"}
        async with (
            listening(create_app(door, Readiness(), metrics=page)) as address,
            aiohttp.ClientSession() as http,
            http.get(f"http://{address}/metrics", headers=headers) as answer,
        ):
            found = parsed(await answer.text())

        assert (answer.status, value(found, "gamer_records_readable")) == (200, 0)

    @pytest.mark.parametrize(
        ("check", "status"), [(require_token(TOKEN), 200), (require_token(None), 401), (allow_all, 200)]
    )
    async def test_a_worker_shows_its_own_and_its_health(
        self, gateway: GatewayWorld, check: Check, status: int
    ) -> None:
        page = MetricsPage(Metrics("1"), CachedRecordMetrics(lambda: read_record_metrics(gateway.db)), check)
        headers = {"Authorization": f"Bearer {TOKEN.get_secret_value()}"}
        async with listening(metrics_endpoint(page)) as address, aiohttp.ClientSession(f"http://{address}") as http:
            async with http.get("/metrics", headers=headers) as answer:
                assert answer.status == status
            async with http.get("/health") as health:
                assert health.status == 200

    async def test_without_metrics_there_is_no_such_address(self, ann: aiohttp.ClientSession) -> None:
        async with ann.get("/metrics") as answer:
            assert answer.status == 404


def test_two_in_one_process_share_nothing_and_the_default_registry_stays_as_it_was() -> None:
    before = {metric.name for metric in REGISTRY.collect()}
    first, second = Metrics("1"), Metrics("2")

    first.http_answered(200)

    assert value(parsed(second.text(EMPTY).decode()), "gamer_http_answers_total", status="200") is None
    assert {metric.name for metric in REGISTRY.collect()} == before


def test_calls_to_clouds_are_counted_and_timed() -> None:
    metrics = Metrics("1")

    metrics.provider_called(ProviderName.TENSORDOCK, "rent", "no_capacity", 2.0)

    found = parsed(metrics.text(EMPTY).decode())
    labels = {"provider": "TENSORDOCK", "operation": "rent"}
    assert value(found, "gamer_provider_calls_total", **labels, outcome="no_capacity") == 1
    assert value(found, "gamer_provider_call_seconds_sum", **labels) == 2.0
    assert value(found, "gamer_provider_call_seconds_bucket", **labels, le="1.0") == 0
    assert value(found, "gamer_provider_call_seconds_bucket", **labels, le="2.5") == 1


def test_the_document_lists_each_number_and_its_labels() -> None:
    families = list(text_string_to_metric_families(shown_metrics()))

    ours = [family for family in families if family.name.startswith("gamer_")]
    told = {
        family.name + ("_total" if family.type == "counter" else ""): sorted(
            {label for sample in family.samples for label in sample.labels} - {"le"}
        )
        for family in ours
    }
    documented = {
        name: sorted(re.findall(r"`(\w+)`", labels))
        for name, labels in re.findall(r"^\| `(gamer_\w+)` \| [^|]+ \| ([^|]*) \|", DOCUMENT, re.MULTILINE)
    }
    assert told == documented
