from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fleet.provider_reports import ProviderReports, ReportedHealth
from models.database import Database
from models.provider_reports import ProviderReport
from providers.base import ProviderHealth, ProviderName
from tests.fakes.cloud import FakeCloud

TENSORDOCK = ProviderName.TENSORDOCK


class Cloud(FakeCloud):
    """A cloud whose health is what a test says."""

    def __init__(self, *, healthy: bool, detail: str) -> None:
        super().__init__(TENSORDOCK)
        self.looks = ProviderHealth(configured=True, healthy=healthy, simulated=False, detail=detail)

    async def health(self) -> ProviderHealth:
        return self.looks


@pytest.fixture
async def reported(db: Database) -> ReportedHealth:
    return ReportedHealth(db, TENSORDOCK, simulated=True)


async def test_what_a_worker_sees_is_what_every_process_reads(db: Database, reported: ReportedHealth) -> None:
    cloud = Cloud(healthy=False, detail="the executable is not there")
    reports = ProviderReports(db, [cloud], "worker-1")

    await reports.write()
    before = await reported.get()
    cloud.looks = ProviderHealth(configured=True, healthy=True, simulated=False, detail="balance 25.00 USD")
    await reports.write()

    assert before == ProviderHealth(True, False, True, "the executable is not there")
    assert await reported.get() == ProviderHealth(True, True, True, "balance 25.00 USD")
    assert await db.count(ProviderReport, {}) == 1


async def test_a_cloud_that_one_worker_can_use_is_healthy(db: Database, reported: ReportedHealth) -> None:
    await ProviderReports(db, [Cloud(healthy=True, detail="fine")], "worker-1").write()
    await ProviderReports(db, [Cloud(healthy=False, detail="no executable")], "worker-2").write()

    assert await reported.get() == ProviderHealth(True, True, True, "fine")


async def test_without_a_report_nothing_is_held_against_a_cloud(reported: ReportedHealth) -> None:
    assert await reported.get() == ProviderHealth(True, True, True, "no worker has reported on it yet, or recently")


async def test_the_report_of_a_worker_that_is_gone_expires_and_is_deleted(
    db: Database, reported: ReportedHealth
) -> None:
    await ProviderReports(db, [Cloud(healthy=False, detail="no executable")], "worker-1").write()
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    await db.update(ProviderReport, {"_id": "TENSORDOCK:worker-1"}, {"$set": {"expires_at": long_ago}})

    assert (await reported.get()).healthy
    await ProviderReports(db, [Cloud(healthy=True, detail="fine")], "worker-2").write()
    assert [report.id for report in await db.find(ProviderReport, {})] == ["TENSORDOCK:worker-2"]
