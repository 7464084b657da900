"""A launch that may run on either cloud."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from billing.operator_alerts import OperatorAlerts
from errors import AccountBalanceError, AccountQuotaError
from launch.placement_activities import for_earlier_builds, with_every_cloud
from models.catalog import CONSOLES, ConsoleType
from models.launches import Launch, LaunchStatus
from models.limits import AlertLevel
from models.operator_alerts import OperatorAlertCode
from models.placement_cache import FullSite
from models.vms import VmStatus
from placement.ranking import LocatedSite, RankedPlacement
from placement.unavailable_sites import EVERY_SITE
from providers.base import Offer, Place, PriceLine, PricePart, ProviderName, Site, SiteId
from tests.fakes.cloud import site
from tests.world import World

pytestmark = pytest.mark.test_server

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


async def test_a_quota_of_the_whole_account_moves_to_the_other_cloud_at_once_and_tells_the_operator(
    world: World,
) -> None:
    regions = [region(f"region-{number}", f"0.1{number}") for number in range(3)]
    world.google.stock = regions
    world.google.failures["rent"] = [AccountQuotaError("Quota 'GPUS_ALL_REGIONS' exceeded", "GPUS_ALL_REGIONS")]

    launch = await world.until_over(await world.launch(near=None))
    other = await world.until_over(await world.launch(near=None, caller_id="player-2", user_id="player-2"))

    assert launch.status is LaunchStatus.READY
    assert [(each.provider, each.outcome) for each in launch.attempts] == [
        *[(ProviderName.CLOUDYPAD, "Quota 'GPUS_ALL_REGIONS' exceeded")] * 3,
        (ProviderName.TENSORDOCK, "rented"),
    ]
    assert world.google.calls["rent"] == 1
    assert [each.provider for each in other.attempts] == [ProviderName.TENSORDOCK]
    (alert,) = await OperatorAlerts(world.db).find_newest(with_cleared=False, limit=10)
    assert (alert.code, alert.subject_id) == (OperatorAlertCode.QUOTA_EXCEEDED, "CLOUDYPAD:GPUS_ALL_REGIONS")


async def test_a_balance_too_low_at_the_order_moves_to_the_other_cloud_and_tells_the_operator(world: World) -> None:
    world.google.stock = [region(IOWA, "9.40")]
    world.cloud.failures["rent"] = [AccountBalanceError("TensorDock's balance of 0.42 USD is too low")]

    launch = await world.until_over(await world.launch())

    assert launch.status is LaunchStatus.READY
    assert {(each.provider, each.outcome) for each in launch.attempts} == {
        (ProviderName.TENSORDOCK, "TensorDock's balance of 0.42 USD is too low"),
        (ProviderName.CLOUDYPAD, "rented"),
    }
    assert (world.cloud.calls["rent"], world.cloud.rented, len(world.google.rented)) == (1, {}, 1)
    (alert,) = await OperatorAlerts(world.db).find_newest(with_cleared=False, limit=10)
    assert (alert.subject_id, alert.message) == (
        "TENSORDOCK:BALANCE",
        "TENSORDOCK rents nothing out: the balance is too low. Top it up",
    )
    assert [full.site_id for full in await world.db.find(FullSite, {})] == [EVERY_SITE]


async def test_an_offer_that_the_balance_does_not_cover_leaves_the_cheaper_ones_of_its_cloud(world: World) -> None:
    dallas, chicago, *_ = world.cloud.stock
    world.cloud.stock = [replace(dallas, usd_per_vcpu_hour=chicago.usd_per_vcpu_hour + Decimal("0.001")), chicago]
    covered = world.cloud.offer(chicago, CONSOLES[ConsoleType.SWITCH].preset.shape)
    assert covered is not None
    world.cloud.failures["rent"] = [AccountBalanceError("TensorDock's balance is too low", covered.usd_per_hour)]

    launch = await world.until_over(await world.launch())

    assert launch.status is LaunchStatus.READY
    assert [(each.site_id, each.outcome) for each in launch.attempts] == [
        (DALLAS, "TensorDock's balance is too low"),
        (CHICAGO, "rented"),
    ]
    assert [full.site_id for full in await world.db.find(FullSite, {})] == [EVERY_SITE]


async def test_the_alert_about_a_quota_ends_with_the_next_machine_of_that_cloud(world: World) -> None:
    alerts = OperatorAlerts(world.db)
    subject = f"{ProviderName.TENSORDOCK}:SOME_QUOTA"
    await alerts.raise_alert(AlertLevel.WARNING, OperatorAlertCode.QUOTA_EXCEEDED, subject, "used up")

    await world.until_over(await world.launch())

    assert await alerts.find_newest(with_cleared=False, limit=10) == []


def test_every_cloud_is_among_the_places_to_try() -> None:
    def placement(provider: ProviderName, number: int) -> RankedPlacement:
        offer = Offer(provider, SiteId(str(number)), 8, 16, 200, None, Decimal(number))
        located = LocatedSite(region(str(number), "1"), None, None)
        return RankedPlacement(number, located, offer, None, None, 0.0, ())

    near = [placement(ProviderName.CLOUDYPAD, number) for number in range(20)]
    far = [placement(ProviderName.TENSORDOCK, number) for number in range(20, 30)]

    chosen = with_every_cloud([*near, *far])

    assert [int(each.offer.site_id) for each in chosen] == [*range(10), 20, 21, 22]


def test_an_offer_travels_in_parts_that_earlier_builds_know_and_still_adds_up() -> None:
    prices = {PricePart.GPU: "0.35", PricePart.DISK: "0.02", PricePart.ADDRESS: "0.005", PricePart.EGRESS: "0.7"}
    lines = tuple(PriceLine(part, Decimal(usd)) for part, usd in prices.items())
    total = sum(line.usd_per_hour for line in lines)
    offer = Offer(ProviderName.CLOUDYPAD, IOWA, 8, 30, 200, "nvidia-l4", Decimal(total), lines=lines)

    sent = for_earlier_builds(offer)

    assert {line.part: str(line.usd_per_hour) for line in sent.lines} == {
        PricePart.GPU: "0.35",
        PricePart.DISK: "0.025",
        PricePart.EGRESS: "0.7",
    }
    assert sum(line.usd_per_hour for line in sent.lines) == sent.usd_per_hour == offer.usd_per_hour


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
