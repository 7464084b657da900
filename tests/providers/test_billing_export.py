"""Google's billing export, from a stand-in for BigQuery that speaks its wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from billing.google_billing import GoogleBillingImport
from billing.operator_alerts import OperatorAlerts
from billing.provider_billed import UNATTRIBUTED, Billed
from billing.windows import Granularity, Window
from errors import ProviderBusyError, ProviderRefusedError
from models.billed import BilledAmount
from models.database import Database
from models.operator_alerts import OperatorAlertCode
from models.rollups import RollupKind
from providers.base import ProviderName
from providers.google.billing_export import BillingExport, ExportedCost
from providers.http import Http
from providers.storage.tokens import NoTokens
from tests.billing.exact import an_interval, utc
from tests.gateway import a_vm

TABLE = "gamer-prod.billing.gcp_billing_export_resource_v1_012345_567890_ABCDEF"
HOUR = utc(2026, 5, 1, 10)
VM = "200000000000000001"


class BigQuery:
    """Answers the questions in the order in which the answers were laid out."""

    def __init__(self) -> None:
        self.answers: list[web.Response] = []
        self.answers_by: Callable[[web.Request], Awaitable[web.Response]] | None = None
        self.asked: list[tuple[str, str, Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        if self.answers_by is not None:
            return await self.answers_by(request)
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.path_qs, body))
        return self.answers.pop(0)

    def lays_out(self, *documents: dict[str, Any]) -> None:
        self.answers += [web.json_response(document) for document in documents]


@pytest.fixture
def bigquery() -> BigQuery:
    return BigQuery()


@pytest.fixture
async def export(bigquery: BigQuery) -> AsyncIterator[BillingExport]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", bigquery.handle)
    http = Http()
    async with TestServer(app) as server:
        account = "012345-567890-ABCDEF"
        yield BillingExport(http, NoTokens(), "gamer-prod", TABLE, account=account, url=str(server.make_url("")))
    await http.close()


def row(tag: str | None, usd: str) -> dict[str, Any]:
    microseconds = str(int(HOUR.timestamp()) * 10**6)
    return {"f": [{"v": microseconds}, {"v": tag}, {"v": usd}, {"v": str(int(microseconds) + 10**6)}]}


async def test_the_question_is_one_query_with_named_parameters(bigquery: BigQuery, export: BillingExport) -> None:
    bigquery.lays_out({"jobComplete": True, "rows": [row(f"gamer-{VM}", "0.123456789012"), row(None, "1e-7")]})

    costs = await export.costs(HOUR, HOUR + timedelta(days=1))

    later = HOUR + timedelta(seconds=1)
    assert costs == [
        ExportedCost(HOUR, f"gamer-{VM}", Decimal("0.123456789012"), later),
        ExportedCost(HOUR, None, Decimal("1e-7"), later),
    ]
    ((method, path, body),) = bigquery.asked
    assert (method, path) == ("POST", "/bigquery/v2/projects/gamer-prod/queries")
    assert f"`{TABLE}`" in body["query"]
    assert (body["useLegacySql"], body["parameterMode"]) == (False, "NAMED")
    assert {each["name"]: each["parameterValue"]["value"] for each in body["queryParameters"]} == {
        "since": "2026-05-01T10:00:00+00:00",
        "until": "2026-05-02T10:00:00+00:00",
        "label": "gamer_machine",
        "project": "gamer-prod",
        "account": "012345-567890-ABCDEF",
    }
    assert "@account = '' OR billing_account_id = @account" in body["query"]
    assert int(body["maximumBytesBilled"]) > 0


async def test_a_job_that_takes_time_is_waited_for_and_its_pages_are_turned(
    bigquery: BigQuery, export: BillingExport
) -> None:
    job = {"jobId": "job/1", "location": "EU"}
    bigquery.lays_out(
        {"jobComplete": False, "jobReference": job},
        {"jobComplete": True, "jobReference": job, "rows": [row(None, "1")], "pageToken": "next"},
        {"jobComplete": True, "jobReference": job, "rows": [row(None, "2")]},
    )

    costs = await export.costs(HOUR, HOUR)

    assert [cost.usd for cost in costs] == [1, 2]
    assert [method for method, _, _ in bigquery.asked] == ["POST", "GET", "GET"]
    assert "/queries/job%2F1?location=EU" in bigquery.asked[1][1]
    assert "pageToken=next" in bigquery.asked[2][1]


async def test_later_pages_need_not_repeat_the_job_and_the_columns(bigquery: BigQuery, export: BillingExport) -> None:
    bigquery.lays_out(
        {"jobComplete": True, "jobReference": {"jobId": "1"}, "rows": [row(None, "1")], "pageToken": "a"},
        {"jobComplete": True, "pageToken": "b"},
        {"jobComplete": True, "rows": [row(None, "2")], "pageToken": None},
    )

    assert [cost.usd for cost in await export.costs(HOUR, HOUR)] == [1, 2]


async def test_so_many_costs_that_one_answer_cannot_hold_them_come_in_pages(
    bigquery: BigQuery, export: BillingExport
) -> None:
    everything = [row(f"gamer-{VM}", "1")] * 90_000  # 10 MB

    def page(asked: int, first: int) -> dict[str, Any]:
        last = first + asked
        more = {"pageToken": str(last)} if last < len(everything) else {}
        return {"jobComplete": True, "jobReference": {"jobId": "1"}, "rows": everything[first:last], **more}

    async def answer(request: web.Request) -> web.Response:
        asked = request.query if request.method == "GET" else await request.json()
        return web.json_response(page(int(asked.get("maxResults", 10**9)), int(asked.get("pageToken", 0))))

    bigquery.answers_by = answer

    assert len(await export.costs(HOUR, HOUR)) == 90_000


async def test_pages_that_lead_in_a_circle_are_left(bigquery: BigQuery, export: BillingExport) -> None:
    page = {"jobComplete": True, "jobReference": {"jobId": "1"}, "pageToken": "again"}
    bigquery.lays_out(page, page, page)

    with pytest.raises(ProviderBusyError, match="same page token twice"):
        await export.costs(HOUR, HOUR)


async def test_columns_are_found_by_their_names_and_moments_in_either_notation(
    bigquery: BigQuery, export: BillingExport
) -> None:
    names = ("usd", "exported_at", "currency", "hour", "machine")
    seconds = f"{HOUR.timestamp():.9E}"
    cells = [None, f"{HOUR.timestamp() + 0.5}", "USD", seconds, f"gamer-{VM}"]
    bigquery.lays_out(
        {
            "jobComplete": True,
            "schema": {"fields": [{"name": name} for name in names]},
            "errors": [{"reason": "a warning"}],
            "rows": [{"f": [{"v": cell} for cell in cells]}],
        }
    )

    assert await export.costs(HOUR, HOUR) == [
        ExportedCost(HOUR, f"gamer-{VM}", Decimal(0), HOUR + timedelta(seconds=0.5))
    ]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (web.Response(status=403, text="no"), ProviderRefusedError),
        (web.Response(status=404, text="no such table"), ProviderRefusedError),
        (web.Response(status=503), ProviderBusyError),
        (web.Response(text="<html>"), ProviderBusyError),
        (web.json_response([1]), ProviderBusyError),
        (web.json_response({"jobComplete": True, "rows": [{"f": [{"v": "x"}]}]}), ProviderBusyError),
        (web.json_response({"jobComplete": False}), ProviderBusyError),
        (web.json_response({"jobComplete": True, "schema": {"fields": [{"name": "hour"}]}}), ProviderBusyError),
        (web.json_response({"jobComplete": True, "rows": [row(None, "NaN")]}), ProviderBusyError),
        (web.json_response({"jobComplete": True, "rows": [{"f": [{"v": "9" * 30}] * 4}]}), ProviderBusyError),
        (web.json_response({"jobComplete": True, "errors": [{"reason": "invalidQuery"}]}), ProviderRefusedError),
        (web.json_response({"error": {"errors": [{"reason": "rateLimitExceeded"}]}}, status=403), ProviderBusyError),
        (web.json_response({"error": {"errors": [{"reason": "jobBackendError"}]}}, status=400), ProviderBusyError),
        (web.json_response({"error": {"errors": [{"reason": "accessDenied"}]}}, status=403), ProviderRefusedError),
    ],
)
async def test_what_is_no_answer_fails_in_our_words(
    bigquery: BigQuery, export: BillingExport, answer: web.Response, error: type[Exception]
) -> None:
    bigquery.answers.append(answer)

    with pytest.raises(error):
        await export.costs(HOUR, HOUR)


def test_a_table_that_could_break_out_of_the_query_is_refused() -> None:
    with pytest.raises(ProviderRefusedError):
        BillingExport(Http(), NoTokens(), "gamer-prod", "a`; DROP TABLE b.c")


async def test_costs_are_laid_beside_our_machines_and_corrections_replace_them(db: Database) -> None:
    await db.insert(a_vm(VM))
    exported = FakeExport()
    book = GoogleBillingImport(db, exported)
    exported.costs_ = [
        ExportedCost(HOUR, f"gamer-{VM}", Decimal("0.5"), HOUR + timedelta(hours=6)),
        ExportedCost(HOUR, "gamer-999999999999999999", Decimal("0.25"), HOUR),
        ExportedCost(HOUR + timedelta(hours=1), None, Decimal("0.1"), HOUR),
    ]
    await book.fetch(HOUR + timedelta(days=1))
    exported.costs_ = [*exported.costs_[:1], ExportedCost(HOUR, None, Decimal("0.2"), HOUR + timedelta(hours=9))]

    await book.fetch(HOUR + timedelta(days=1))

    window = Window(utc(2026, 5, 1), utc(2026, 5, 2))
    report = await Billed(db).report(window, Granularity.HOUR, RollupKind.VM)
    assert [(line.group, line.usd) for line in report.groups] == [(VM, Decimal("0.5")), (UNATTRIBUTED, Decimal("0.2"))]
    assert report.as_of == HOUR + timedelta(hours=2)  # the end of the last hour that it ever covered
    assert (await Billed(db).report(window, user_id="ann")).total_usd == Decimal("0.5")


async def test_an_answer_without_rows_after_one_with_rows_is_an_outage_and_not_five_weeks_of_nothing(
    db: Database,
) -> None:
    exported, alerts = FakeExport(), OperatorAlerts(db)
    book = GoogleBillingImport(db, exported)
    await book.fetch(HOUR + timedelta(days=1))
    before = await alerts.find_newest(with_cleared=True, limit=5)
    exported.costs_ = [ExportedCost(HOUR, None, Decimal("0.2"), HOUR)]
    await book.fetch(HOUR + timedelta(days=1))
    exported.costs_ = []
    for _ in range(2):
        await book.fetch(HOUR + timedelta(days=1))
    (during,) = await alerts.find_newest(with_cleared=False, limit=5)
    kept = await db.find(BilledAmount, {})
    exported.costs_ = [ExportedCost(HOUR, None, Decimal("0.2"), HOUR)]

    await book.fetch(HOUR + timedelta(days=1))

    assert before == []  # an export that has not begun is no outage
    assert (during.code, [amount.usd for amount in kept]) == (
        OperatorAlertCode.BILLING_EXPORT_STALE,
        [Decimal("0.2")],
    )
    assert await alerts.find_newest(with_cleared=False, limit=5) == []


async def test_an_answer_that_begins_late_deletes_nothing_before_it(db: Database) -> None:
    exported = FakeExport()
    book = GoogleBillingImport(db, exported)
    exported.costs_ = [ExportedCost(HOUR, None, Decimal("0.2"), HOUR)]
    await book.fetch(HOUR + timedelta(days=2))
    exported.costs_ = [ExportedCost(HOUR + timedelta(days=1), None, Decimal("0.3"), HOUR)]

    await book.fetch(HOUR + timedelta(days=2))

    assert sorted(amount.usd for amount in await db.find(BilledAmount, {})) == [Decimal("0.2"), Decimal("0.3")]


async def test_days_outside_of_what_the_export_covers_are_unknown_and_days_within_it_are_not(db: Database) -> None:
    day, vm = timedelta(days=1), a_vm(VM, provider=ProviderName.CLOUDYPAD)
    await db.insert(vm)
    await db.insert(an_interval(VM, 1, utc(2026, 5, 1), utc(2026, 5, 6), provider=ProviderName.CLOUDYPAD))
    exported = FakeExport()
    exported.costs_ = [
        ExportedCost(utc(2026, 5, 2, 22), None, Decimal("0.5"), HOUR),
        ExportedCost(utc(2026, 5, 4, 1), None, Decimal("0.25"), HOUR),
    ]
    await GoogleBillingImport(db, exported).fetch(utc(2026, 5, 6))

    rows = await Billed(db).compare(Window(utc(2026, 5, 1), utc(2026, 5, 6)))
    billed = {row.day: row.billed_usd for row in rows if row.vm_id is None}

    assert billed == {
        utc(2026, 5, 1): None,  # before its first hour
        utc(2026, 5, 2): Decimal("0.5"),
        utc(2026, 5, 3): Decimal(0),  # within, and nothing was charged
        utc(2026, 5, 4): Decimal("0.25"),
        utc(2026, 5, 5): None,  # not billed yet
    }
    report = await Billed(db).report(Window(utc(2026, 5, 1), utc(2026, 5, 6)))
    assert (report.window.end, report.known_until) == (utc(2026, 5, 4, 2), utc(2026, 5, 4, 2))
    assert [bucket.window.start for bucket in report.buckets] == [utc(2026, 5, 1) + number * day for number in range(4)]
    assert report.total_usd == Decimal("0.75")


async def test_a_report_of_a_time_that_no_provider_has_told_of_has_no_buckets(db: Database) -> None:
    report = await Billed(db).report(Window(utc(2026, 5, 1), utc(2026, 5, 6)))

    assert (report.buckets, report.total_usd, report.known_until) == ((), Decimal(0), None)


class FakeExport:
    """Keeps billing.exported.Export."""

    def __init__(self) -> None:
        self.costs_: list[ExportedCost] = []

    async def costs(self, since: object, until: object) -> list[ExportedCost]:
        return self.costs_
