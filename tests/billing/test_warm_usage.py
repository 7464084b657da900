"""The warm pool's usage in reports: a group of its own by every cut, which a filter leaves out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing.provider_billed import Billed
from billing.reports import Report, Reports, WarmUsage
from billing.rollups import Rollups
from billing.windows import Granularity, Window
from models.catalog import ConsoleType
from models.database import Database
from models.rollups import RollupKind
from models.usage import WARM, WARM_USER, UsageInterval, UsageState
from providers.base import ProviderName

DAY = datetime(2026, 10, 5, tzinfo=UTC)
WINDOW = Window(DAY, DAY + timedelta(days=1))


async def metered(db: Database, vm_id: str, user_id: str, usd_per_hour: str, *, warm: bool = False) -> None:
    await db.insert(
        UsageInterval(
            id=f"{vm_id}:1",
            vm_id=vm_id,
            number=1,
            user_id=user_id,
            provider=ProviderName.TENSORDOCK,
            console=ConsoleType.WII,
            state=UsageState.RUNNING,
            start=DAY + timedelta(hours=3),
            end=DAY + timedelta(hours=5),
            machine_usd_per_hour=Decimal(usd_per_hour),
            storage_usd_per_hour=Decimal(0),
            warm=warm,
        )
    )


@pytest.fixture(params=["from intervals", "from rollups"])
async def usage(db: Database, request: pytest.FixtureRequest) -> Database:
    """Two hours of a player's machine, and of one that is in the pool."""
    await metered(db, "100000000000000001", "player-1", "1")
    await metered(db, "warm-100000000000000002", WARM_USER, "3", warm=True)
    if request.param == "from rollups":
        await Rollups(db).roll_up(DAY + timedelta(days=3))
    return db


def amounts(report: Report) -> dict[str, Decimal]:
    return {line.group: line.usd for line in report.groups}


@pytest.mark.parametrize(
    ("kind", "players", "pools"),
    [
        (RollupKind.PROVIDER, "TENSORDOCK", WARM),
        (RollupKind.CONSOLE, "WII", WARM),
        (RollupKind.VM, "100000000000000001", WARM),
        (RollupKind.USER, "player-1", WARM_USER),
    ],
)
async def test_it_is_a_group_of_its_own_and_can_be_left_out(
    usage: Database, kind: RollupKind, players: str, pools: str
) -> None:
    reports = Reports(usage)

    whole = await reports.report(WINDOW, Granularity.DAY, kind)
    without = await reports.report(WINDOW, Granularity.DAY, kind, warm=WarmUsage.LEFT_OUT)

    assert amounts(whole) == {players: Decimal(2), pools: Decimal(6)}
    assert (whole.total_usd, without.total_usd, amounts(without)) == (
        Decimal(8),
        Decimal(2),
        {players: Decimal(2)},
    )


async def test_a_player_sees_nothing_of_it(usage: Database) -> None:
    report = await Reports(usage).report(WINDOW, user_id="player-1")

    assert amounts(report) == {"TENSORDOCK": Decimal(2)}


async def test_what_a_provider_billed_is_compared_with_all_that_was_metered_there(usage: Database) -> None:
    rows = await Billed(usage).compare(WINDOW)

    whole = next(row for row in rows if row.vm_id is None)
    assert (whole.provider, whole.metered_usd) == (ProviderName.TENSORDOCK, Decimal(8))
