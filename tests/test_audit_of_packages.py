"""An audit that found something fails; one that could not look says so and is not taken for a good one."""

from __future__ import annotations

import pytest

from deploy.audit import judged


def test_a_known_weakness_fails_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    weak = {"name": "left", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}

    assert judged([weak, {"name": "right", "version": "2.0", "vulns": []}]) == 1
    assert capsys.readouterr().err == "left 1.0: PYSEC-1, mended in 1.1\n"


def test_packages_that_nobody_could_look_up_are_not_called_good(capsys: pytest.CaptureFixture[str]) -> None:
    assert judged([{"name": "left", "version": "1.0", "skip_reason": "no connection"}]) == 0
    assert "NOT AUDITED" in capsys.readouterr().err


def test_packages_without_known_weakness_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert judged([{"name": "left", "version": "1.0", "vulns": []}]) == 0
    assert capsys.readouterr().err == "audit: 1 packages, no known weakness\n"
