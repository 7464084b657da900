"""Machines whose record was lost get one again, from what they say of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing.meter import Meter
from errors import ProviderBusyError, UnavailableError
from fleet.adoption import Adoption
from fleet.machine_operations import find_slot
from fleet.sweep_plan import UNMANAGED, Action, Verdict
from fleet.sweeper import Sweeper
from models.audit import AuditEntry
from models.catalog import ConsoleType
from models.database import Database
from models.launches import Launch, LaunchStatus
from models.orphans import OrphanMachine
from models.usage import UsageInterval, UsageState
from models.vms import Vm, VmStatus
from providers.base import MachineId, MachineState, ProviderName
from providers.registry import Registry
from streaming.addresses import Address
from streaming.name_checks import folder_of
from streaming.saves.discovery import FoundSlot
from streaming.saves.slots import SaveSlot
from tests.fakes.cloud import FakeCloud
from tests.fault_proxy import WRITES, Fault, FaultProxy
from tests.fault_walk import ERRORS
from tests.fleet.test_sweeper import at_cloud

VM = "200000000000000001"
MARIO = FoundSlot("player-1", ConsoleType.SWITCH, "mario-odyssey", "second")


class Said:
    """What machines say lies on them."""

    def __init__(self, *slots: FoundSlot) -> None:
        self.slots = slots
        self.failure: ProviderBusyError | None = None
        self.asked: list[Address] = []

    async def find_slots(self, address: Address) -> Sequence[FoundSlot]:
        self.asked.append(address)
        if self.failure is not None:
            raise self.failure
        return self.slots


@pytest.fixture
async def cloud(db: Database) -> FakeCloud:
    """One machine of ours that no record knows."""
    cloud = FakeCloud()
    at_cloud(cloud, "m1", f"gamer-main-{VM}")
    priced(cloud, Decimal("0.45"))
    return cloud


def priced(cloud: FakeCloud, usd_per_hour: Decimal | None) -> None:
    cloud.rented[MachineId("m1")] = replace(cloud.rented[MachineId("m1")], usd_per_hour=usd_per_hour)


async def adopt(db: Database, cloud: FakeCloud, said: Said) -> list[Action]:
    registry = Registry([cloud])
    found = await Sweeper(db, registry, Meter(db)).sweep(dry_run=True)
    return await Adoption(db, registry, said, Meter(db)).adopt(found)


async def test_a_machine_is_its_players_again_with_its_saves_to_be_brought_to_safety(
    db: Database, cloud: FakeCloud
) -> None:
    actions = await adopt(db, cloud, Said(MARIO))

    assert [(each.verdict, each.vm_id, each.done, each.reason) for each in actions] == [
        (Verdict.ADOPT, VM, True, "adopted for player-1")
    ]
    vm = await db.get(Vm, VM)
    assert vm is not None
    assert (vm.status, vm.user_id, vm.tag, vm.provider_id) == (
        *(VmStatus.RUNNING, "player-1"),
        *(f"gamer-main-{VM}", "m1"),
    )
    assert (vm.usd_per_hour, vm.saves_pending) == (Decimal("0.45"), True)
    assert vm.stops_at == vm.created_at + timedelta(hours=8)
    assert await find_slot(db, vm) == SaveSlot("player-1", ConsoleType.SWITCH, "mario-odyssey", "second")
    launch = await db.get(Launch, vm.launch_id)
    assert launch is not None
    assert launch.status is LaunchStatus.READY
    assert [each.end for each in await db.find(UsageInterval, {"vm_id": VM})] == [None]
    assert [(each.action, each.subject_id) for each in await db.find(AuditEntry, {})] == [("adoptMachine", VM)]


@pytest.mark.parametrize(
    ("fault", "written"),
    [
        (Fault(WRITES, ["usage_intervals"], error=ERRORS[2]), 0),
        (Fault(WRITES, ["strays"], error=ERRORS[0]), 1),
        (Fault("commitTransaction", lose_answer=True), 1),
    ],
)
async def test_a_machine_is_never_on_record_without_its_meter(
    db: Database, faulty_db: Database, faults: FaultProxy, cloud: FakeCloud, fault: Fault, written: int
) -> None:
    registry = Registry([cloud])
    found = await Sweeper(db, registry, Meter(db)).sweep(dry_run=True)
    with faults.fault(fault), pytest.raises(UnavailableError):
        await Adoption(faulty_db, registry, Said(MARIO), Meter(faulty_db)).adopt(found)
    assert [await db.count(model, {}) for model in (Vm, UsageInterval, AuditEntry)] == [written] * 3

    await adopt(db, cloud, Said(MARIO))

    assert [await db.count(model, {}) for model in (Vm, Launch, UsageInterval)] == [1] * 3
    (interval,) = await db.find(UsageInterval, {"vm_id": VM})
    assert (interval.state, interval.end) == (UsageState.RUNNING, None)


async def test_an_adopted_machine_is_no_orphan(db: Database, cloud: FakeCloud) -> None:
    await adopt(db, cloud, Said(MARIO))

    assert await Sweeper(db, Registry([cloud]), Meter(db), spare_s=0).sweep() == []
    assert await adopt(db, cloud, Said(MARIO)) == []
    assert await db.count(Vm, {}) == 1


async def test_a_machine_that_is_off_is_started_to_be_asked_later(db: Database, cloud: FakeCloud) -> None:
    cloud.become_all(MachineState.STOPPED_RELEASED)
    said = Said(MARIO)

    (first,) = await adopt(db, cloud, said)
    (second,) = await adopt(db, cloud, said)

    assert (first.done, first.reason) == (False, "it was off and is being started; adopt again in a few minutes")
    assert second.done
    assert len(said.asked) == 1


STOPPED_AGAIN = "; it was started for this and has been stopped"


async def started(db: Database, cloud: FakeCloud, said: Said) -> None:
    cloud.become_all(MachineState.STOPPED_RELEASED)
    await adopt(db, cloud, said)
    assert cloud.states() == [MachineState.RUNNING]


@pytest.mark.parametrize(
    ("said", "price", "reason"),
    [
        (Said(), Decimal("0.45"), "it has no restored saves that identify its user"),
        (
            Said(replace(MARIO, folder=folder_of("auth0|42"))),
            Decimal("0.45"),
            f"no record names the user with the folder {folder_of('auth0|42')}",
        ),
        (Said(MARIO), None, "its cloud does not report its price"),
    ],
)
async def test_a_machine_that_was_started_in_vain_is_stopped_again(
    db: Database, cloud: FakeCloud, said: Said, price: Decimal | None, reason: str
) -> None:
    await started(db, cloud, said)
    priced(cloud, price)

    (action,) = await adopt(db, cloud, said)

    assert (action.done, action.reason) == (False, reason + STOPPED_AGAIN)
    assert cloud.states() == [MachineState.STOPPED_RELEASED]


async def test_a_started_machine_whose_stop_fails_is_stopped_by_the_next_run(db: Database, cloud: FakeCloud) -> None:
    await started(db, cloud, Said())
    cloud.failures["stop"] = [ProviderBusyError("500")]

    (first,) = await adopt(db, cloud, Said())
    (second,) = await adopt(db, cloud, Said())

    assert first.reason.endswith("; it was started for this and could not be stopped: 500")
    assert second.reason.endswith(STOPPED_AGAIN)
    assert cloud.states() == [MachineState.STOPPED_RELEASED]


@pytest.mark.parametrize(
    ("minutes", "state", "said_of_it"),
    [(9, MachineState.RUNNING, ""), (11, MachineState.STOPPED_RELEASED, STOPPED_AGAIN)],
)
async def test_a_started_machine_that_does_not_answer_has_the_time_to_boot_and_no_more(
    db: Database, cloud: FakeCloud, minutes: int, state: MachineState, said_of_it: str
) -> None:
    said = Said()
    await started(db, cloud, said)
    await db.update(OrphanMachine, {}, {"$set": {"started_at": datetime.now(UTC) - timedelta(minutes=minutes)}})
    said.failure = ProviderBusyError("no answer")

    (action,) = await adopt(db, cloud, said)

    assert (action.reason, cloud.states()) == (f"not adopted: no answer{said_of_it}", [state])


async def test_a_machine_that_was_started_and_that_no_sweep_has_judged_waits_for_an_operator(
    db: Database, cloud: FakeCloud
) -> None:
    await started(db, cloud, Said())

    (action,) = await Sweeper(db, Registry([cloud]), Meter(db), spare_s=0).sweep()

    assert (action.verdict, len(cloud.rented)) == (Verdict.HOLD, 1)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Said(), "it has no restored saves that identify its user"),
        (
            Said(replace(MARIO, folder=folder_of("auth0|42"))),
            f"no record names the user with the folder {folder_of('auth0|42')}",
        ),
    ],
)
async def test_a_machine_that_does_not_say_whose_it_is_stays_as_it_is(
    db: Database, cloud: FakeCloud, said: Said, reason: str
) -> None:
    (action,) = await adopt(db, cloud, said)

    assert (action.done, action.reason) == (False, reason)
    assert await db.count(Vm, {}) == 0
    assert cloud.states() == [MachineState.RUNNING]


async def test_a_user_whose_folder_is_a_digest_is_found_among_those_whom_records_name(
    db: Database, cloud: FakeCloud
) -> None:
    await adopt(db, cloud, Said(MARIO))
    launch = await db.find_one(Launch, {})
    assert launch is not None
    await db.update(Launch, {"_id": launch.id}, {"$set": {"user_id": "auth0|42"}})
    await db.delete(Vm, {})

    (action,) = await adopt(db, cloud, Said(replace(MARIO, folder=folder_of("auth0|42"))))

    assert (action.done, action.reason) == (True, "adopted for auth0|42")


async def test_without_a_price_nothing_is_adopted(db: Database, cloud: FakeCloud) -> None:
    priced(cloud, None)

    (action,) = await adopt(db, cloud, Said(MARIO))

    assert (action.done, action.reason) == (False, "its cloud does not report its price")


async def test_a_machine_that_does_not_answer_is_told(db: Database, cloud: FakeCloud) -> None:
    said = Said()
    said.failure = ProviderBusyError("SSH to 127.0.0.1: no answer")

    (action,) = await adopt(db, cloud, said)

    assert (action.done, action.reason) == (False, "not adopted: SSH to 127.0.0.1: no answer")


async def test_what_is_foreign_or_cannot_be_managed_is_not_adopted(db: Database, cloud: FakeCloud) -> None:
    cloud.rented.clear()
    at_cloud(cloud, "m2", f"gamer-staging-{VM}")
    held = Action(Verdict.HOLD, ProviderName.CLOUDYPAD, "x", "x", None, UNMANAGED)

    assert await adopt(db, cloud, Said(MARIO)) == []
    assert await Adoption(db, Registry([cloud]), Said(MARIO), Meter(db)).adopt([held]) == [held]
