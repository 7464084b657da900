"""Two attempts to rent one machine, both alive at once on two workers, at a cloud whose list lags: one order leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from temporalio.testing import ActivityEnvironment

from billing.meter import Meter
from errors import ProviderBusyError, ProviderRefusedError
from fleet.inputs import VmRef
from fleet.messages import Done, RentOrder, SiteFacts
from fleet.provisioning import ProvisioningActivities
from fleet.release import ReleaseActivities
from models.catalog import ConsoleType, PresetName
from models.vms import Vm, VmStatus
from providers.base import Offer, ProviderName, SiteId
from providers.registry import Registry
from tests.providers.conftest import Connect
from tests.providers.tensordock_stand_in import Said, StandIn
from tests.world import World

pytestmark = pytest.mark.test_server

VM_ID = "123456789012345678"
TAG = f"gamer-main-{VM_ID}"
ORDER = RentOrder(
    vm_id=VM_ID,
    launch_id="987654321098765432",
    user_id="player-1",
    console=ConsoleType.SWITCH,
    preset=PresetName.PREMIUM,
    game_id="mario-odyssey",
    offer=Offer(
        provider=ProviderName.TENSORDOCK,
        site_id=SiteId("5a6b7c8d-0000-4000-8000-000000000011"),
        vcpus=8,
        ram_gb=16,
        storage_gb=200,
        gpu_model="geforcertx4090-pcie-24gb",
        usd_per_hour=Decimal("0.506"),
    ),
    site=SiteFacts("Joplin", "Missouri", "United States", "US", 37.08, -94.51),
    idle_stop_minutes=15,
    max_session_hours=4,
)
FIRST_AT = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)


class Worker:
    """A process with the activities of one attempt: it shares the record and the cloud with others, and no more."""

    def __init__(self, world: World, connect: Connect) -> None:
        self._world = world
        registry, meter = Registry([connect()]), Meter(world.db)
        self.machines = ProvisioningActivities(world.db, registry, meter, settle_s=3, poll_s=0.02)
        self.releases = ReleaseActivities(world.db, registry, meter, settle_s=3, poll_s=0.02)
        self._environment = ActivityEnvironment(world.client)

    def rent(self, attempt: int) -> asyncio.Task[Done]:
        scheduled = FIRST_AT + timedelta(seconds=6 * attempt)
        info = self._environment.info
        self._environment.info = replace(info, attempt=attempt, current_attempt_scheduled_time=scheduled)
        return asyncio.ensure_future(self._environment.run(self.machines.rent, ORDER))

    async def release(self) -> str:
        return (await self._environment.run(self.releases.release, VmRef(VM_ID))).message

    def die(self) -> None:
        self._environment.cancel()


@pytest.fixture
def worker(world: World, connect: Connect) -> Callable[[], Worker]:
    return lambda: Worker(world, connect)


async def recorded(world: World) -> Vm:
    vm = await world.db.get(Vm, VM_ID)
    assert vm is not None
    return vm


async def die_with_an_order_taken(dying: Worker, stand_in: StandIn) -> None:
    """The cloud has carried the first attempt's order out, and nobody is there for its answer."""
    stand_in.script("create", Said(201, {}, done=True, held=asyncio.Event()))
    attempt = dying.rent(attempt=1)
    await stand_in.arrived("create")
    dying.die()
    with pytest.raises(asyncio.CancelledError):
        await attempt


async def test_who_stalls_before_its_order_orders_nothing_once_a_later_attempt_has_begun(
    world: World, worker: Callable[[], Worker], stand_in: StandIn
) -> None:
    stand_in.hidden_listings = 100
    wakes = asyncio.Event()
    stand_in.script("balance", Said(truly=True, held=wakes))
    stalled = worker().rent(attempt=1)
    await stand_in.arrived("balance")

    await worker().rent(attempt=2)
    wakes.set()
    with pytest.raises(ProviderBusyError, match="another one has taken over"):
        await stalled

    assert stand_in.asked["create"] == 1
    assert stand_in.named(TAG) == [(await recorded(world)).provider_id]


async def test_two_that_are_ready_to_order_at_the_same_instant_send_one_order(
    world: World, worker: Callable[[], Worker], stand_in: StandIn
) -> None:
    stand_in.hidden_listings = 100
    both = asyncio.Event()
    stand_in.script("balance", *[Said(truly=True, held=both)] * 2)
    first = worker().rent(attempt=1)
    await stand_in.arrived("balance")
    second = worker().rent(attempt=2)
    await stand_in.arrived("balance", times=2)

    both.set()
    outcomes = await asyncio.gather(first, second, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [ProviderBusyError, Done]
    assert stand_in.asked["create"] == 1
    assert stand_in.named(TAG) == [(await recorded(world)).provider_id]


async def test_an_order_that_is_still_under_way_is_waited_for_and_found(
    world: World, worker: Callable[[], Worker], stand_in: StandIn
) -> None:
    stand_in.hidden_listings = 3
    is_taken = asyncio.Event()
    stand_in.script("create", Said(truly=True, held=is_taken))
    slow = worker().rent(attempt=1)
    await stand_in.arrived("create")

    second = worker().rent(attempt=2)
    await stand_in.arrived("list", times=4)
    is_taken.set()
    await asyncio.gather(slow, second)

    assert stand_in.asked["create"] == 1
    assert stand_in.named(TAG) == [(await recorded(world)).provider_id]


async def test_the_order_of_a_worker_that_died_is_found_though_the_list_lags(
    world: World, worker: Callable[[], Worker], stand_in: StandIn
) -> None:
    stand_in.hidden_listings = 3
    await die_with_an_order_taken(worker(), stand_in)

    await worker().rent(attempt=2)

    assert stand_in.asked["create"] == 1
    assert stand_in.named(TAG) == [(await recorded(world)).provider_id]


async def test_an_attempt_that_comes_after_a_later_one_asks_the_cloud_for_nothing(
    world: World, worker: Callable[[], Worker], stand_in: StandIn
) -> None:
    await worker().rent(attempt=2)
    asked = dict(stand_in.asked)

    with pytest.raises(ProviderBusyError, match="superseded: a newer rent attempt"):
        await worker().rent(attempt=1)

    assert stand_in.asked == asked


async def test_who_stalls_before_its_order_orders_nothing_once_the_launch_was_given_up(
    world: World, worker: Callable[[], Worker], stand_in: StandIn
) -> None:
    wakes = asyncio.Event()
    stand_in.script("balance", Said(truly=True, held=wakes))
    stalled = worker().rent(attempt=1)
    await stand_in.arrived("balance")

    message = await worker().release()
    wakes.set()
    with pytest.raises(ProviderBusyError):
        await stalled

    assert message == "Nothing was rented"
    assert (await recorded(world)).status is VmStatus.FAILED
    assert stand_in.instances == {}
    assert stand_in.asked["create"] == 0


async def test_an_order_that_is_taken_while_the_launch_is_given_up_leaves_nothing(
    world: World, worker: Callable[[], Worker], stand_in: StandIn
) -> None:
    stand_in.hidden_listings = 5
    is_taken = asyncio.Event()
    stand_in.script("create", Said(truly=True, held=is_taken))
    slow = worker().rent(attempt=1)
    await stand_in.arrived("create")

    releasing = asyncio.create_task(worker().release())
    await stand_in.arrived("list", times=3)
    is_taken.set()
    with pytest.raises(ProviderBusyError, match="another attempt has taken over"):
        await slow
    await releasing

    assert stand_in.asked["create"] == 1
    assert stand_in.instances == {}
    assert (await recorded(world)).status in {VmStatus.DELETED, VmStatus.FAILED}


async def test_an_order_that_was_refused_is_not_waited_for(
    world: World, worker: Callable[[], Worker], stand_in: StandIn
) -> None:
    stand_in.script("create", Said(401, {"error": "Unauthorized"}))
    with pytest.raises(ProviderRefusedError):
        await worker().rent(attempt=1)
    looked = stand_in.asked["list"]

    await worker().release()

    assert stand_in.asked["list"] == looked + 1
    assert (await recorded(world)).status is VmStatus.FAILED


async def test_an_order_is_waited_for_though_a_later_attempt_was_refused_its_look(
    world: World, worker: Callable[[], Worker], stand_in: StandIn
) -> None:
    stand_in.hidden_listings = 3
    await die_with_an_order_taken(worker(), stand_in)
    stand_in.script("list", Said(401, {"error": "Unauthorized"}))
    with pytest.raises(ProviderRefusedError):
        await worker().rent(attempt=2)

    await worker().release()

    assert stand_in.instances == {}
    assert (await recorded(world)).status is VmStatus.DELETED
