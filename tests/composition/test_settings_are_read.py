"""No variable of the README's table is without effect."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from schema.execution.limits import Limits
from settings import Settings, load_settings

ROOT = [Path("server.py"), Path("safety.py"), *sorted(Path("composition").glob("*.py"))]
SOURCE = "\n".join(file.read_text(encoding="utf-8") for file in ROOT)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_composition_root_reads_it(name: str) -> None:
    assert re.search(rf"\.{name}\b", SOURCE)


@pytest.mark.parametrize("limit", [field.name for field in fields(Limits)])
def test_every_limit_of_a_document_is_set_by_a_setting(limit: str) -> None:
    assert re.search(rf"\b{limit}=settings\.", SOURCE)


@pytest.mark.usefixtures("no_settings_of_this_machine")
def test_a_file_named_dot_env_is_read_and_the_environment_counts_more(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("PORT=8001\nLOG_LEVEL=DEBUG\n")
    monkeypatch.setenv("PORT", "8002")

    settings = load_settings()

    assert (settings.port, settings.log_level) == (8002, "DEBUG")
