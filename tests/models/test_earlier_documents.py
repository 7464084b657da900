"""Documents that earlier builds stored: they lack the fields that were added since."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from models.launches import Launch
from models.registry import DOCUMENTS
from tests.gateway import a_launch

# ODMantic takes no default from a factory when it reads. These fields were there from the beginning: a document without
# them is damaged, not empty.
_WRITTEN_FROM_THE_BEGINNING: Final = {
    *("console_settings.providers", "deployment.accounts", "launches.steps", "launches.attempts"),
    *("rollup_tables", "rollup_spans", "vms.ports", "warm_machines.ports"),
}


def needed(model: Any, within: str) -> Iterator[str]:
    """Yield the fields that have a default, and without which a stored document cannot be read."""
    for name, field in model.__odm_fields__.items():
        if not model.model_fields[name].is_required() and field.is_required_in_doc():
            yield f"{within}.{name}"
        if embedded := getattr(field, "model", None):
            yield from needed(embedded, f"{within}.{name}")


def test_a_stored_document_may_lack_every_field_that_was_added_later() -> None:
    found = {each for model in DOCUMENTS for each in needed(model, str(model.__collection__))}

    unreadable = {each for each in found if not {each, each.split(".")[0]} & _WRITTEN_FROM_THE_BEGINNING}

    assert unreadable == set(), "give these a plain default instead of a factory"


def test_a_launch_of_an_earlier_build_is_read() -> None:
    raw = a_launch("1").model_dump_doc()
    for added in ("measured_rtts", "promises", "changed_at"):
        del raw[added]

    launch = Launch.model_validate_doc(raw)

    assert (launch.measured, launch.promises) == ({}, [])
