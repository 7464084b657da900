"""A small soak: everything fails now and then, processes are killed, and in the end all books agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.soak import Plan, soaked


@pytest.mark.usefixtures("no_settings_of_this_machine")
@pytest.mark.timeout(700)
async def test_after_bad_days_clouds_records_workflows_meter_and_bucket_agree(
    tmp_path: Path, mongodb_uri: str, temporal_address: str
) -> None:
    plan = Plan(
        machines=6,
        minutes=1,
        at_once=3,
        google=0.3,
        seed=7,
        kill_every_s=8,
        fault_every_s=3,
        database_errors=10,
        terminations=0,
        upgrades=0,
        balance_ends=0,
        neighbors=0,
        asleep=False,
    )

    done, verdict = await soaked(plan, tmp_path, mongodb_uri, temporal_address)

    assert verdict.differences == [], verdict.text()
    assert done["tensordock launch READY"] >= 1
