"""Attacks by every number, amount, day and moment that the schema takes, found by walking it: each is answered, or
refused by a code that the caller can act on, and none is more than the service can reckon with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from graphql import GraphQLInputObjectType, get_named_type

from schema.root import SCHEMA
from tests.gateway import OPERATOR
from tests.web.attacked_gateway import AttackedGateway, attacked
from tests.web.test_attacks_arguments import asked, codes_of

__all__ = ["attacked"]

NUMBERS: Final[tuple[Any, ...]] = (
    *(-1, 2**31, 10**30, 1e308, 1e-320, -0.0, True, None, {}),
    *("NaN", "-Infinity", "1e9999", "1E-40", "9" * 40),
)
DAYS: Final[tuple[Any, ...]] = (
    *(
        "0001-01-01",
        "9999-12-31",
        "2023-02-29",
        "0000-00-00",
        "-0001-01-01",
        "10000-01-01",
        "2026-W01-1",
        "",
        0,
        None,
        {},
    ),
)
MOMENTS: Final[tuple[Any, ...]] = (
    *(
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "2026-05-01",
        "",
        1e18,
        {},
    ),
)
EVIL: Final[dict[str, tuple[Any, ...]]] = {
    "Int": NUMBERS,
    "Float": NUMBERS,
    "Decimal": NUMBERS,
    "Date": DAYS,
    "DateTime": MOMENTS,
}
REFUSALS: Final = {"BAD_USER_INPUT", "NOT_FOUND", "QUERY_TOO_COMPLEX", "NO_CAPACITY", "PROVIDER_UNAVAILABLE"}


def arguments() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Operation, field, path and kind of every argument, or field of an input, that takes one of these."""
    for operation, root in (("query", SCHEMA.query_type), ("mutation", SCHEMA.mutation_type)):
        assert root is not None
        for name, field in root.fields.items():
            for argument, taken in field.args.items():
                for path, kind in numbers_within(taken.type, (argument,)):
                    yield operation, name, path, kind


def numbers_within(type_: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    named = get_named_type(type_)
    if isinstance(named, GraphQLInputObjectType):
        for name, field in named.fields.items():
            yield from numbers_within(field.type, (*path, name))
    elif named.name in EVIL:
        yield path, named.name


ARGUMENTS: Final = sorted(arguments())


def test_the_walk_finds_the_arguments_that_there_are() -> None:
    found = {f"{name}({'.'.join(path)})" for _, name, path, _ in ARGUMENTS}

    assert {"costReport(end)", "costEstimate(hours)", "spendingAlerts(dailyLimit)", "vms(first)"} <= found
    assert {"setSpendingLimit(input.amount)", "createApiKey(input.expiresAt)", "placements(from.latitude)"} <= found


@pytest.mark.parametrize(
    ("operation", "name", "path", "kind"), ARGUMENTS, ids=lambda part: part if isinstance(part, str) else ".".join(part)
)
async def test_no_number_and_no_moment_is_more_than_can_be_reckoned_with(
    attacked: AttackedGateway, operation: str, name: str, path: tuple[str, ...], kind: str
) -> None:
    for value in EVIL[kind]:
        told = await attacked.ask(asked(operation, name, path, value), OPERATOR)

        assert codes_of(told.content) <= REFUSALS, (value, told.text)


@pytest.mark.parametrize("granularity", ["HOUR", "DAY", "MONTH"])
@pytest.mark.parametrize("basis", ["METERED", "PROVIDER_BILLED"])
async def test_a_report_at_the_ends_of_the_calendar_is_answered_or_refused(
    attacked: AttackedGateway, granularity: str, basis: str
) -> None:
    for start, end in (("0001-01-01", "0001-01-02"), ("9999-12-30", "9999-12-30"), ("9999-11-29", "9999-11-30")):
        window = f'start: "{start}", end: "{end}", granularity: {granularity}, basis: {basis}'
        told = await attacked.ask(f"{{ costReport({window}) {{ total }} }}", OPERATOR)

        assert codes_of(told.content) <= {"BAD_USER_INPUT"}
