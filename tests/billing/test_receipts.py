"""Receipts of play sessions, which add up to the report."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from billing.receipts import receipts_of
from billing.reports import Reports
from billing.rollups import Rollups
from billing.windows import Window, window_of
from models.database import Database
from models.usage import UsageState
from tests.billing.exact import an_interval, utc
from tests.gateway import ANN, BOB, OPERATOR, GatewayWorld, gateway

__all__ = ["gateway"]

MAY = window_of(date(2026, 5, 1), date(2026, 5, 2))
NOW = utc(2026, 6, 1)


async def use(db: Database) -> None:
    """A session over midnight whose price rises, a stop, another session, and one of bob's that begins before."""
    third = Decimal(1) / 3
    at = utc(2026, 5, 1, 23)
    prices = {"machine_usd_per_hour": third.quantize(Decimal("1e-9")), "storage_usd_per_hour": Decimal("0.01")}
    hour = timedelta(hours=1, milliseconds=7)
    await db.insert_many(
        [
            an_interval("1", 1, at, at + hour, **prices),
            an_interval("1", 2, at + hour, at + 2 * hour, **{**prices, "machine_usd_per_hour": Decimal("0.7")}),
            an_interval("1", 3, at + 2 * hour, at + 3 * hour, state=UsageState.STOPPED, **prices),
            an_interval("1", 4, at + 3 * hour, at + 4 * hour, **prices),
            an_interval("2", 1, utc(2026, 4, 30, 23), utc(2026, 5, 1, 1), user_id="bob", **prices),
        ]
    )


async def test_each_session_and_each_time_stopped_has_one_receipt(db: Database) -> None:
    await use(db)

    found = await receipts_of(db, MAY, None, NOW)

    assert [(each.vm_id, each.state, len(each.lines)) for each in found.receipts] == [
        ("1", UsageState.RUNNING, 1),
        ("1", UsageState.STOPPED, 1),
        ("1", UsageState.RUNNING, 2),
        ("2", UsageState.RUNNING, 1),
    ]
    assert found.receipts[-1].start == MAY.start


@pytest.mark.parametrize("rolled", [False, True])
@pytest.mark.parametrize("user_id", [None, "ann"])
async def test_receipts_add_up_to_the_report_to_the_last_digit(
    db: Database, user_id: str | None, *, rolled: bool
) -> None:
    await use(db)
    if rolled:
        await Rollups(db).rebuild(NOW)

    for window in (MAY, Window(MAY.start, MAY.start + timedelta(days=1))):
        found = await receipts_of(db, window, user_id, NOW)
        report = await Reports(db).report(window, user_id=user_id, now=NOW)

        assert found.total_usd == report.total_usd
        assert sum((line.usd for each in found.receipts for line in each.lines), Decimal(0)) == report.total_usd
        assert sum((each.usd for each in found.receipts), Decimal(0)) == report.total_usd


async def test_an_open_session_counts_up_to_now(db: Database) -> None:
    await db.insert(an_interval("1", 1, utc(2026, 5, 1, 10), None, machine_usd_per_hour=Decimal("0.5")))

    (receipt,) = (await receipts_of(db, MAY, None, utc(2026, 5, 1, 12))).receipts

    assert (receipt.end, receipt.usd) == (None, Decimal("1.1"))


async def test_players_see_their_own_and_operators_all(gateway: GatewayWorld) -> None:
    await use(gateway.db)
    days = {"start": "2026-05-01", "end": "2026-05-02"}

    every = (await gateway.data("Receipts", OPERATOR, **days))["receipts"]
    bobs = (await gateway.data("Receipts", BOB, **days))["receipts"]
    report = (await gateway.data("CostReport", OPERATOR, **days))["costReport"]

    assert every["total"] == report["total"]
    assert [receipt["userId"] for receipt in bobs["receipts"]] == ["bob"]
    assert bobs["receipts"][0]["lines"][0]["amount"] == bobs["total"] == bobs["receipts"][0]["amount"]
    assert (await gateway.error("Receipts", ANN, userId="bob", **days))["extensions"]["code"] == "FORBIDDEN"
    long = await gateway.error("Receipts", ANN, start="2026-05-01", end="2026-06-01")
    assert long["extensions"] == {"code": "BAD_USER_INPUT", "field": "end"}
