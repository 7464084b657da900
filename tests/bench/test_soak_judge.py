"""The judge of the soak sees what is wrong: each fault alone is a difference, and what is right is none."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from bench.soak_audit import ASLEEP_S, ORDERED_S, TERMINATED_S, UNASKED_S, Machine, judged
from bench.soak_incidents import Incidents
from bench.soak_lives import Life, Span, apart_s
from models.catalog import ConsoleType, PresetName
from models.usage import UsageInterval, UsageState
from models.vms import Vm, VmStatus
from providers.base import ProviderName

NOW = datetime.now(UTC)
START, STOP, END = (NOW - timedelta(minutes=minutes) for minutes in (30, 20, 10))
ON, OFF = UsageState.RUNNING, UsageState.STOPPED
VM = "200000000000000001"
TAG = f"gamer-{VM}"


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def a_vm(status: VmStatus) -> Vm:
    return Vm(
        id=VM,
        tag=TAG,
        provider=ProviderName.TENSORDOCK,
        provider_id="m1",
        status=status,
        user_id="player-1",
        launch_id="100000000000000001",
        console=ConsoleType.SWITCH,
        preset=PresetName.PREMIUM,
        vcpus=8,
        ram_gb=16,
        storage_gb=200,
        usd_per_hour=Decimal("0.36"),
        idle_stop_minutes=30,
        max_session_hours=8,
        created_at=START,
    )


def interval(number: int, state: UsageState, start: datetime, end: datetime | None) -> UsageInterval:
    return UsageInterval(
        id=f"{VM}:{number}",
        vm_id=VM,
        number=number,
        user_id="player-1",
        provider=ProviderName.TENSORDOCK,
        console=ConsoleType.SWITCH,
        state=state,
        start=start,
        end=end,
        machine_usd_per_hour=Decimal("0.36") if state is ON else Decimal(0),
        storage_usd_per_hour=Decimal(0),
    )


def ended(late_s: float = 0.0) -> Machine:
    """On for ten minutes, off for ten, and deleted; the meter noted the deletion so late."""
    spans = (Span(START, STOP, ON), Span(STOP, END, OFF))
    life = Life(TAG, "m1", spans, END, "deleted", Decimal("0.06"))
    ours = (interval(1, ON, START, STOP), interval(2, OFF, STOP, END + seconds(late_s)))
    return Machine(TAG, (life,), a_vm(VmStatus.DELETED), ours)


def running() -> Machine:
    elapsed = Decimal(int((datetime.now(UTC) - START).total_seconds()))
    life = Life(TAG, "m1", (Span(START, None, ON),), None, None, Decimal("0.0001") * elapsed)
    return Machine(TAG, (life,), a_vm(VmStatus.RUNNING), (interval(1, ON, START, None),))


def test_what_is_right_is_no_difference() -> None:
    right = [ended(), running(), ended(late_s=3 * ORDERED_S - 1)]

    assert [judged([machine], Incidents()).differences for machine in right] == [[], [], []]


def test_seconds_are_allowed_for_each_change_and_more_where_nobody_ordered_it() -> None:
    late = ended(late_s=3 * ORDERED_S + 1)

    (found,) = judged([late], Incidents()).differences

    assert found == f"{TAG}: 91.0 s are metered otherwise than its cloud says, in 3 changes of which 0 nobody ordered"
    assert UNASKED_S > ORDERED_S
    assert judged([late], Incidents(unasked=Counter(m1=1))).differences == []


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (replace(running(), vm=a_vm(VmStatus.STOPPED)), "RUNNING at its cloud, STOPPED on record and RUNNING"),
        (replace(running(), vm=a_vm(VmStatus.DELETED)), "RUNNING at its cloud, DELETED on record and RUNNING"),
        (replace(running(), vm=None), "RUNNING at its cloud, unknown on record"),
        (replace(running(), lives=()), "not there at its cloud, RUNNING on record and RUNNING"),
        (replace(ended(), vm=a_vm(VmStatus.RUNNING)), "not there at its cloud, RUNNING on record and closed"),
        (replace(ended(), intervals=(interval(1, ON, START, None),)), "DELETED on record and RUNNING on the meter"),
        (replace(ended(), intervals=()), "was rented and never metered"),
        (replace(ended(), lives=()), "was never rented, and metered"),
        (
            replace(ended(), intervals=(interval(1, ON, START, STOP), interval(2, OFF, STOP + seconds(1), END))),
            "has a gap or an overlap",
        ),
        (
            replace(ended(), intervals=(interval(1, ON, START, STOP), interval(3, OFF, STOP, END))),
            "are numbered [1, 3]",
        ),
        (replace(ended(), intervals=(interval(1, ON, START, END),)), "600.0 s are metered otherwise"),
        (replace(ended(), intervals=(interval(1, ON, START, END),)), "cost 0.0600 USD, and our meter says 0.1200"),
        (replace(ended(), lives=2 * ended().lives), "had two machines at once"),
    ],
)
def test_each_fault_alone_is_a_difference(machine: Machine, words: str) -> None:
    assert any(words in each for each in judged([machine], Incidents()).differences), judged(
        [machine], Incidents()
    ).differences


def test_two_accounts_of_a_time_are_apart_where_they_say_different_things() -> None:
    theirs = [Span(START, STOP, ON), Span(STOP, END, OFF)]
    ours = [Span(START + seconds(2), STOP + seconds(3), ON), Span(STOP + seconds(3), END - seconds(4), OFF)]

    assert apart_s(ours, theirs, NOW) == 2 + 3 + 4
    assert apart_s(theirs, theirs, NOW) == 0
    assert apart_s([], [Span(NOW - seconds(7), None, ON)], NOW) == 7


def test_a_machine_that_vanished_while_it_was_off_may_be_seen_later() -> None:
    late = ended(late_s=2 * ORDERED_S + ASLEEP_S - 1)
    vanished = replace(late, lives=(replace(late.lives[0], ended_by="vanished"),))

    assert judged([vanished], Incidents(unasked=Counter(m1=1))).differences == []
    assert judged([late], Incidents(unasked=Counter(m1=1))).differences != []


def test_time_and_money_are_allowed_where_a_workflow_was_terminated_or_a_price_changed() -> None:
    late, dear = ended(late_s=3 * ORDERED_S + TERMINATED_S - 1), replace(ended(), intervals=ended().intervals)
    dear = replace(dear, lives=(replace(dear.lives[0], billed_usd=Decimal("0.09")),))

    assert judged([late], Incidents(terminated=Counter({VM: 1}))).differences == []
    assert judged([late], Incidents()).differences != []
    changed = Incidents()
    changed.price_changes_usd["m1"] += Decimal("0.18")
    assert judged([dear], changed).differences == []
    assert judged([dear], Incidents()).differences == [f"{TAG} cost 0.0900 USD, and our meter says 0.0600"]
