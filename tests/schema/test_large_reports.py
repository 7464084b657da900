"""A report costs what its arguments ask for, holds a bounded number of rows, and lets other work run meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from graphql import parse

from errors import InvalidInputError
from resolvers.context import Context
from schema.execution.complexity import measure
from schema.execution.requests import RequestFailedError
from schema.root import SCHEMA
from tests.gateway import ANN, OPERATOR, GatewayWorld, text_of

EVERYTHING = "buckets { start end amount runningHours lines { group amount runningHours } }"
A_YEAR = {"start": "2026-01-01", "end": "2026-12-31"}


def cost(document: str, **variables: Any) -> int:
    return measure(SCHEMA, parse(document), variables).cost


def report(granularity: str, start: str = "2026-01-01", end: str = "2026-12-31", fields: str = EVERYTHING) -> str:
    return f'costReport(start: "{start}", end: "{end}", granularity: {granularity}) {{ {fields} }}'


@pytest.mark.parametrize(("granularity", "buckets"), [("HOUR", 365 * 24), ("DAY", 365), ("MONTH", 15)])
def test_a_report_costs_its_buckets(granularity: str, buckets: int) -> None:
    # Each bucket: itself, four values, its lines, and three values of each of two lines; twenty count as one.
    assert cost(f"{{ {report(granularity)} }}") == 100 + -(-buckets * 12 // 20)


def test_a_day_costs_less_than_a_year_and_few_fields_less_than_all() -> None:
    assert cost(f"{{ {report('HOUR', end='2026-01-01')} }}") == 100 + 15
    assert cost(f"{{ {report('HOUR', fields='buckets { amount }')} }}") == 100 + 876
    assert cost(f"{{ {report('HOUR', fields='total')} }}") == 101


def test_the_arguments_may_be_variables_defaults_or_left_out() -> None:
    document = text_of("CostReport")

    by_day, by_hour = cost(document, **A_YEAR), cost(document, **A_YEAR, granularity="HOUR")
    assert cost(document, **A_YEAR, granularity="DAY") == by_day
    assert by_hour > 15 * by_day
    assert cost(document, **A_YEAR, groupBy="USER") > 2 * by_day
    without = f'{{ costReport(start: "2026-01-01", end: "2026-12-31") {{ {EVERYTHING} }} }}'
    assert cost(without) == cost(f"{{ {report('DAY')} }}")


@pytest.mark.parametrize("start", ["no date", 5, None, "0001-01-01"])
def test_what_is_no_date_costs_as_much_as_the_longest_report(start: object) -> None:
    document = text_of("CostReport")

    assert cost(document, start=start, end="2026-12-31", granularity="HOUR") >= cost(
        document, **A_YEAR, granularity="HOUR"
    )


def test_a_fragment_costs_by_the_arguments_where_it_is_spread() -> None:
    fragment = f"fragment F on CostReport {{ {EVERYTHING} }} "

    one = cost(fragment + f"{{ {report('DAY', fields='...F')} }}")
    both = cost(
        fragment + f"{{ a: {report('DAY', fields='...F')} b: {report('DAY', end='2026-01-01', fields='...F')} }}"
    )

    assert (one, both) == (100 + 219, 100 + 219 + 100 + 1)


def test_a_comparison_costs_its_days() -> None:
    rows = "rows { day metered billed }"

    day = cost(f'{{ costComparison(start: "2026-01-01", end: "2026-01-01") {{ {rows} }} }}')
    month = cost(f'{{ costComparison(start: "2026-01-01", end: "2026-01-31") {{ {rows} }} }}')

    assert (day, month) == (1 + 10 * 4, 1 + 310 * 4)


async def test_a_year_by_hours_is_answered_once_and_refused_eight_times(gateway: GatewayWorld) -> None:
    eight = " ".join(f"r{number}: {report('HOUR')}" for number in range(8))

    with pytest.raises(RequestFailedError) as refused:
        await gateway.ask(f"{{ {eight} }}", OPERATOR)
    answer = await gateway.data("CostReport", OPERATOR, **A_YEAR, granularity="HOUR")

    assert refused.value.faults[0]["extensions"]["code"] == "QUERY_TOO_COMPLEX"
    buckets = answer["costReport"]["buckets"]
    assert (len(buckets), buckets[0]["start"], buckets[-1]["end"]) == (
        8760,
        "2026-01-01T00:00:00.000Z",
        "2027-01-01T00:00:00.000Z",
    )


async def test_other_work_runs_while_a_long_report_is_answered(gateway: GatewayWorld) -> None:
    rounds = 0

    async def count() -> None:
        nonlocal rounds
        while True:
            await asyncio.sleep(0)
            rounds += 1

    counting = asyncio.create_task(count())
    await gateway.data("CostReport", OPERATOR, **A_YEAR, granularity="HOUR")
    counting.cancel()

    assert rounds >= 8760 // 100


def test_an_answer_holds_a_bounded_number_of_rows(gateway: GatewayWorld) -> None:
    context = Context(ANN, gateway.services, "request-1")
    context.count_rows(60_000, ("groupBy",))

    with pytest.raises(InvalidInputError, match="at most 100000 report rows") as refused:
        context.count_rows(60_000, ("groupBy",))

    assert refused.value.path == ("groupBy",)
