"""What every provider keeps (providers/base.py), shown with the real provider against a simulated cloud."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import pytest

from errors import MachineLostError, NoCapacityError, ProviderBusyError, ProviderRefusedError
from providers.base import Machine, MachineId, MachineState, Offer, Provider, Tag
from tests.contract.clouds import CLOUDS, SETTLE_S, CloudUnderTest
from tests.fakes.record import Record

TAG = Tag("gamer-100000000000000001")
WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Ground:
    """A cloud, a provider for it, and two offers that the cloud will take, at different sites."""

    cloud: CloudUnderTest
    provider: Provider
    offer: Offer
    other_offer: Offer


@pytest.fixture(params=CLOUDS)
async def ground(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ground]:
    async with CLOUDS[request.param](tmp_path) as cloud:
        provider = cloud.provider()
        priced = [provider.offer(site, cloud.shape) for site in await provider.sites()]
        first, second, *_ = sorted(filter(None, priced), key=lambda offer: (offer.usd_per_hour, offer.site_id))
        yield Ground(cloud, provider, first, second)


async def until_it_is(provider: Provider, machine_id: MachineId, *states: MachineState) -> Machine:
    async with asyncio.timeout(WITHIN_S):
        while True:
            machine = await provider.machine(machine_id)
            if machine is not None and machine.state in states and machine.ip_address:
                return machine
            await asyncio.sleep(0.02)


async def until_gone(provider: Provider, machine_id: MachineId) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            if await provider.machine(machine_id) is None:
                return
            await asyncio.sleep(0.02)


async def rent_at_last(providers: Sequence[Provider], offers: Sequence[Offer], tag: Tag) -> Machine:
    """As the engine does it: again and again, now in one process and now in the other, elsewhere where it is full."""
    record = Record()
    for provider, offer in zip(cycle(providers), cycle(offers), strict=False):
        try:
            return await provider.rent(offer, tag, ordered_at=record.ordered_at, permit=record.permit)
        except ProviderBusyError:
            continue
        except NoCapacityError:
            record.ordered_at = None
    raise AssertionError("unreachable: there is always a next attempt")


async def listed_tags(provider: Provider) -> list[str]:
    return sorted(machine.tag for machine in await provider.machines())


async def test_sites_are_priced_offers_that_fit(ground: Ground) -> None:
    shape = ground.cloud.shape

    assert ground.offer.provider is ground.provider.name is ground.cloud.name
    assert ground.offer.vcpus >= shape.vcpus
    assert ground.offer.ram_gb >= shape.ram_gb
    assert ground.offer.storage_gb >= shape.storage_gb
    assert any(model in (ground.offer.gpu_model or "") for model in shape.gpu_models)
    assert ground.offer.usd_per_hour > ground.offer.usd_per_hour_stopped >= 0


async def test_a_shape_that_no_site_has_gets_no_offer(ground: Ground) -> None:
    giant = replace(ground.cloud.shape, vcpus=10_000)

    assert [ground.provider.offer(site, giant) for site in await ground.provider.sites()].count(None) > 0
    assert not any(ground.provider.offer(site, giant) for site in await ground.provider.sites())


async def test_a_rented_machine_comes_up_with_an_address(ground: Ground) -> None:
    rented = await ground.provider.rent(ground.offer, TAG)

    machine = await until_it_is(ground.provider, rented.id, MachineState.RUNNING)
    assert (machine.id, machine.tag, machine.usd_per_hour) == (rented.id, TAG, ground.offer.usd_per_hour)
    assert await ground.cloud.machines_named(TAG) == [rented.id]


async def test_renting_again_gives_the_same_machine(ground: Ground) -> None:
    first = await ground.provider.rent(ground.offer, TAG)

    again = await ground.provider.rent(ground.other_offer, TAG)
    elsewhere = await ground.cloud.provider().rent(ground.offer, TAG)

    assert first.id == again.id == elsewhere.id
    assert await ground.cloud.ever_ordered(TAG) == 1


@pytest.mark.parametrize("lagging", [False, True])
async def test_a_lost_answer_rents_once(ground: Ground, lagging: bool) -> None:
    if lagging:
        await ground.cloud.lag_list()
    await ground.cloud.lose_next_answer_to_an_order()

    machine = await ground.provider.rent(ground.offer, TAG)

    assert await ground.cloud.machines_named(TAG) == [machine.id]
    assert await ground.cloud.ever_ordered(TAG) == 1


@pytest.mark.parametrize("lagging", [False, True])
async def test_a_process_that_dies_with_its_order_leaves_one_machine_to_the_next(ground: Ground, lagging: bool) -> None:
    if lagging:
        await ground.cloud.lag_list()
    record = Record()
    dead = await ground.cloud.provider().rent(ground.offer, TAG, permit=record.permit)

    machine = await ground.provider.rent(ground.offer, TAG, ordered_at=record.ordered_at)

    assert machine.id == dead.id
    assert await ground.cloud.ever_ordered(TAG) == 1


async def test_an_order_that_was_not_taken_is_placed_at_the_next_attempt(ground: Ground) -> None:
    await ground.cloud.drop_next_order()
    record = Record()

    with pytest.raises(ProviderBusyError):
        await ground.provider.rent(ground.offer, TAG, permit=record.permit)
    machine = await ground.provider.rent(ground.offer, TAG, ordered_at=record.ordered_at)

    assert await ground.cloud.machines_named(TAG) == [machine.id]
    assert await ground.cloud.ever_ordered(TAG) == 1


async def test_the_lag_is_waited_for_before_an_order_is_repeated(ground: Ground) -> None:
    begun = asyncio.get_running_loop().time()

    await ground.provider.rent(ground.offer, TAG, ordered_at=datetime.now(UTC))

    assert asyncio.get_running_loop().time() - begun >= SETTLE_S


async def test_who_rent_one_tag_at_once_get_one_machine(ground: Ground) -> None:
    await ground.cloud.lag_list()

    machines = await asyncio.gather(*(ground.provider.rent(ground.offer, TAG) for _ in range(4)))

    assert {machine.id for machine in machines} == set(await ground.cloud.machines_named(TAG))
    assert await ground.cloud.ever_ordered(TAG) == 1


async def test_in_a_storm_of_faults_every_tag_still_rents_once(ground: Ground) -> None:
    tags = [Tag(f"gamer-{number}") for number in range(10**17, 10**17 + 5)]
    providers, offers = [ground.provider, ground.cloud.provider()], [ground.offer, ground.other_offer]
    await ground.cloud.storm()

    async with asyncio.TaskGroup() as group:
        rented = [group.create_task(rent_at_last(providers, offers, tag)) for tag in tags]

    for tag, renting in zip(tags, rented, strict=True):
        assert await ground.cloud.machines_named(tag) == [renting.result().id]
        assert await ground.cloud.ever_ordered(tag) == 1


async def test_a_full_site_says_so_and_another_one_does(ground: Ground) -> None:
    await ground.cloud.fill_site(ground.offer.site_id)

    with pytest.raises(NoCapacityError):
        await ground.provider.rent(ground.offer, TAG)
    assert await ground.cloud.machines_named(TAG) == []
    machine = await ground.provider.rent(ground.other_offer, TAG)

    assert await ground.cloud.machines_named(TAG) == [machine.id]


async def test_stop_and_start(ground: Ground) -> None:
    machine_id = (await ground.provider.rent(ground.offer, TAG)).id
    await until_it_is(ground.provider, machine_id, MachineState.RUNNING)

    for _ in range(2):
        await ground.provider.stop(machine_id)
    await until_it_is(ground.provider, machine_id, MachineState.STOPPED_RELEASED, MachineState.STOPPED)
    await ground.provider.stop(machine_id)
    for _ in range(2):
        await ground.provider.start(machine_id)
    await until_it_is(ground.provider, machine_id, MachineState.RUNNING)
    await ground.provider.start(machine_id)

    assert await ground.cloud.machines_named(TAG) == [machine_id]


async def test_release_ends_with_the_clouds_word_that_the_machine_is_gone(ground: Ground) -> None:
    machine_id = (await ground.provider.rent(ground.offer, TAG)).id

    await ground.provider.release(machine_id)
    await until_gone(ground.provider, machine_id)
    await ground.provider.release(machine_id)

    assert await ground.cloud.machines_named(TAG) == []
    assert await listed_tags(ground.provider) == []


@pytest.mark.parametrize("done", [False, True])
async def test_a_failed_release_is_busy_and_may_be_repeated(ground: Ground, done: bool) -> None:
    machine_id = (await ground.provider.rent(ground.offer, TAG)).id
    await ground.cloud.fail_next_release(done=done)

    with pytest.raises(ProviderBusyError):
        await ground.provider.release(machine_id)
    await ground.provider.release(machine_id)
    await until_gone(ground.provider, machine_id)

    assert await ground.cloud.machines_named(TAG) == []


async def test_a_released_tag_rents_a_new_machine(ground: Ground) -> None:
    first = await ground.provider.rent(ground.offer, TAG)
    await ground.provider.release(first.id)

    second = await ground.provider.rent(ground.offer, TAG)

    assert second.id != first.id
    await until_it_is(ground.provider, second.id, MachineState.RUNNING)


async def test_a_machine_that_ended_by_itself_is_none_and_lost(ground: Ground) -> None:
    machine_id = (await ground.provider.rent(ground.offer, TAG)).id
    await until_it_is(ground.provider, machine_id, MachineState.RUNNING)
    await ground.cloud.lose_machine(TAG)

    assert await ground.provider.machine(machine_id) is None
    assert await listed_tags(ground.provider) == []
    for ask in (ground.provider.start, ground.provider.stop):
        with pytest.raises(MachineLostError):
            await ask(machine_id)
    await ground.provider.release(machine_id)


async def test_an_empty_stock_is_an_ordinary_answer(ground: Ground) -> None:
    await ground.cloud.sell_out()

    assert list(await ground.cloud.provider().sites()) == []


async def test_machines_of_others_are_neither_shown_nor_touched(ground: Ground) -> None:
    await ground.cloud.add_foreign("production-database")
    await ground.cloud.add_foreign("gamer")
    ours = await ground.provider.rent(ground.offer, TAG)

    assert await listed_tags(ground.provider) == [TAG]
    await ground.provider.release(ours.id)
    await until_gone(ground.provider, ours.id)

    assert len(await ground.cloud.machines_named("production-database")) == 1
    assert len(await ground.cloud.machines_named("gamer")) == 1


async def test_health_says_that_the_cloud_can_be_used(ground: Ground) -> None:
    health = await ground.provider.health()

    assert (health.configured, health.healthy, health.simulated) == (True, True, True)


async def test_refused_credentials_are_refused_everywhere_but_in_health(ground: Ground) -> None:
    await ground.cloud.refuse_credentials()
    provider = ground.cloud.provider()
    asked: list[asyncio.Future[object]] = [
        asyncio.ensure_future(provider.sites()),
        asyncio.ensure_future(provider.machines()),
        asyncio.ensure_future(provider.rent(ground.offer, TAG)),
    ]

    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    health = await provider.health()

    assert [type(outcome) for outcome in outcomes] == [ProviderRefusedError] * 3
    assert (health.configured, health.healthy) == (True, False)
    assert await ground.cloud.ever_ordered(TAG) == 0
