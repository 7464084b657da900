"""The promise before the click, with the launch, and what operators see of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from models.catalog import PresetName
from models.database import Database
from models.launch_times import LaunchTime, PlayableBasis, PlayablePromise
from models.launches import Launch
from providers.base import ProviderName
from schema.ids import global_id
from tests.gateway import DALLAS, NOON, OPERATOR, GatewayWorld, a_launch

FIGURES = {"p50Seconds": 735, "p90Seconds": 1800, "samples": 0, "basis": "PUBLIC_FIGURES", "warm": False}
LAUNCH = "100000000000000001"


async def took(db: Database, ready_at: datetime, *seconds: float, site: str = "dallas", promised: float | None) -> None:
    before = await db.count(LaunchTime, {})
    for number, each in enumerate(seconds, before + 1):
        await db.insert(
            LaunchTime(
                id=str(number),
                provider=ProviderName.TENSORDOCK,
                site_id=site,
                preset=PresetName.PREMIUM,
                warm=False,
                seconds=each,
                ready_at=ready_at,
                promised_p90_seconds=promised,
            )
        )


async def test_placements_and_estimates_say_when_a_game_would_be_playable(gateway: GatewayWorld) -> None:
    await took(gateway.db, datetime.now(UTC), *[60.0] * 9, site="chicago", promised=None)

    placements = (await gateway.data("Placements", console="SWITCH", **{"from": DALLAS}))["placements"]
    cheap = (await gateway.data("Placements", console="GB", **{"from": DALLAS}))["placements"]
    estimate = (await gateway.data("CostEstimate", console="GB", hours=1))["costEstimate"]

    found = {one["site"]["id"]: one["playableIn"] for one in placements}
    assert found[global_id("Hostnode", "chicago")]["basis"] == "SITE"
    assert found[global_id("Hostnode", "dallas")] == {**found[global_id("Hostnode", "chicago")], "basis": "PROVIDER"}
    assert [one["playableIn"] for one in cheap] == [FIGURES] * len(cheap)
    assert estimate["playableIn"] == FIGURES


async def test_a_launch_shows_its_promise_and_its_outcome(gateway: GatewayWorld) -> None:
    promise = PlayablePromise(p50_seconds=50, p90_seconds=90, samples=9, basis=PlayableBasis.SITE, warm=True)
    launch = a_launch(LAUNCH, "ann")
    await gateway.db.insert(launch)
    before = (await gateway.data("Launch", id=global_id("Launch", LAUNCH)))["launch"]
    await gateway.db.update(
        Launch,
        {"_id": LAUNCH},
        {"$set": {"promises": [promise.model_dump_doc()], "ready_at": NOON, "requested_at": NOON}},
    )

    after = (await gateway.data("Launch", id=global_id("Launch", LAUNCH)))["launch"]

    assert (before["playableIn"], before["playableAfterSeconds"]) == (None, None)
    assert after["playableIn"] == {"p50Seconds": 50, "p90Seconds": 90, "samples": 9, "basis": "SITE", "warm": True}
    assert after["playableAfterSeconds"] == 0


async def test_operators_see_the_share_of_promises_kept_by_month_and_site(gateway: GatewayWorld) -> None:
    this_month = datetime.now(UTC).replace(day=1, hour=1)
    long_ago = this_month.replace(year=this_month.year - 3)
    await took(gateway.db, this_month, 10, 20, 30, 40, promised=30)
    await took(gateway.db, this_month, 10, promised=None)
    await took(gateway.db, this_month, 10, site="chicago", promised=None)
    await took(gateway.db, long_ago, 10, promised=30)

    [dallas, chicago] = (await gateway.data("LaunchTimes", OPERATOR))["launchTimes"]

    assert dallas == {
        "month": f"{this_month:%Y-%m}-01",
        "provider": "TENSORDOCK",
        "siteKey": "dallas",
        "warm": False,
        "launches": 5,
        "medianSeconds": 20,
        "p90Seconds": 40,
        "promises": 4,
        "keptShare": 0.75,
    }
    assert (chicago["siteKey"], chicago["promises"], chicago["keptShare"]) == ("chicago", 0, None)


@pytest.mark.parametrize("months", [0, -1, 25])
async def test_a_span_that_is_not_allowed_is_refused(gateway: GatewayWorld, months: int) -> None:
    error = await gateway.error("LaunchTimes", OPERATOR, months=months)

    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "months must be 1 to 24" in error["message"]
