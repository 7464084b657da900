"""A month as a file for a spreadsheet."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest

from auth.callers import Caller
from billing.exports import month_as_csv, parse_month
from billing.reports import Reports
from billing.rollups import Rollups
from models.database import Database
from models.rollups import RollupKind
from providers.http import Http
from schema.ids import global_id
from tests.billing.exact import an_interval, utc
from tests.gateway import ANN, OPERATOR, SERVICE, GatewayWorld, listening, token, web_gateway
from web.app import create_app
from web.health import Readiness

NOW = utc(2026, 5, 20, 6)
MAY = parse_month("2026-05")
VM_ID = global_id("VM", "1")


async def asked(gateway: GatewayWorld, caller: Caller | None, path: str) -> tuple[int, dict[str, str], str]:
    app = create_app(web_gateway(gateway), Readiness({}))
    http = Http()
    headers = {} if caller is None else {"Authorization": f"Bearer {token(caller)}"}
    async with listening(app) as address:
        reply = await http.get(f"http://{address}{path}", headers=headers)
    await http.close()
    return reply.status, dict(reply.headers), reply.body.decode()


async def test_an_operator_takes_a_month_home(gateway: GatewayWorld) -> None:
    await gateway.db.insert(an_interval("1", 1, utc(2026, 4, 30, 23), utc(2026, 5, 2, 0, 30)))

    status, headers, text = await asked(gateway, OPERATOR, "/exports/costs?month=2026-05")

    assert (status, headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert headers["content-disposition"] == 'attachment; filename="costs-2026-05.csv"'
    assert text.splitlines() == [
        "day,provider,console,user,vm,running_hours,amount,currency",
        f"2026-05-01,TENSORDOCK,SWITCH,ann,{VM_ID},24.000000,10.80,USD",
        f"2026-05-02,TENSORDOCK,SWITCH,ann,{VM_ID},0.500000,0.225,USD",
    ]


@pytest.mark.parametrize(("caller", "status"), [(None, 401), (ANN, 403), (SERVICE, 403)])
async def test_nobody_else_does(gateway: GatewayWorld, caller: Caller | None, status: int) -> None:
    answer = await asked(gateway, caller, "/exports/costs?month=2026-05")

    assert answer[0] == status
    assert "day," not in answer[2]


@pytest.mark.parametrize("query", ["", "?month=", "?month=2026-13", "?month=2026-5", "?month=../05", "?month=0000-01"])
async def test_what_is_no_month_is_refused(gateway: GatewayWorld, query: str) -> None:
    status, _, text = await asked(gateway, OPERATOR, f"/exports/costs{query}")

    assert status == 400
    assert '"field":"month"' in text


@pytest.mark.parametrize("rolled", [False, True])
async def test_its_lines_are_those_of_the_report_and_add_up_to_it(db: Database, rolled: bool) -> None:
    for vm in range(5):
        start = utc(2026, 5, 3 + vm, 22, 11, 7)
        await db.insert(an_interval(str(vm), 1, start, utc(2026, 5, 19, vm), machine_usd_per_hour="0.1234567"))
    await db.insert(an_interval("9", 1, utc(2026, 5, 19, 23), None))
    if rolled:
        await Rollups(db).roll_up(NOW)

    text = "".join([piece async for piece in month_as_csv(db, MAY, NOW)])

    rows = list(csv.DictReader(io.StringIO(text)))
    report = await Reports(db).report(MAY, group_by=RollupKind.VM, now=NOW)
    lines = [line for bucket in report.buckets for line in bucket.lines]
    assert [(row["vm"], Decimal(row["amount"])) for row in rows] == [(line.group, line.usd) for line in lines]
    assert sum(Decimal(row["amount"]) for row in rows) == report.total_usd


async def test_no_cell_is_a_formula(db: Database) -> None:
    await db.insert(an_interval("=cmd()", 1, utc(2026, 5, 1), utc(2026, 5, 1, 1), user_id='@SUM(A1),"x'))

    text = "".join([piece async for piece in month_as_csv(db, MAY, NOW)])

    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["vm"], row["user"]) == ("'=cmd()", "'@SUM(A1),\"x")
