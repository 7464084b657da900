"""Rows have what their models would have, and are refused when a column cannot be read."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from odmantic import Model

from errors import UnreadableRecordError
from models.database import Database
from models.launches import Attempt, Launch
from models.registry import DOCUMENTS
from models.rows import row_reader
from models.usage import UsageInterval
from models.vms import Vm, VmPlace
from providers.base import ProviderName
from tests.gateway import NOON, a_launch, a_vm


def shown(value: Any) -> Any:
    """Whatever a row or a model holds, to be compared."""
    if isinstance(value, list):
        return [shown(item) for item in value]
    return shown(vars(value)) if hasattr(value, "__dict__") and not isinstance(value, str) else value


async def test_a_row_of_all_columns_has_what_the_model_has(db: Database) -> None:
    attempt = Attempt(provider=ProviderName.TENSORDOCK, site_id="dallas", started_at=NOON, outcome="full")
    vm, launch = a_vm("1", stops_at=NOON), a_launch("2", attempts=[attempt], max_usd_per_hour=Decimal("0.50"))
    await db.insert(vm)
    await db.insert(launch)

    for document in (vm, launch):
        model = type(document)
        stored = await db.get(model, document.id)
        columns = frozenset(model.__odm_fields__)
        rows = await db.read_many(model, [document.id], columns)
        for name in columns:
            assert shown(getattr(rows[document.id], name)) == shown(getattr(stored, name)), name


async def test_a_row_has_the_columns_asked_for_and_the_models_own_properties(db: Database) -> None:
    await db.insert(a_vm("1", stop_warning="stops soon", ports={"47989": 20001}))

    (row,), _ = await db.find_readable(Vm, {}, columns=frozenset({"ports", "created_at", *WARNINGS}))

    assert (row.port(47989), row.warnings, row.created_at.tzinfo) == (20001, "stops soon", UTC)
    assert not hasattr(row, "tag")


WARNINGS = ["warning", "stop_warning", "health_warning", "library_warning", "price_warning", "saves_warning"]


async def test_a_column_that_is_not_stored_has_its_default() -> None:
    row = row_reader(Vm, frozenset({"place", "paired", "ports"})).read({"_id": "1"})

    assert (row.place, row.paired, row.ports) == (VmPlace(), False, {})


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("status", "HIBERNATING"),
        ("status", 7),
        ("tag", None),
        ("created_at", "yesterday"),
        ("usd_per_hour", "much"),
        ("place", []),
        ("place", {"city": 7}),
        ("paired", "yes"),
        ("vcpus", 1.5),
    ],
)
async def test_a_document_with_a_strange_column_is_left_out_and_the_others_are_read(
    db: Database, column: str, value: Any
) -> None:
    for number in range(3):
        await db.insert(a_vm(str(number)))
    await db.upsert(Vm, {"_id": "1"}, {"$set": {column: value}})
    columns = frozenset({"id", column})

    read, unreadable = await db.find_readable(Vm, {}, columns=columns)
    by_id = await db.read_many(Vm, ["0", "1"], columns)

    assert [row.id for row in read] == ["0", "2"]
    assert [(one.id, one.reason) for one in unreadable] == [("1", f"this version cannot read {column}")]
    strange = by_id["1"]
    assert isinstance(strange, UnreadableRecordError)
    assert strange.message == f"this version cannot read {column}"


async def test_a_strange_column_that_nobody_asked_for_does_no_harm(db: Database) -> None:
    await db.insert(a_vm("1"))
    await db.upsert(Vm, {"_id": "1"}, {"$set": {"status": "HIBERNATING"}})

    (row,), unreadable = await db.find_readable(Vm, {}, columns=frozenset({"id", "tag"}))

    assert (row.tag, unreadable) == ("gamer-1", [])


@pytest.mark.parametrize("model", [Vm, Launch, UsageInterval])
def test_every_column_of_models_that_are_shown_can_be_read(model: type[Model]) -> None:
    assert model in DOCUMENTS
    assert set(row_reader(model, frozenset(model.__odm_fields__)).projection.values()) == {1}


def test_prices_are_exact() -> None:
    row = row_reader(Vm, frozenset({"usd_per_hour"})).read({"_id": "1", "usd_per_hour": Decimal128("0.1000")})

    assert str(row.usd_per_hour) == "0.1000"
