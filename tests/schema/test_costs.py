"""Money, asked for as the web app asks: the files of graphql/operations/."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.alerts import Alerts
from billing.tensordock_billing import BalanceSampler
from models.audit import AuditEntry, Outcome
from models.limits import SpendingAlert, SpendingLimit
from models.vms import VmStatus
from providers.base import ProviderName
from schema.execution.requests import RequestFailedError
from schema.ids import global_id
from tests.billing.exact import an_interval, utc
from tests.gateway import ANN, DALLAS, OPERATOR, SERVICE, GatewayWorld, a_vm, gateway

__all__ = ["gateway"]  # a fixture

MAY = {"start": "2026-05-01", "end": "2026-05-02"}


@pytest.fixture
async def used(gateway: GatewayWorld) -> GatewayWorld:
    """Ann's machine ran for two hours over midnight at 0.45 USD an hour, Bob's for a quarter of an hour at 1 USD."""
    await gateway.db.insert(an_interval("1", 1, utc(2026, 5, 1, 23), utc(2026, 5, 2, 1)))
    await gateway.db.insert(
        an_interval(
            *("2", 1, utc(2026, 5, 2, 1), utc(2026, 5, 2, 1, 15)),
            user_id="bob",
            provider=ProviderName.CLOUDYPAD,
            machine_usd_per_hour="0.95",
        )
    )
    return gateway


async def test_a_report_of_all_with_its_buckets_and_groups(used: GatewayWorld) -> None:
    report = (await used.data("CostReport", OPERATOR, **MAY))["costReport"]

    assert (report["total"], report["currency"], report["basis"], report["runningHours"]) == (
        "1.15",
        "USD",
        "METERED",
        2.25,
    )
    assert (report["start"], report["end"]) == ("2026-05-01T00:00:00.000Z", "2026-05-03T00:00:00.000Z")
    assert [bucket["amount"] for bucket in report["buckets"]] == ["0.45", "0.70"]
    assert report["buckets"][1]["lines"] == [
        {"group": "CLOUDYPAD", "amount": "0.25", "runningHours": 0.25},
        {"group": "TENSORDOCK", "amount": "0.45", "runningHours": 1.0},
    ]
    assert [(line["group"], line["amount"]) for line in report["groups"]] == [
        ("CLOUDYPAD", "0.25"),
        ("TENSORDOCK", "0.90"),
    ]
    assert report["forecast"] is None


@pytest.mark.parametrize(
    ("group_by", "groups"),
    [
        ("USER", ["ann", "bob"]),
        ("VM", [global_id("VM", "1"), global_id("VM", "2")]),
        ("CONSOLE", ["SWITCH"]),
        (None, ["CLOUDYPAD", "TENSORDOCK"]),
    ],
)
async def test_a_report_is_grouped_as_asked_for(used: GatewayWorld, group_by: str | None, groups: list[str]) -> None:
    report = (await used.data("CostReport", SERVICE, **MAY, groupBy=group_by, granularity=None, basis=None))[
        "costReport"
    ]

    assert [line["group"] for line in report["groups"]] == groups
    assert report["total"] == "1.15"


async def test_a_player_sees_its_own_costs_alone(used: GatewayWorld) -> None:
    report = (await used.data("CostReport", ANN, **MAY))["costReport"]
    refused = await used.error("CostReport", ANN, **MAY, userId="bob")

    assert report["total"] == "0.90"
    assert refused["extensions"]["code"] == "FORBIDDEN"
    assert (await used.data("CostReport", OPERATOR, **MAY, userId="bob"))["costReport"]["total"] == "0.25"


@pytest.mark.parametrize(
    ("variables", "field"),
    [
        ({"start": "2026-05-02", "end": "2026-05-01"}, "end"),
        ({"start": "2025-05-01", "end": "2026-05-02"}, "end"),
        ({"start": "9999-12-31", "end": "9999-12-31"}, "end"),
        ({"start": "9999-11-30", "end": "9999-12-01", "granularity": "MONTH"}, "end"),
        ({**MAY, "userId": "../etc"}, "userId"),
    ],
)
async def test_bad_windows_and_users_are_refused_by_the_name_of_the_field(
    gateway: GatewayWorld, variables: dict[str, Any], field: str
) -> None:
    error = await gateway.error("CostReport", OPERATOR, **variables)

    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": field}


async def test_dates_that_are_none_are_refused(gateway: GatewayWorld) -> None:
    with pytest.raises(RequestFailedError) as refused:
        await gateway.error("CostReport", OPERATOR, start="2026-02-30", end="2026-03-01")

    assert [fault["extensions"]["code"] for fault in refused.value.faults] == ["BAD_USER_INPUT"]


async def test_the_running_month_has_a_forecast(gateway: GatewayWorld) -> None:
    start = datetime.now(UTC) - timedelta(minutes=1)
    await gateway.db.insert(an_interval("1", 1, start, None))

    month = (await gateway.data("CurrentMonthCosts", ANN))["currentMonthCosts"]

    assert Decimal(month["forecast"]) > Decimal(month["total"]) >= 0
    assert month["start"].endswith("-01T00:00:00.000Z")


async def test_the_providers_word_comes_with_how_far_it_goes(used: GatewayWorld) -> None:
    account = Account(Decimal(10), Decimal("9.10"))
    await BalanceSampler(used.db, account).sample(utc(2026, 5, 1, 23))
    await BalanceSampler(used.db, account).sample(utc(2026, 5, 2, 1))

    report = (await used.data("CostReport", OPERATOR, **MAY, basis="PROVIDER_BILLED"))["costReport"]

    assert (report["total"], report["asOf"]) == ("0.90", "2026-05-02T01:00:00.000Z")
    assert [bucket["amount"] for bucket in report["buckets"]] == ["0.45", "0.45"]
    assert (await used.data("CostReport", ANN, **MAY, basis="PROVIDER_BILLED"))["costReport"]["total"] == "0.00"


async def test_metered_and_billed_stand_side_by_side_with_the_difference(used: GatewayWorld) -> None:
    account = Account(Decimal(10), Decimal("9.08"))
    await BalanceSampler(used.db, account).sample(utc(2026, 5, 1, 23))
    await BalanceSampler(used.db, account).sample(utc(2026, 5, 2, 1))

    rows = (await used.data("CostComparison", OPERATOR, **MAY))["costComparison"]["rows"]

    assert [(row["day"], row["provider"], row["metered"], row["billed"], row["difference"]) for row in rows] == [
        ("2026-05-01", "TENSORDOCK", "0.45", "0.46", "0.01"),
        ("2026-05-02", "CLOUDYPAD", "0.25", None, None),
        ("2026-05-02", "TENSORDOCK", "0.45", "0.46", "0.01"),
    ]
    assert (await used.error("CostComparison", ANN, **MAY))["extensions"]["code"] == "FORBIDDEN"


async def test_an_estimate_is_of_the_placement_that_would_be_tried_first(gateway: GatewayWorld) -> None:
    estimate = (await gateway.data("CostEstimate", ANN, console="SWITCH", hours=2.5, **{"from": DALLAS}))[
        "costEstimate"
    ]

    assert estimate["placement"]["site"]["location"]["city"] == "Dallas"
    assert Decimal(estimate["total"]) == Decimal(estimate["hourlyPrice"]) * Decimal("2.5")
    assert sum(Decimal(line["amount"]) for line in estimate["lines"]) == Decimal(estimate["total"])
    assert [line["group"] for line in estimate["lines"]] == ["machine", "storage"]


@pytest.mark.parametrize("hours", [0, -1, 1e9])
async def test_an_estimate_for_absurd_hours_is_refused(gateway: GatewayWorld, hours: float) -> None:
    error = await gateway.error("CostEstimate", ANN, console="SWITCH", hours=hours)

    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "hours"}


async def test_an_operator_sets_a_limit_and_the_user_sees_it(gateway: GatewayWorld) -> None:
    wish = {"period": "MONTHLY", "amount": "20.00", "hard": True, "userId": "ann"}

    payload = (await gateway.data("SetSpendingLimit", OPERATOR, input=wish))["setSpendingLimit"]

    assert payload == {"limit": {**wish, "currency": "USD"}, "errors": []}
    assert (await gateway.data("SpendingLimits", ANN))["spendingLimits"] == [{**wish, "currency": "USD"}]
    (entry,) = await gateway.db.find(AuditEntry, {})
    assert (entry.action, entry.actor_id, entry.subject_id) == ("setSpendingLimit", "olga", "ann")


async def test_a_limit_that_is_set_again_is_changed(gateway: GatewayWorld) -> None:
    for amount in ("20", "30"):
        await gateway.data("SetSpendingLimit", OPERATOR, input={"period": "DAILY", "amount": amount})

    limits = (await gateway.data("SpendingLimits", OPERATOR))["spendingLimits"]

    assert limits == [{"period": "DAILY", "amount": "30", "currency": "USD", "hard": False, "userId": None}]
    assert (await gateway.data("SpendingLimits", ANN))["spendingLimits"] == []


async def test_a_limit_is_told_in_figures_however_it_was_written(gateway: GatewayWorld) -> None:
    await gateway.data("SetSpendingLimit", OPERATOR, input={"period": "DAILY", "amount": "1E+3"})

    (limit,) = await gateway.db.find(SpendingLimit, {})
    (entry,) = await gateway.db.find(AuditEntry, {})
    assert str(limit.usd) == "1000"
    assert entry.detail == "the platform's daily spending limit of 1000 USD, soft"


@pytest.mark.parametrize(
    ("wish", "path"),
    [
        ({"amount": "-1"}, ["input", "amount"]),
        ({"amount": "0"}, ["input", "amount"]),
        ({"amount": "1000000.01"}, ["input", "amount"]),
        ({"amount": "0.00001"}, ["input", "amount"]),
        ({"amount": "1", "userId": "$(reboot)"}, ["input", "userId"]),
    ],
)
async def test_absurd_limits_are_refused_and_nothing_is_set(
    gateway: GatewayWorld, wish: dict[str, str], path: list[str]
) -> None:
    payload = (await gateway.data("SetSpendingLimit", OPERATOR, input={"period": "DAILY", **wish}))["setSpendingLimit"]

    assert payload["limit"] is None
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [("BAD_USER_INPUT", path)]
    assert await gateway.db.find(SpendingLimit, {}) == []


@pytest.mark.parametrize("caller", [ANN, SERVICE])
async def test_only_operators_set_limits(gateway: GatewayWorld, caller: Any) -> None:
    error = await gateway.error("SetSpendingLimit", caller, input={"period": "DAILY", "amount": "5"})

    assert error["extensions"]["code"] == "FORBIDDEN"
    assert await gateway.db.find(SpendingLimit, {}) == []


async def test_a_limit_that_is_removed_is_gone_and_the_audit_log_says_so(gateway: GatewayWorld) -> None:
    await gateway.data("SetSpendingLimit", OPERATOR, input={"period": "DAILY", "amount": "5", "userId": "ann"})
    await gateway.data("SetSpendingLimit", OPERATOR, input={"period": "DAILY", "amount": "50"})

    wish = {"period": "DAILY", "userId": "ann"}
    removed = (await gateway.data("RemoveSpendingLimit", OPERATOR, input=wish))["removeSpendingLimit"]
    again = (await gateway.data("RemoveSpendingLimit", OPERATOR, input=wish))["removeSpendingLimit"]

    assert removed["errors"] == []
    assert removed["limit"] == {
        "period": "DAILY",
        "amount": "5",
        "currency": "USD",
        "hard": False,
        "userId": "ann",
    }
    assert (again["limit"], [error["code"] for error in again["errors"]]) == (None, ["NOT_FOUND"])
    assert [limit.user_id for limit in await gateway.db.find(SpendingLimit, {})] == [None]
    entries = await gateway.db.find(AuditEntry, {"action": "removeSpendingLimit"}, sort=[("at", 1)])
    assert [entry.outcome for entry in entries] == [Outcome.DONE, Outcome.REFUSED]
    assert (entries[0].subject_id, entries[0].detail) == ("ann", "the daily spending limit of 5 USD, soft")


@pytest.mark.parametrize("caller", [ANN, SERVICE])
async def test_only_operators_remove_limits(gateway: GatewayWorld, caller: Any) -> None:
    await gateway.data("SetSpendingLimit", OPERATOR, input={"period": "DAILY", "amount": "5", "userId": "ann"})

    error = await gateway.error("RemoveSpendingLimit", caller, input={"period": "DAILY", "userId": "ann"})

    assert error["extensions"]["code"] == "FORBIDDEN"
    assert await gateway.db.count(SpendingLimit, {}) == 1


async def test_a_stopped_machine_is_not_started_over_a_hard_limit(gateway: GatewayWorld) -> None:
    now, vm_id = datetime.now(UTC), "200000000000000001"
    await gateway.db.insert(a_vm(vm_id, status=VmStatus.STOPPED))
    await gateway.db.insert(an_interval(vm_id, 1, now - timedelta(seconds=1), None, machine_usd_per_hour="3600000000"))
    await gateway.data(
        "SetSpendingLimit", OPERATOR, input={"period": "MONTHLY", "amount": "5", "hard": True, "userId": "ann"}
    )

    payload = (await gateway.data("StartVm", ANN, vmId=global_id("VM", vm_id)))["startVm"]

    assert payload["vm"] is None
    assert [error["code"] for error in payload["errors"]] == ["SPENDING_LIMIT_REACHED"]


async def test_a_limit_in_the_question_is_answered_and_nothing_is_raised(gateway: GatewayWorld) -> None:
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    await gateway.db.insert(
        an_interval("1", 1, start, start + timedelta(milliseconds=1), machine_usd_per_hour="3600000")
    )

    alerts = (await gateway.data("SpendingAlerts", ANN, dailyLimit="1.00", monthlyLimit="1.25"))["spendingAlerts"]

    assert [(alert["level"], alert["period"], alert["limit"], alert["currency"]) for alert in alerts] == [
        ("CRITICAL", "DAILY", "1.00", "USD"),
        ("WARNING", "MONTHLY", "1.25", "USD"),
    ]
    assert await gateway.db.find(SpendingAlert, {}) == []
    error = await gateway.error("SpendingAlerts", ANN, dailyLimit="-1")
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "dailyLimit"}


async def test_an_alert_reaches_whom_it_concerns_as_it_is_raised(gateway: GatewayWorld) -> None:
    now = datetime.now(UTC)
    await gateway.db.insert(an_interval("1", 1, now - timedelta(seconds=1), None, machine_usd_per_hour="3600000"))
    for user_id in ("ann", "bob"):
        await gateway.data("SetSpendingLimit", OPERATOR, input={"period": "MONTHLY", "amount": "1", "userId": user_id})
    stream = await gateway.follow("SpendingAlertRaised", ANN)
    first = asyncio.ensure_future(anext(stream))
    await until_followed(gateway)

    raised = await Alerts(gateway.db).raise_all_due(now)

    alert = (await asyncio.wait_for(first, 20))["data"]["spendingAlerts"]
    assert (alert["level"], alert["userId"], alert["limit"], alert["currency"]) == ("CRITICAL", "ann", "1", "USD")
    assert len(raised) == 1
    await stream.aclose()
    assert gateway.services.alerts.followers == 0
    assert [each["level"] for each in (await gateway.data("SpendingAlerts", ANN))["spendingAlerts"]] == ["CRITICAL"]


async def until_followed(gateway: GatewayWorld) -> None:
    """The change stream is open: what is written from now on is told."""
    feed = gateway.services.alerts._feed
    while not feed._open.is_set():  # noqa: ASYNC110 - each opening has an event of its own
        await asyncio.sleep(0.01)


class Account:
    """Keeps billing.balance.Balance."""

    def __init__(self, *usd: Decimal) -> None:
        self._usd = iter(usd)

    async def balance(self) -> Decimal:
        return next(self._usd)
