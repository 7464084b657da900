"""The warm pool with both simulated clouds: machines are ready before launches, and off until one takes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.catalog import PresetName
from models.database import Database
from models.launch_times import LaunchTime
from models.usage import UsageInterval
from models.warm_machines import WarmMachine, WarmStatus
from providers.base import ProviderName
from schema.ids import key_of
from tests.e2e.service import DALLAS, Deployment, Gateway

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def records(deployed: Deployment) -> AsyncIterator[Database]:
    database = Database(deployed.environment["MONGODB_ATLAS_URI"], deployed.environment["MONGODB_DATABASE"])
    yield database
    await database.close()


async def site_of(gateway: Gateway, provider: ProviderName) -> str:
    placements = await gateway.data("Placements", {"console": "SWITCH", "from": DALLAS, "provider": provider})
    site = placements["placements"][0]["site"]["id"]
    key = key_of("Hostnode", site) or key_of("Region", site)
    assert key is not None
    return key


async def was_played(records: Database, sites: dict[ProviderName, str]) -> None:
    """Yesterday, a launch at each of the sites was requested at a time that comes within the next hour."""
    yesterday = datetime.now(UTC) - timedelta(days=1) + timedelta(minutes=30)
    for provider, site_id in sites.items():
        taken = LaunchTime(
            id=f"past-{provider}",
            provider=provider,
            site_id=site_id,
            preset=PresetName.PREMIUM,
            warm=False,
            seconds=60,
            ready_at=yesterday + timedelta(seconds=60),
        )
        await records.insert(taken)


async def pool(gateway: Gateway) -> list[dict[str, Any]]:
    machines: list[dict[str, Any]] = (await gateway.data("WarmPool"))["warmPool"]["machines"]
    return machines


async def until_ready(records: Database, count: int) -> None:
    async with asyncio.timeout(150), records.watch(WarmMachine, []) as changes:
        while await records.count(WarmMachine, {"status": WarmStatus.READY}) < count:
            await changes.try_next()


async def test_launches_take_machines_that_were_ready_on_both_clouds(deployed: Deployment, records: Database) -> None:
    gateway = await deployed.gateway()
    sites = {provider: await site_of(gateway, provider) for provider in ProviderName}
    await was_played(records, sites)
    payload = await gateway.data("SetWarmPool", {"input": {"ceilingPerDay": "1000"}})
    assert payload["setWarmPool"]["errors"] == []
    deployed.worker()  # its schedule plans the pool at once

    await until_ready(records, 2)
    ready = await pool(gateway)
    at_tensordock, at_google = await deployed.machines(), await deployed.at_google()
    launches = [
        await gateway.launch(provider=provider, userId=user)
        for provider, user in ((ProviderName.TENSORDOCK, "ann"), (ProviderName.CLOUDYPAD, "bob"))
    ]
    ended = [(await gateway.until_over(launch))[-1]["status"] for launch in launches]

    assert {each["siteKey"] for each in ready} == set(sites.values())
    assert [each["state"] for each in at_tensordock] == ["stoppeddisassociated"]
    assert [each["status"] for each in at_google] == ["TERMINATED"]
    assert ended == ["READY", "READY"]
    vms = [(await gateway.data("Launch", {"id": launch}))["launch"]["vm"]["id"] for launch in launches]
    assert {key_of("VM", vm) for vm in vms} == {key_of("WarmMachine", each["id"]) for each in ready}
    assert await records.count(WarmMachine, {"status": WarmStatus.TAKEN}) == 2
    intervals = await records.find(UsageInterval, {}, sort=[("start", 1)])
    ends = {each.end for each in intervals if each.warm}
    assert {each.start for each in intervals if not each.warm and each.number == 1} <= ends
    today = str(datetime.now(UTC).date())
    report = (await gateway.data("CostReport", {"start": today, "end": today}))["costReport"]
    assert {line["group"] for line in report["groups"]} == {"CLOUDYPAD", "TENSORDOCK", "WARM"}
