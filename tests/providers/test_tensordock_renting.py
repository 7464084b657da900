from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from errors import AccountBalanceError, NoCapacityError, ProviderBusyError, ProviderError, ProviderRefusedError
from providers.base import MachineState, Offer, ProviderName, SiteId, Tag
from providers.tensordock.provider import TensorDock
from tests.fakes.record import Record
from tests.providers.conftest import Connect
from tests.providers.tensordock_stand_in import HTML, Said, StandIn

TAG = Tag("gamer-123456789012345678")
OFFER = Offer(
    provider=ProviderName.TENSORDOCK,
    site_id=SiteId("5a6b7c8d-0000-4000-8000-000000000011"),
    vcpus=8,
    ram_gb=16,
    storage_gb=200,
    gpu_model="geforcertx4090-pcie-24gb",
    usd_per_hour=Decimal("0.506"),
    usd_per_hour_stopped=Decimal("0.01"),
)
FAILED = Said(200, {"status": 500, "error": "unexpected error during deployment"})
LOST = [
    Said(cut=True),
    Said(500, {"error": "Internal server error"}),
    Said(502, HTML),
    Said(200, HTML),
    Said(200, "{garbage"),
    Said(200, {"data": {"type": "virtualmachine", "status": "running"}}),
    Said(201, {}),
    Said(204, None),
    Said(400, {"error": "words that no table knows"}),
]
OF_THE_HOST = {1, 2, 8}  # an error of the host, which the same order would get there again


def taken(said: Said) -> Said:
    return Said(said.status, said.body, done=True, cut=said.cut)


def just_now() -> datetime:
    return datetime.now(UTC)


def seconds() -> float:
    return asyncio.get_running_loop().time()


async def test_an_order_says_all_that_matters(tensordock: TensorDock, stand_in: StandIn) -> None:
    machine = await tensordock.rent(OFFER, TAG)

    (order,) = stand_in.orders
    public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBxGamerProvisionerTestKey"
    boot = order.pop("cloud_init")
    assert order == {
        "name": TAG,
        "type": "virtualmachine",
        "image": "ubuntu2404_ml_pytorch",
        "resources": {
            "vcpu_count": 8,
            "ram_gb": 16,
            "storage_gb": 200,
            "gpus": {"geforcertx4090-pcie-24gb": {"count": 1}},
        },
        "hostnode_id": OFFER.site_id,
        "useDedicatedIp": True,
        "ssh_key": public_key,
    }
    assert set(boot) == {"write_files", "packages", "package_update", "runcmd"}
    (no_upgrades,) = boot["write_files"]
    assert no_upgrades["content"] == 'APT::Periodic::Enable "0";\nAPT::Periodic::Unattended-Upgrade "0";\n'
    assert boot["packages"] == ["fuse3", "rclone"]
    *keys, become_root = boot["runcmd"]
    assert become_root.startswith("id user && echo 'user ALL=(ALL) NOPASSWD:ALL' > ")
    for command, home in zip(keys, ("/root", "/home/user"), strict=True):
        assert f"grep -qxF '{public_key}' {home}/.ssh/authorized_keys" in command
    assert (machine.tag, machine.state, machine.usd_per_hour) == (TAG, MachineState.CREATING, OFFER.usd_per_hour)
    assert stand_in.named(TAG) == [machine.id]


async def test_a_machine_without_a_gpu_is_ordered_without_one(tensordock: TensorDock, stand_in: StandIn) -> None:
    await tensordock.rent(Offer(ProviderName.TENSORDOCK, SiteId("h"), 2, 4, 100, None, Decimal("0.02")), TAG)

    assert stand_in.orders[0]["resources"] == {"vcpu_count": 2, "ram_gb": 4, "storage_gb": 100}


async def test_an_order_takes_four_requests(tensordock: TensorDock, stand_in: StandIn) -> None:
    await tensordock.rent(OFFER, TAG)

    assert stand_in.asked == {"list": 2, "balance": 1, "create": 1}


@pytest.mark.parametrize("tag", ["other-1", "gamer-A", "gamer-1; reboot", "gamer-" + "1" * 60, ""])
async def test_a_tag_that_the_list_would_not_show_is_refused(
    tensordock: TensorDock, stand_in: StandIn, tag: str
) -> None:
    with pytest.raises(ProviderRefusedError):
        await tensordock.rent(OFFER, Tag(tag))

    assert stand_in.asked == {}


@pytest.mark.parametrize("balance", [1, "1.00", 0.5, -3, "0.99"])
async def test_a_balance_too_low_orders_nothing(tensordock: TensorDock, stand_in: StandIn, balance: Any) -> None:
    stand_in.balance = balance

    with pytest.raises(AccountBalanceError, match="balance") as raised:
        await tensordock.rent(OFFER, TAG)

    assert raised.value.covers_usd_per_hour is None
    assert stand_in.instances == {}
    assert stand_in.asked["create"] == 0


async def test_an_hour_of_the_machine_must_be_covered(tensordock: TensorDock, stand_in: StandIn) -> None:
    stand_in.balance = 1.9999
    dear = Offer(ProviderName.TENSORDOCK, OFFER.site_id, 8, 16, 200, OFFER.gpu_model, Decimal("2.00"))

    with pytest.raises(AccountBalanceError, match=r"2\.0000 USD") as raised:
        await tensordock.rent(dear, TAG)

    assert raised.value.covers_usd_per_hour == Decimal("1.9999")
    assert stand_in.instances == {}


@pytest.mark.parametrize("said", [Said(500, HTML), Said(cut=True), Said(200, {"success": False, "error": "Invalid"})])
async def test_a_balance_that_nobody_tells_stops_no_order(
    tensordock: TensorDock, stand_in: StandIn, said: Said
) -> None:
    stand_in.script("balance", said)

    machine = await tensordock.rent(OFFER, TAG)

    assert stand_in.named(TAG) == [machine.id]


async def test_without_the_key_the_balance_is_not_asked_for(connect: Connect, stand_in: StandIn) -> None:
    await connect(key=None).rent(OFFER, TAG)

    assert stand_in.asked["balance"] == 0


async def test_a_machine_that_carries_the_tag_is_taken_and_nothing_is_ordered(
    tensordock: TensorDock, stand_in: StandIn
) -> None:
    stand_in.balance = 0
    key = stand_in.put(TAG)

    machine = await tensordock.rent(OFFER, TAG)

    assert (machine.id, machine.state, machine.ip_address) == (key, MachineState.RUNNING, "203.0.113.1")
    assert stand_in.asked == {"list": 1, "get": 1}


@pytest.mark.parametrize("hidden_listings", [0, 3])
@pytest.mark.parametrize("said", [*LOST, FAILED])
async def test_a_lost_answer_to_an_order_that_was_taken_leaves_one_machine(
    tensordock: TensorDock, stand_in: StandIn, said: Said, hidden_listings: int
) -> None:
    stand_in.hidden_listings = hidden_listings
    stand_in.script("create", taken(said))
    told: list[str] = []

    machine = await tensordock.rent(OFFER, TAG, report=told.append)

    assert stand_in.named(TAG) == [machine.id]
    assert told == [
        "Ordering the machine at TensorDock",
        "The cloud's response to the order was lost; looking for the machine",
    ]


async def test_an_answer_that_comes_too_late_leaves_one_machine(connect: Connect, stand_in: StandIn) -> None:
    let_go = asyncio.Event()
    stand_in.script("create", Said(201, {}, done=True, held=let_go))
    tensordock = connect(slow_timeout_s=0.1)

    machine = await tensordock.rent(OFFER, TAG)
    let_go.set()

    assert stand_in.named(TAG) == [machine.id]


@pytest.mark.parametrize("number", range(len(LOST)))
async def test_after_the_settle_time_an_error_of_the_host_moves_on_and_a_lost_answer_is_busy(
    tensordock: TensorDock, stand_in: StandIn, number: int
) -> None:
    stand_in.script("create", LOST[number])
    begun = seconds()

    with pytest.raises(ProviderError) as raised:
        await tensordock.rent(OFFER, TAG)

    assert type(raised.value) is (NoCapacityError if number in OF_THE_HOST else ProviderBusyError)
    assert seconds() - begun >= 0.3
    assert (stand_in.asked["create"], stand_in.named(TAG)) == (1, [])


async def test_a_deployment_that_failed_and_left_nothing_makes_the_site_as_good_as_full(
    tensordock: TensorDock, stand_in: StandIn
) -> None:
    stand_in.script("create", FAILED)
    begun = seconds()

    with pytest.raises(NoCapacityError, match="unexpected error during deployment"):
        await tensordock.rent(OFFER, TAG)

    assert seconds() - begun >= 0.3
    assert (stand_in.asked["create"], stand_in.named(TAG)) == (1, [])


async def test_the_repetition_after_that_waits_no_second_time(connect: Connect, stand_in: StandIn) -> None:
    tensordock, record = connect(settle_s=1), Record()
    stand_in.script("create", Said(cut=True))
    with pytest.raises(ProviderBusyError):
        await tensordock.rent(OFFER, TAG, permit=record.permit)
    begun = seconds()

    machine = await tensordock.rent(OFFER, TAG, ordered_at=record.ordered_at)

    assert seconds() - begun < 0.9
    assert stand_in.named(TAG) == [machine.id]


@pytest.mark.parametrize("hidden_listings", [0, 3])
async def test_another_process_finds_an_order_that_was_taken_just_now(
    connect: Connect, stand_in: StandIn, hidden_listings: int
) -> None:
    key = stand_in.put(TAG, hidden=hidden_listings)

    machine = await connect().rent(OFFER, TAG, ordered_at=just_now())

    assert machine.id == key
    assert stand_in.asked["create"] == 0


async def test_another_process_orders_anew_only_after_the_order_must_have_left_been_answered_and_been_listed(
    connect: Connect, stand_in: StandIn
) -> None:
    begun = seconds()

    machine = await connect().rent(OFFER, TAG, ordered_at=just_now())

    assert seconds() - begun >= 0.5 + 1.5 + 0.3
    assert stand_in.named(TAG) == [machine.id]


@pytest.mark.parametrize("age", [timedelta(hours=1), timedelta(days=300)])
async def test_an_order_of_long_ago_is_looked_for_once(connect: Connect, stand_in: StandIn, age: timedelta) -> None:
    await asyncio.wait_for(connect(settle_s=60).rent(OFFER, TAG, ordered_at=just_now() - age), 5)

    assert stand_in.asked == {"list": 2, "balance": 1, "create": 1}


async def test_a_clock_that_is_ahead_makes_nobody_wait_for_ever(connect: Connect, stand_in: StandIn) -> None:
    tomorrow = just_now() + timedelta(days=1)

    machine = await asyncio.wait_for(connect().rent(OFFER, TAG, ordered_at=tomorrow), 5)

    assert stand_in.named(TAG) == [machine.id]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (Said(200, {"status": 400, "error": "No available nodes found"}), NoCapacityError),
        (Said(400, {"error": "No available public IPs on hostnode"}), NoCapacityError),
        (Said(500, {"error": "No available nodes found"}), NoCapacityError),
        (Said(404, {"status": 404, "error": "Hostnode not found"}), NoCapacityError),
        (Said(400, [{"code": "custom", "message": "too much", "path": ["data"]}]), ProviderRefusedError),
        (Said(200, {"error": "You need at least $1"}), AccountBalanceError),
        (Said(401, {"error": "Unauthorized"}), ProviderRefusedError),
        (Said(403, {"errors": [{"title": "Forbidden"}]}), ProviderRefusedError),
        (Said(429, {"error": "Too many requests"}), ProviderBusyError),
        (Said(429, HTML), ProviderBusyError),
    ],
)
async def test_a_definite_refusal_is_told_at_once_and_the_next_order_waits_for_nothing(
    connect: Connect, stand_in: StandIn, said: Said, error: type[ProviderError]
) -> None:
    stand_in.script("create", said)
    tensordock, record = connect(settle_s=60), Record()

    with pytest.raises(error):
        await asyncio.wait_for(tensordock.rent(OFFER, TAG, permit=record.permit), 5)
    assert stand_in.named(TAG) == []
    machine = await asyncio.wait_for(tensordock.rent(OFFER, TAG, ordered_at=record.ordered_at), 5)

    assert stand_in.named(TAG) == [machine.id]


async def test_five_who_rent_one_tag_at_once_get_one_machine_though_the_list_lags(
    tensordock: TensorDock, stand_in: StandIn
) -> None:
    stand_in.hidden_listings = 100

    machines = await asyncio.gather(*(tensordock.rent(OFFER, TAG) for _ in range(5)))

    assert {machine.id for machine in machines} == set(stand_in.named(TAG))
    assert stand_in.asked["create"] == 1


async def test_two_processes_that_rent_one_tag_at_once_agree_on_one_machine(
    connect: Connect, stand_in: StandIn
) -> None:
    both_ordered = asyncio.Event()
    stand_in.script("create", *[Said(truly=True, held=both_ordered)] * 2)
    renting = asyncio.gather(*(connect().rent(OFFER, TAG) for _ in range(2)))
    await stand_in.arrived("create", times=2)

    both_ordered.set()
    first, second = await renting

    assert first.id == second.id
    assert stand_in.named(TAG) == [first.id]


async def test_of_two_machines_with_one_tag_the_first_listed_is_kept(tensordock: TensorDock, stand_in: StandIn) -> None:
    first, _, foreign = stand_in.put(TAG), stand_in.put(TAG), stand_in.put("gamer-2")

    machine = await tensordock.rent(OFFER, TAG)

    assert machine.id == first
    assert set(stand_in.instances) == {first, foreign}


async def test_a_sound_machine_is_kept_before_a_broken_one(tensordock: TensorDock, stand_in: StandIn) -> None:
    stand_in.put(TAG, "error")
    sound = stand_in.put(TAG)

    machine = await tensordock.rent(OFFER, TAG)

    assert machine.id == sound
    assert stand_in.named(TAG) == [sound]


async def test_a_surplus_machine_that_cannot_be_released_is_not_forgotten(
    tensordock: TensorDock, stand_in: StandIn
) -> None:
    first, _ = stand_in.put(TAG), stand_in.put(TAG)
    stand_in.script("delete", Said(500, {"error": "boom"}))

    with pytest.raises(ProviderBusyError):
        await tensordock.rent(OFFER, TAG)
    machine = await tensordock.rent(OFFER, TAG, ordered_at=just_now())

    assert (machine.id, stand_in.named(TAG)) == (first, [first])


@pytest.mark.parametrize("state", ["deleting", "deleted"])
async def test_a_machine_on_its_way_out_is_not_taken(tensordock: TensorDock, stand_in: StandIn, state: str) -> None:
    going = stand_in.put(TAG, state)

    machine = await tensordock.rent(OFFER, TAG)

    assert machine.id != going
    assert stand_in.asked["create"] == 1


async def test_a_released_machine_that_is_still_listed_is_not_taken_again(connect: Connect, stand_in: StandIn) -> None:
    tensordock, record = connect(settle_s=60), Record()
    first = await tensordock.rent(OFFER, TAG, permit=record.permit)
    stand_in.script("delete", Said(200, {}))  # accepted, and carried out at leisure
    await tensordock.release(first.id)

    second = await asyncio.wait_for(tensordock.rent(OFFER, TAG, ordered_at=record.ordered_at), 5)

    assert second.id != first.id
    assert stand_in.asked["create"] == 2


async def test_a_listed_machine_that_is_gone_is_not_taken(tensordock: TensorDock, stand_in: StandIn) -> None:
    stand_in.script("list", Said(200, {"data": [{"id": "gone", "name": TAG, "status": "running"}]}))

    machine = await tensordock.rent(OFFER, TAG)

    assert stand_in.named(TAG) == [machine.id]


async def test_who_gives_up_in_the_middle_of_an_order_leaves_one_machine_to_the_next(
    tensordock: TensorDock, stand_in: StandIn
) -> None:
    stand_in.hidden_listings = 3
    stand_in.script("create", Said(201, {}, done=True, held=asyncio.Event()))
    giving_up = asyncio.create_task(tensordock.rent(OFFER, TAG))
    await stand_in.arrived("create")
    giving_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await giving_up

    machine = await tensordock.rent(OFFER, TAG)

    assert stand_in.named(TAG) == [machine.id]


@pytest.mark.parametrize("said", [Said(502, HTML), Said(200, {"data": {}}), Said(429, None), Said(cut=True)])
async def test_nothing_is_ordered_while_nobody_tells_what_is_there(
    tensordock: TensorDock, stand_in: StandIn, said: Said
) -> None:
    stand_in.script("list", said)

    with pytest.raises(ProviderBusyError):
        await tensordock.rent(OFFER, TAG)

    assert stand_in.asked["create"] == 0


async def test_a_list_that_fails_for_a_while_does_not_end_the_search(tensordock: TensorDock, stand_in: StandIn) -> None:
    stand_in.script("create", Said(cut=True, done=True))
    stand_in.script("list", Said(200, {"data": []}), *[Said(502, HTML)] * 3)

    machine = await tensordock.rent(OFFER, TAG)

    assert stand_in.named(TAG) == [machine.id]


async def test_credentials_revoked_after_an_order_do_not_call_the_order_refused(
    tensordock: TensorDock, stand_in: StandIn
) -> None:
    stand_in.script("create", Said(502, HTML, done=True))
    stand_in.script("list", Said(200, {"data": []}), *[Said(401, {"error": "Unauthorized"})] * 100)

    with pytest.raises(ProviderBusyError):
        await tensordock.rent(OFFER, TAG)


@pytest.mark.parametrize("said", [Said(502, HTML), Said(401, {"error": "Unauthorized"}), Said(200, {"data": None})])
async def test_an_order_stands_though_the_list_fails_afterwards(
    tensordock: TensorDock, stand_in: StandIn, said: Said
) -> None:
    stand_in.script("list", Said(200, {"data": []}), said)

    machine = await tensordock.rent(OFFER, TAG)

    assert stand_in.named(TAG) == [machine.id]


async def test_a_rival_order_that_was_first_is_kept(tensordock: TensorDock, stand_in: StandIn) -> None:
    rival = stand_in.put(TAG)
    stand_in.script("list", Said(200, {"data": []}))

    machine = await tensordock.rent(OFFER, TAG)

    assert machine.id == rival
    assert stand_in.named(TAG) == [rival]
    assert stand_in.asked["create"] == 1


async def test_our_own_machine_yields_to_a_rival_even_before_it_is_listed(
    tensordock: TensorDock, stand_in: StandIn
) -> None:
    rival = stand_in.put(TAG)
    stand_in.hidden_listings = 5
    stand_in.script("list", Said(200, {"data": []}))

    machine = await tensordock.rent(OFFER, TAG)

    assert (machine.id, stand_in.named(TAG)) == (rival, [rival])


async def test_what_this_process_knows_of_its_own_order_says_nothing_of_a_later_one_by_another(
    connect: Connect, stand_in: StandIn
) -> None:
    one, two, record = connect(settle_s=1), connect(settle_s=1), Record()
    stand_in.script("create", Said(200, {"status": 400, "error": "No available nodes found"}))
    with pytest.raises(NoCapacityError):
        await one.rent(OFFER, TAG)
    stand_in.hidden_listings = 3
    dead = await two.rent(OFFER, TAG, permit=record.permit)

    machine = await one.rent(OFFER, TAG, ordered_at=record.ordered_at)

    assert machine.id == dead.id
    assert stand_in.named(TAG) == [dead.id]


async def test_the_permit_is_asked_for_after_everything_else_right_before_the_order(
    tensordock: TensorDock, stand_in: StandIn
) -> None:
    asked: list[dict[str, int]] = []

    async def permit() -> datetime:
        asked.append(dict(stand_in.asked))
        return just_now()

    await tensordock.rent(OFFER, TAG, permit=permit)

    assert asked == [{"list": 1, "balance": 1}]
    assert stand_in.asked["create"] == 1


async def test_without_a_permit_nothing_is_ordered_and_nothing_looked_for(
    tensordock: TensorDock, stand_in: StandIn
) -> None:
    async def no_permit() -> datetime:
        raise ProviderBusyError("another one went on")

    with pytest.raises(ProviderBusyError, match="another one went on"):
        await tensordock.rent(OFFER, TAG, permit=no_permit)

    assert stand_in.asked == {"list": 1, "balance": 1}


async def test_who_stood_still_after_the_permit_orders_nothing(connect: Connect, stand_in: StandIn) -> None:
    tensordock = connect(leave_within_s=0)

    with pytest.raises(ProviderBusyError, match="could not be sent in time"):
        await tensordock.rent(OFFER, TAG)

    assert stand_in.instances == {}


async def test_different_tags_do_not_wait_for_one_another(tensordock: TensorDock, stand_in: StandIn) -> None:
    let_go = asyncio.Event()
    stand_in.script("create", Said(cut=True, held=let_go))
    stuck = asyncio.create_task(tensordock.rent(OFFER, TAG))
    await stand_in.arrived("create")

    other = await tensordock.rent(OFFER, Tag("gamer-2"))
    let_go.set()

    assert other.tag == "gamer-2"
    with pytest.raises(ProviderBusyError):
        await stuck


async def test_a_machine_found_again_within_the_settle_time_is_asked_for_by_its_id(
    tensordock: TensorDock, stand_in: StandIn
) -> None:
    stand_in.hidden_listings = 100
    first = await tensordock.rent(OFFER, TAG)
    stand_in.instances[first.id]["status"] = "running"

    again = await tensordock.rent(OFFER, TAG)

    assert (again.id, again.state) == (first.id, MachineState.RUNNING)
    assert stand_in.named(TAG) == [first.id]
