"""One look at a machine: what it finds, what it remembers, and when the next one is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from errors import MachineLostError, ProviderBusyError
from fleet.commands import Finding, Looked, Memory
from fleet.watch import Watch, WatchTimes
from models.database import Database
from models.everything import DOCUMENTS
from models.vms import Vm, VmStatus
from providers.base import Machine, MachineId, MachineState, Tag
from providers.registry import Registry
from tests.fakes.cloud import FakeCloud
from tests.fakes.streaming import FakeStreaming
from tests.gateway import a_vm

TIMES = WatchTimes(look_s=20, look_stopped_s=300, upload_every_s=300)


class Watched:
    """A recorded machine that its cloud knows."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.cloud = FakeCloud()
        self.streaming = FakeStreaming()
        self._watch = Watch(db, Registry([self.cloud]), self.streaming, TIMES)

    async def begin(self, status: VmStatus = VmStatus.RUNNING) -> Vm:
        now = datetime.now(UTC)
        vm = a_vm(
            "200000000000000001", status=status, created_at=now, last_activity_at=now, stops_at=now + timedelta(hours=8)
        )
        await self.db.insert(vm)
        state = MachineState.RUNNING if status is VmStatus.RUNNING else MachineState.STOPPED_RELEASED
        machine_id = MachineId(vm.provider_id or "")
        self.cloud.rented[machine_id] = Machine(machine_id, Tag(vm.tag), state, ip_address="127.0.0.1")
        return vm

    async def look(self, vm: Vm, memory: Memory | None = None) -> Looked:
        looked: Looked = await ActivityEnvironment().run(self._watch.look, vm.id, memory or Memory())
        return looked


@pytest.fixture
async def watched(db: Database) -> Watched:
    await db.ensure_indexes(DOCUMENTS)
    return Watched(db)


async def test_a_look_ends_and_says_when_the_next_is_due(watched: Watched) -> None:
    vm = await watched.begin()

    looked = await watched.look(vm)

    assert (looked.seen, looked.again_s) == (None, 20)


async def test_a_stopped_machine_is_looked_at_rarely_and_not_spoken_to(watched: Watched) -> None:
    vm = await watched.begin(VmStatus.STOPPED)

    looked = await watched.look(vm)

    assert (looked.seen, looked.again_s) == (None, 300)
    assert sum(watched.streaming.calls.values()) == 0


async def test_saves_and_timer_are_looked_after_now_and_then_and_not_at_every_look(watched: Watched) -> None:
    vm = await watched.begin()

    first = await watched.look(vm)
    second = await watched.look(vm, first.memory)
    long_ago = datetime.now(UTC) - timedelta(seconds=301)
    third = await watched.look(vm, Memory(cared_at=long_ago))

    assert watched.streaming.calls["arm_dead_man"] == 2
    assert second.memory.cared_at == first.memory.cared_at
    assert third.memory.cared_at is not None
    assert third.memory.cared_at > long_ago


async def test_a_machine_that_vanished_was_there_at_the_look_before(watched: Watched) -> None:
    vm = await watched.begin()
    before = await watched.look(vm)
    watched.cloud.rented.clear()

    looked = await watched.look(vm, before.memory)

    assert looked.seen is not None
    assert looked.seen.finding is Finding.GONE
    assert before.memory.there_at is not None
    assert looked.seen.there_at == before.memory.there_at


async def test_a_cloud_that_does_not_answer_leaves_the_memory_as_it_was(watched: Watched) -> None:
    vm = await watched.begin()
    before = await watched.look(vm)
    watched.cloud.failures["machines"] = [ProviderBusyError("it is late")]

    looked = await watched.look(vm, before.memory)

    assert looked.seen is None
    assert looked.memory.there_at == before.memory.there_at


async def test_a_machine_without_a_record_is_lost(watched: Watched) -> None:
    vm = await watched.begin()
    await watched.db.delete(Vm, {"_id": vm.id})

    with pytest.raises(MachineLostError):
        await watched.look(vm)
