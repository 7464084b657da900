"""Names that other builds and stored data know us by change on purpose only."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from tests.temporal_definitions import classes_of
from tests.wire_names import LIST, changed_indexes, wire_names

_ADVICE = """
Names on the wire differ from tests/wire_names.txt. A name that disappears breaks workflows under way, stored
documents or dashboards: keep it, or read "Upgrading" in docs/operating.md first. On purpose: `make wire-names`.
"""


def test_all_names_on_the_wire_are_those_of_the_committed_list() -> None:
    committed, now = set(LIST.read_text().splitlines()), set(wire_names())

    changes = [f"- {name}" for name in sorted(committed - now)] + [f"+ {name}" for name in sorted(now - committed)]

    assert not changes, "\n".join([_ADVICE, *changes])


@pytest.mark.parametrize(
    "decorator", ["@activity.defn", "@workflow.defn", "@workflow.signal", "@workflow.update", "@workflow.query"]
)
def test_every_definition_says_its_name(decorator: str) -> None:
    modules = {each.__module__ for each in classes_of(*map(import_module, ("launch", "fleet", "billing")))}

    unnamed = [
        f"{module}: {line.strip()}"
        for module in sorted(modules)
        for line in inspect.getsource(import_module(module)).splitlines()
        if line.strip().startswith(decorator) and "name=" not in line
    ]

    assert unnamed == []


def test_an_index_that_changed_under_its_name_is_found() -> None:
    committed = ["mongodb vms index vms_by_age created_at:1", "mongodb vms index vm_tag tag:1 unique=True"]
    now = ["mongodb vms index vms_by_age created_at:-1", "mongodb vms index vm_tag tag:1 unique=True"]

    assert changed_indexes(committed, now) == ["mongodb vms index vms_by_age"]
