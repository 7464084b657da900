from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from simulator.hostnodes.stock import Claim
from simulator.tensordock.instances import Instance, Status
from simulator.tensordock.ledger import Ledger
from tests.simulator.tensordock.stranger import World

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FULL = Claim("host", vcpus=8, ram_gb=16, storage_gb=200)


def machine(status: Status = Status.RUNNING, claim: Claim = FULL) -> Instance:
    return Instance(
        id="m",
        number=1,
        name="gamer-1",
        status=status,
        image="ubuntu2404",
        claim=claim,
        full_claim=FULL,
        usd_per_hour=Decimal("0.456"),
        usd_per_hour_released=Decimal("0.01"),
        created_at=NOON,
        billed_until=NOON,
    )


@pytest.mark.parametrize(
    ("status", "claim", "usd"),
    [
        (Status.CREATING, FULL, "0.456"),
        (Status.RUNNING, FULL, "0.456"),
        (Status.STOPPED, FULL, "0.456"),
        (Status.STOPPED_DISASSOCIATED, FULL.storage_only(), "0.01"),
        (Status.DELETING, FULL, "0"),
    ],
)
def test_an_hour_costs_what_its_status_says(status: Status, claim: Claim, usd: str) -> None:
    ledger = Ledger(Decimal(10), now=lambda: NOON + timedelta(hours=1))
    rented = machine(status, claim)

    ledger.settle([rented])
    ledger.settle([rented])

    assert rented.billed_usd == Decimal(usd)
    assert (ledger.balance_usd, ledger.spent_usd) == (Decimal(10) - Decimal(usd), Decimal(usd))


def test_time_that_runs_backwards_pays_nobody() -> None:
    ledger = Ledger(Decimal(10), now=lambda: NOON - timedelta(hours=1))

    ledger.settle([machine()])

    assert ledger.balance_usd == 10


def test_the_parts_of_a_bill_add_up_to_the_last_digit() -> None:
    moments = iter(NOON + timedelta(microseconds=7_777_777 * n) for n in range(1, 100))
    ledger = Ledger(Decimal(10), now=lambda: next(moments))
    machines = [machine(), machine()]

    for _ in range(50):
        ledger.settle(machines)

    assert ledger.balance_usd + sum(one.billed_usd for one in machines) == 10


async def test_a_running_machine_burns_the_balance(world: World) -> None:
    before = (await world.v0("/billing/balance")).json["balance"]
    await world.running()

    after = (await world.v0("/billing/balance")).json
    told = (await world.control("GET", "/balance")).json

    assert before == 100
    assert after["balance"] < 100
    assert after["hourly_cost"] == 0.456
    assert Decimal(told["usd"]) + Decimal(told["spent_usd"]) == 100
    assert told["usd_per_hour_now"] == "0.45600"


async def test_an_order_needs_a_dollar(world: World) -> None:
    await world.control("PUT", "/balance", {"usd": "0.99"})

    reply = await world.order()

    assert (reply.status, reply.json) == (
        400,
        {"error": "You need at least $1.00 in your account to deploy an instance"},
    )
    assert await world.machines() == []


async def test_when_the_money_is_used_up_machines_are_stopped(world: World) -> None:
    machine_id = await world.running()
    other_id = await world.rented("gamer-2")

    await world.control("PUT", "/balance", {"usd": "0.000001"})

    await world.until_status(machine_id, "stoppeddisassociated")
    await world.until_status(other_id, "stoppeddisassociated")
    reply = await world.v2("POST", f"/instances/{machine_id}/start")
    assert world.park.on == set()
    assert (reply.status, "need at least" in reply.json["error"]) == (400, True)
    assert (await world.v0("/billing/balance")).json["balance"] < 0


async def test_a_deleted_machine_costs_nothing_any_more(world: World) -> None:
    machine_id = await world.running()

    await world.fault("slow-delete")
    await world.v2("DELETE", f"/instances/{machine_id}")

    assert (await world.v0("/billing/balance")).json["hourly_cost"] == 0
    assert (await world.control("GET", "/orders")).json["orders"][0]["ended_by"] == "deleted"


async def test_the_bills_of_all_orders_are_all_that_was_spent(world: World) -> None:
    one, other = await world.running("gamer-1"), await world.running("gamer-2")

    await world.v2("DELETE", f"/instances/{one}")
    await world.fault("vanish", machine=other)
    await world.until_status(one, "gone")

    orders = (await world.control("GET", "/orders")).json["orders"]
    spent_usd = (await world.control("GET", "/balance")).json["spent_usd"]
    assert [order["ended_by"] for order in orders] == ["deleted", "vanished"]
    assert sum(Decimal(order["billed_usd"]) for order in orders) == Decimal(spent_usd) > 0


async def test_an_orders_prices_and_their_times_give_its_bill(world: World) -> None:
    machine_id = await world.running()

    await world.control("POST", "/faults", {"kind": "host-stop", "machine": machine_id})
    await world.until_status(machine_id, "stoppeddisassociated")
    await world.v2("DELETE", f"/instances/{machine_id}")

    (order,) = (await world.control("GET", "/orders")).json["orders"]
    moments = [datetime.fromisoformat(price["from"]) for price in order["prices"]]
    until = [*moments[1:], datetime.fromisoformat(order["ended_at"])]
    usd = [Decimal(price["usd_per_hour"]) for price in order["prices"]]
    spent = [
        price * Decimal((end - start) // timedelta(microseconds=1)) / 3_600_000_000
        for price, start, end in zip(usd, moments, until, strict=True)
    ]
    assert moments[0] == datetime.fromisoformat(order["at"])
    assert usd[0] > usd[1] > usd[2] == 0
    assert moments[2] == until[2] == datetime.fromisoformat(order["ended_at"])
    assert abs(sum(spent) - Decimal(order["billed_usd"])) < Decimal("1e-11")


async def test_a_price_that_changes_is_charged_from_then_on_and_said(world: World) -> None:
    machine_id = await world.running()
    (before,) = (await world.control("GET", "/orders")).json["orders"][0]["prices"]

    changed = await world.control("PUT", f"/machines/{machine_id}/price", {"usd_per_hour": "0.75"})

    alone = (await world.v2("GET", f"/instances/{machine_id}")).json
    (order,) = (await world.control("GET", "/orders")).json["orders"]
    assert changed.json["machine"]["usd_per_hour_now"] == "0.75"
    assert alone["rateHourly"] == 0.75
    assert [(price["usd_per_hour"], price["hardware"]) for price in order["prices"]] == [
        (before["usd_per_hour"], "reserved"),
        ("0.75", "reserved"),
    ]


@pytest.mark.parametrize(
    ("machine_id", "usd", "status"), [("nobody", "0.75", 404), ("nobody", "0", 400), ("nobody", "dear", 400)]
)
async def test_a_price_of_no_machine_and_no_price_are_refused(
    world: World, machine_id: str, usd: str, status: int
) -> None:
    assert (await world.control("PUT", f"/machines/{machine_id}/price", {"usd_per_hour": usd})).status == status
