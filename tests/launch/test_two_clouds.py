"""A launch that may run on either cloud."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from models.launches import Launch, LaunchStatus
from models.vms import VmStatus
from providers.base import Place, ProviderName, Site, SiteId
from tests.fakes.cloud import site
from tests.world import World

DALLAS, CHICAGO, IOWA = SiteId("dallas"), SiteId("chicago"), SiteId("us-central1")


def region(name: str, usd_per_hour: str) -> Site:
    priced = site(name, Place("Council Bluffs", "Iowa", "United States"), usd_per_hour)
    return replace(priced, provider=ProviderName.CLOUDYPAD)


async def test_a_launch_goes_from_one_cloud_to_the_other_and_back(world: World) -> None:
    world.google.stock = [region(IOWA, "0.10")]
    world.cloud.full = {DALLAS}
    world.google.full = {IOWA}

    launch = await world.until_over(await world.launch())

    assert launch.status is LaunchStatus.READY
    assert [(each.provider, each.site_id, each.outcome) for each in launch.attempts] == [
        (ProviderName.TENSORDOCK, DALLAS, "No available nodes found"),
        (ProviderName.CLOUDYPAD, IOWA, "No available nodes found"),
        (ProviderName.TENSORDOCK, CHICAGO, "rented"),
    ]
    assert (len(world.cloud.rented), world.google.rented) == (1, {})


async def test_the_other_cloud_carries_a_launch_when_one_is_full(world: World) -> None:
    world.google.stock = [region(IOWA, "1.40")]
    world.cloud.full = {each.id for each in world.cloud.stock}

    launch = await world.until_over(await world.launch())

    vm = await world.vm(launch)
    assert (launch.status, vm.provider, vm.status) == (LaunchStatus.READY, ProviderName.CLOUDYPAD, VmStatus.RUNNING)
    assert (world.cloud.rented, len(world.google.rented)) == ({}, 1)


async def test_a_full_region_is_passed_over_by_the_next_launch(world: World) -> None:
    world.google.stock = [region(IOWA, "0.10")]
    world.cloud.full, world.google.full = {DALLAS}, {IOWA}
    await world.until_over(await world.launch())
    world.google.full = set()

    other = await world.until_over(await world.launch(caller_id="player-2", user_id="player-2"))

    assert [each.site_id for each in other.attempts] == [CHICAGO]


@pytest.mark.parametrize(
    ("provider", "minutes"), [(ProviderName.TENSORDOCK, 10), (ProviderName.CLOUDYPAD, 60)], ids=str
)
async def test_renting_has_the_time_that_its_cloud_needs(world: World, provider: ProviderName, minutes: int) -> None:
    world.google.stock = [region(IOWA, "1.40")]

    launch = await world.until_over(await world.launch(provider=provider))

    assert await time_to_rent(world, launch) == timedelta(minutes=minutes)


async def time_to_rent(world: World, launch: Launch) -> timedelta:
    history = await world.client.get_workflow_handle(f"launch-{launch.id}").fetch_history()
    (scheduled,) = [
        event.activity_task_scheduled_event_attributes
        for event in history.events
        if event.activity_task_scheduled_event_attributes.activity_type.name == "rent"
    ]
    return scheduled.schedule_to_close_timeout.ToTimedelta()
