"""No variable of the README's table is without effect."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from schema.limits import Limits
from settings import Settings

ROOT = [Path("server.py"), Path("safety.py"), *sorted(Path("composition").glob("*.py"))]
SOURCE = "\n".join(file.read_text(encoding="utf-8") for file in ROOT)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_composition_root_reads_it(name: str) -> None:
    assert re.search(rf"\.{name}\b", SOURCE)


@pytest.mark.parametrize("limit", [field.name for field in fields(Limits)])
def test_every_limit_of_a_document_is_set_by_a_setting(limit: str) -> None:
    assert re.search(rf"\b{limit}=settings\.", SOURCE)
