"""Warnings of a launch under way."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from launch.warnings import add_warning
from models.catalog import ConsoleType
from models.database import Database
from models.launches import Launch, LaunchStatus


async def launch(db: Database, status: LaunchStatus, warning: str | None = None) -> None:
    await db.insert(
        Launch(
            id="1",
            caller_id="ann",
            idempotency_key="k",
            user_id="ann",
            console=ConsoleType.GB,
            idle_stop_minutes=30,
            max_session_hours=8,
            status=status,
            warning=warning,
            requested_at=datetime.now(UTC),
        )
    )


async def warning(db: Database) -> str | None:
    found = await db.get(Launch, "1")
    assert found is not None
    return found.warning


async def test_a_warning_is_added_once_behind_the_ones_that_are_there(db: Database) -> None:
    await launch(db, LaunchStatus.RUNNING, "A limit is near")

    await add_warning(db, "1", "The core is missing")
    await add_warning(db, "1", "The core is missing")

    assert await warning(db) == "A limit is near. The core is missing"


@pytest.mark.parametrize("status", [LaunchStatus.READY, LaunchStatus.FAILED, LaunchStatus.CANCELLED])
async def test_a_launch_that_has_ended_keeps_its_warning(db: Database, status: LaunchStatus) -> None:
    await launch(db, status)

    await add_warning(db, "1", "The core is missing")

    assert await warning(db) is None
