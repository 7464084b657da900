from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from docs.record_launch import recording, with_recording
from docs.settings_table import ENV_EXAMPLE, README, env_example, table, with_table
from settings import Settings

DOCUMENTS = sorted([Path("README.md"), *Path("docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


def test_the_table_of_settings_is_what_the_settings_say() -> None:
    """`make docs` writes it."""
    readme = README.read_text(encoding="utf-8")

    assert with_table(readme) == readme


def test_the_example_of_a_dot_env_file_has_every_setting_and_sets_none() -> None:
    """`make docs` writes it."""
    text = ENV_EXAMPLE.read_text(encoding="utf-8")

    assert text == env_example()
    assert re.findall(r"^#(\w+)=", text, re.MULTILINE) == [name.upper() for name in Settings.model_fields]
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == []


def test_every_setting_is_in_the_table() -> None:
    assert re.findall(r"^\| `(\w+)` \|", table(), re.MULTILINE) == [name.upper() for name in Settings.model_fields]


def test_the_table_says_defaults_as_one_would_write_them() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", table(), re.MULTILINE))

    assert rows["PORT"] == "`8000`"
    assert rows["GEOCODE_ONLINE"] == "`false`"
    assert rows["MONGODB_ATLAS_URI"] == "none"
    assert rows["CORS_ORIGINS"] == "`http://localhost:3000` `http://localhost:5173`"


def test_a_recording_tells_when_what_happened() -> None:
    events: list[dict[str, object]] = [
        {"at": "2026-01-01T00:00:00Z", "step": "BOOT", "stepStatus": "RUNNING", "progress": 0.1, "message": "Booting"},
        {"at": "2026-01-01T00:00:02.5Z", "step": None, "stepStatus": None, "progress": 1, "message": "Ready"},
    ]

    lines = recording({"launchGame": {}}, events, {"launch": {"status": "READY"}}).splitlines()

    assert "  0.0 s   10%  BOOT              RUNNING  Booting" in lines
    assert "  2.5 s  100%                             Ready" in lines
    assert '    "status": "READY"' in lines


def test_a_recording_replaces_the_one_before() -> None:
    readme = with_recording(README.read_text(encoding="utf-8"), "the first\n")

    assert with_recording(readme, "the second\n") == readme.replace("the first\n", "the second\n")


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    lost = [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()]

    assert lost == []


@pytest.mark.parametrize(("length", "status"), [(72, 0), (73, 1)])
def test_the_commit_hook_refuses_subjects_of_more_than_72_characters(tmp_path: Path, length: int, status: int) -> None:
    message = tmp_path / "message"
    message.write_text(f"{'a' * length}\n\nA body may have lines of any length: {'b' * 100}\n")

    assert (
        subprocess.run([".githooks/commit-msg", message], check=False, stderr=subprocess.DEVNULL).returncode == status
    )
