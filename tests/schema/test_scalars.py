"""Scalars take exactly what their descriptions say."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from models.limits import SpendingLimit
from schema.execution.requests import RequestFailedError
from schema.scalars import parsed_date, parsed_decimal, parsed_moment
from tests.gateway import OPERATOR, GatewayWorld

WITH_33_DIGITS = "0." + "1" * 32
WITH_34_DIGITS = "0." + "1" * 33


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("0.45", "0.45"),
        ("-3", "-3"),
        ("1e30", "1e30"),
        ("1.5E-7", "0.00000015"),
        (WITH_33_DIGITS, WITH_33_DIGITS),
        ("9" * 33, "9" * 33),
        (7, "7"),
        (10**18 + 1, "1000000000000000001"),
        (0.1, "0.1"),
        (1e-07, "0.0000001"),
    ],
)
def test_a_decimal_is_read_exactly(sent: object, read: str) -> None:
    assert parsed_decimal(sent) == Decimal(read)


@pytest.mark.parametrize(
    "sent",
    [WITH_34_DIGITS, "1" * 34, "1" * 5000, "1e33", "1e-33", "1e999", "1e999999999", "NaN", "Infinity", "1_000", " 1",
     "1\n", "٣", "+1", ".5", "5.", "1,5", "0x1", "", True, None, [], 0.30000000000000004, 1e30, float("inf"), 2.0**53],
)  # fmt: skip
def test_what_is_no_decimal_or_has_too_many_digits_is_refused(sent: object) -> None:
    with pytest.raises(ValueError, match="Decimal"):
        parsed_decimal(sent)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("2026-05-01T12:00:00Z", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ("2026-05-01t12:00:00.25z", datetime(2026, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-05-01T14:00:00+02:00", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_with_its_offset(sent: str, read: datetime) -> None:
    assert parsed_moment(sent) == read


@pytest.mark.parametrize(
    "sent",
    ["2026-05-01T12:00:00", "2026-05-01 12:00:00Z", "2026-05-01T12:00Z", "20260501T120000Z", "2026-W18-5T12:00:00Z",
     "2026-05-01T12:00:00+0200", "2026-05-01T12:00:00,5Z", "2026-05-01T24:00:00Z", "2026-02-30T12:00:00Z", "2026-05-01",
     "2026-05-01T12:00:61Z", "0001-01-01T00:00:00+02:00", "9999-12-31T23:59:60Z", "٢٠٢٦-05-01T12:00:00Z", "", 5, None],
)  # fmt: skip
def test_what_is_not_by_rfc_3339_is_refused(sent: object) -> None:
    with pytest.raises(ValueError, match="DateTime"):
        parsed_moment(sent)


def test_a_date_is_read() -> None:
    assert parsed_date("2026-05-01") == date(2026, 5, 1)


@pytest.mark.parametrize(
    "sent",
    ["20260501", "2026-W18-5", "2026-5-1", "2026-02-30", "0000-01-01", "2026-05-01T00:00:00Z", "", 20260501, None],
)
def test_what_is_no_date_is_refused(sent: object) -> None:
    with pytest.raises(ValueError, match="Date"):
        parsed_date(sent)


@pytest.mark.parametrize("number", [WITH_34_DIGITS, "1" * 34, "1" * 40, "1" * 5000])
@pytest.mark.parametrize(
    ("document", "variables"),
    [
        ("SpendingAlerts", {"dailyLimit": ...}),
        ("SetSpendingLimit", {"input": {"period": "DAILY", "amount": ...}}),
        ("ConfigureConsole", {"input": {"console": "NES", "providers": [{"provider": "TENSORDOCK", "enabled": True,
                                                                          "maxHourlyPrice": ...}]}}),
        ("LaunchGame", {"input": {"console": "SWITCH", "gameId": "mario-odyssey", "maxHourlyPrice": ...}}),
    ],
)  # fmt: skip
async def test_a_number_with_34_digits_is_bad_user_input_as_a_variable(
    gateway: GatewayWorld, document: str, variables: dict[str, Any], number: str
) -> None:
    with pytest.raises(RequestFailedError) as failed:
        await gateway.ask(document, OPERATOR, **filled(variables, number))

    assert [fault["extensions"]["code"] for fault in failed.value.faults] == ["BAD_USER_INPUT"]
    assert gateway.engine.started == []


@pytest.mark.parametrize("number", [WITH_34_DIGITS, "1" * 34, f'"{"1" * 34}"', "1" * 200])
@pytest.mark.parametrize(
    "document",
    [
        "{ spendingAlerts(monthlyLimit: %s) { level } }",
        "mutation { setSpendingLimit(input: {period: DAILY, amount: %s}) { limit { amount } } }",
        "{ vms(first: %s) { edges { cursor } } }",
        "{ launches(first: %s) { edges { cursor } } }",
        "mutation { createVm(input: {console: NES, idleStopMinutes: %s}) { launch { id } } }",
    ],
)
async def test_a_number_with_34_digits_is_refused_as_a_literal(
    gateway: GatewayWorld, document: str, number: str
) -> None:
    with pytest.raises(RequestFailedError) as failed:
        await gateway.ask(document % number, OPERATOR)

    assert failed.value.faults[0]["extensions"]["code"] in ("BAD_USER_INPUT", "QUERY_TOO_COMPLEX")
    assert await gateway.db.find(SpendingLimit, {}) == []


def filled(variables: Any, number: str) -> Any:
    """The variables with the number where they say `...`."""
    if isinstance(variables, dict):
        return {name: filled(value, number) for name, value in variables.items()}
    if isinstance(variables, list):
        return [filled(value, number) for value in variables]
    return number if variables is ... else variables
