"""A pairing window with a real Temporal, and on a simulated machine with Wolf."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from errors import InvalidInputError, InvalidStateError, MachineLostError, ProviderError, ProviderRefusedError
from fleet.messages import PairingInput
from fleet.pairing_service import PairingService
from fleet.pairing_window import PairingActivities
from models.database import Database
from models.pairings import PairingStatus, PairingWindow
from models.vms import Vm, VmStatus
from providers.storage.bucket import Bucket
from simulator.machines.container import WolfShape
from streaming.keys import KeyPair
from streaming.machine import LibrarySource, MachineTimes, StreamingMachines
from streaming.pairing import Pairing
from tests.fakes.streaming import FakeStreaming
from tests.gateway import a_vm
from tests.providers.games_bucket import bucket, server
from tests.streaming.conftest import key
from tests.streaming.simulated import Simulated, machine_with_wolf
from tests.world import World

__all__ = ["bucket", "key", "server"]

VM = "100000000000000001"
NO_DEVICE = InvalidStateError("no device requests pairing", "NO_PAIRING_REQUEST")


async def until(db: Database, vm_id: str, status: PairingStatus) -> PairingWindow:
    async with asyncio.timeout(20), db.watch(PairingWindow, []) as changes:
        while (window := await db.get(PairingWindow, vm_id)) is None or window.status is not status:
            await changes.try_next()
    return window


async def test_the_pin_is_handed_to_a_device_that_asks_later(world: World) -> None:
    vm = await world.machine()
    world.streaming.failures["pair_next"] = [NO_DEVICE, NO_DEVICE]

    window = await PairingService(world.db, world.engine).start(vm)
    closed = await until(world.db, vm.id, PairingStatus.PAIRED)

    assert world.streaming.pins == [window.pin]
    assert (closed.pin, closed.known_devices) == (None, None)
    assert (await world.again(vm)).paired is True


async def test_a_wrong_pin_is_shown_and_does_not_close_the_window(world: World) -> None:
    vm = await world.machine()
    world.streaming.failures["pair_next"] = [InvalidInputError("wrong", ("pin",))]
    second = world.streaming.hold("paired_devices")

    window = await PairingService(world.db, world.engine).start(vm)
    await asyncio.wait_for(second.wait(), 20)
    world.streaming.release_gate("paired_devices")
    held = world.streaming.hold("pair_next")
    await asyncio.wait_for(held.wait(), 20)
    world.streaming.let_go("pair_next")
    await until(world.db, vm.id, PairingStatus.PAIRED)

    assert world.streaming.pins == [window.pin]
    assert world.streaming.calls["paired_devices"] == 1


async def test_a_machine_that_is_stopped_closes_the_window(world: World) -> None:
    vm = await world.machine()
    world.streaming.always["pair_next"] = NO_DEVICE

    await PairingService(world.db, world.engine).start(vm)
    await world.streaming.reached("pair_next")
    await world.db.update(Vm, {"_id": vm.id}, {"$set": {"status": VmStatus.STOPPING}})

    assert (await until(world.db, vm.id, PairingStatus.EXPIRED)).pin is None


async def test_a_window_that_replaces_another_keeps_the_devices_known_before_that_one(world: World) -> None:
    vm = await world.machine()
    held = world.streaming.hold("pair_next")
    pairings = PairingService(world.db, world.engine)

    first = await pairings.start(vm)
    await asyncio.wait_for(held.wait(), 20)
    second = await pairings.start(vm)
    world.streaming.let_go("pair_next")
    await until(world.db, vm.id, PairingStatus.PAIRED)

    assert set(world.streaming.pins) == {first.pin, second.pin}
    assert world.streaming.calls["paired_devices"] == 1


class NoWorker:
    async def start_pairing(self, pairing: PairingInput) -> None: ...


async def a_window(db: Database, ended: timedelta, **fields: object) -> Vm:
    """A VM that runs, with a window that ended this long ago and whose end was not recorded."""
    await db.insert(a_vm(VM, "player-1"))
    vm = await db.update(Vm, {"_id": VM}, {"$set": {"status": VmStatus.RUNNING, "ip_address": "127.0.0.7"}})
    assert vm is not None
    end = datetime.now(UTC) - ended
    window = PairingWindow(id=VM, number="1", user_id="player-1", pin="4821", started_at=end, expires_at=end)
    await db.insert(window.model_copy(update={"known_devices": ["5"], "known_lines": [], **fields}))
    return vm


@pytest.mark.parametrize(("ended_s", "kept"), [(-60, ["5"]), (20, ["5"]), (40, None)])
async def test_devices_known_long_ago_are_not_kept(db: Database, ended_s: float, kept: list[str] | None) -> None:
    vm = await a_window(db, timedelta(seconds=ended_s))

    await PairingService(db, NoWorker()).start(vm)

    window = await db.get(PairingWindow, VM)
    assert window is not None
    assert (window.known_devices, window.number == "1") == (kept, False)


@pytest.mark.parametrize(
    ("before", "paired_at_look", "status"),
    [
        (PairingStatus.WAITING, 1, PairingStatus.PAIRED),
        (PairingStatus.WAITING, 2, PairingStatus.EXPIRED),  # no PIN was given, so no handshake is waited for
        (PairingStatus.WRONG_PIN, 3, PairingStatus.PAIRED),
    ],
)
async def test_a_handshake_that_outlasts_the_window_is_finished(
    db: Database, before: PairingStatus, paired_at_look: int, status: PairingStatus
) -> None:
    await a_window(db, timedelta(seconds=1), status=before)
    streaming = FakeStreaming()
    streaming.paired_at_look = paired_at_look

    await PairingActivities(db, streaming, pause_s=0).hand_over_pin(PairingInput(VM, "1"))

    window, vm = await db.get(PairingWindow, VM), await db.get(Vm, VM)
    assert window is not None
    assert vm is not None
    assert (window.status, window.pin, vm.paired) == (status, None, status is PairingStatus.PAIRED)


@pytest.mark.parametrize("error", [ProviderRefusedError("the host key is another"), MachineLostError("it is gone")])
async def test_a_machine_that_refuses_closes_the_window_and_its_pin_is_deleted(
    db: Database, error: ProviderError
) -> None:
    await a_window(db, timedelta(seconds=-60))
    streaming = FakeStreaming()
    streaming.failures["pair_next"] = [error]

    with pytest.raises(type(error)):
        await PairingActivities(db, streaming, pause_s=0).hand_over_pin(PairingInput(VM, "1"))

    window = await db.get(PairingWindow, VM)
    assert window is not None
    assert (window.status, window.pin, window.known_devices) == (PairingStatus.EXPIRED, None, None)


class OnWolf:
    """The activity on a simulated machine, with a window of its own length."""

    def __init__(self, db: Database, simulated: Simulated, machines: StreamingMachines) -> None:
        self.db = db
        self.simulated = simulated
        self._activities = PairingActivities(db, machines, pause_s=0.02)

    async def opened(self, pin: str = "4821", lasting_s: float = 60, number: str = "1") -> None:
        now = datetime.now(UTC)
        await self.db.insert(
            PairingWindow(
                id=VM,
                number=number,
                user_id="player-1",
                pin=pin,
                started_at=now,
                expires_at=now + timedelta(seconds=lasting_s),
            )
        )

    async def hand_over(self, number: str = "1") -> PairingWindow:
        await self._activities.hand_over_pin(PairingInput(VM, number))
        window = await self.db.get(PairingWindow, VM)
        assert window is not None
        return window


@pytest.fixture(params=list(WolfShape))
async def on_wolf(
    request: pytest.FixtureRequest, tmp_path: Path, key: KeyPair, db: Database, bucket: Bucket
) -> AsyncIterator[OnWolf]:
    async with machine_with_wolf(tmp_path, key, request.param) as simulated:
        address = simulated.address
        ports = {"22": address.ssh_port, "47984": address.https_port, "47989": address.http_port}
        await db.insert(a_vm(VM, "player-1"))
        running = {"status": VmStatus.RUNNING, "ip_address": address.host, "ports": ports, "ssh_user": "user"}
        await db.update(Vm, {"_id": VM}, {"$set": {**running, "usd_per_hour": Decimal("0.45")}})
        machines = StreamingMachines(
            simulated.ssh,
            None,  # type: ignore[arg-type]  # nothing is set up here
            bucket,
            LibrarySource("games"),
            pairing=Pairing(patience_s=0.2, settle_s=0.3, pause_s=0.02),
            times=MachineTimes(ready_within_s=0),
        )
        yield OnWolf(db, simulated, machines)


async def test_the_first_request_within_the_window_is_paired_without_a_player_typing(on_wolf: OnWolf) -> None:
    await on_wolf.opened()
    handing = asyncio.create_task(on_wolf.hand_over())
    await asyncio.sleep(0)
    request = on_wolf.simulated.wolf.begin_pairing(pin="4821")

    window = await handing

    assert await request.paired
    assert (window.status, window.pin) == (PairingStatus.PAIRED, None)
    [client] = on_wolf.simulated.wolf.config.clients
    assert client.id


async def test_a_device_with_another_pin_is_refused_and_the_next_one_paired(on_wolf: OnWolf) -> None:
    await on_wolf.opened()
    wrong = on_wolf.simulated.wolf.begin_pairing(pin="1111")
    handing = asyncio.create_task(on_wolf.hand_over())
    await until(on_wolf.db, VM, PairingStatus.WRONG_PIN)
    right = on_wolf.simulated.wolf.begin_pairing(pin="4821")

    window = await handing

    assert (await wrong.paired, await right.paired) == (False, True)
    assert window.status is PairingStatus.PAIRED


async def test_a_window_that_nobody_uses_expires(on_wolf: OnWolf) -> None:
    await on_wolf.opened(lasting_s=0.5)

    window = await on_wolf.hand_over()

    assert (window.status, window.pin) == (PairingStatus.EXPIRED, None)


async def test_a_window_that_was_replaced_hands_nothing_over(on_wolf: OnWolf) -> None:
    await on_wolf.opened(number="2")
    request = on_wolf.simulated.wolf.begin_pairing(pin="4821")

    window = await on_wolf.hand_over("1")

    assert not request.given.done()
    assert (window.status, window.pin) == (PairingStatus.WAITING, "4821")


async def test_a_worker_that_takes_over_finds_the_pairing_that_nobody_noted(on_wolf: OnWolf) -> None:
    await on_wolf.opened()
    await on_wolf.db.update(PairingWindow, {"_id": VM}, {"$set": {"known_devices": [], "known_lines": []}})
    request = on_wolf.simulated.wolf.begin_pairing(pin="4821")
    on_wolf.simulated.wolf.pairings.give_pin(request.secret, "4821")
    assert await request.paired

    assert (await on_wolf.hand_over()).status is PairingStatus.PAIRED


async def test_a_device_that_paired_at_the_end_of_the_window_has_the_players_folder(on_wolf: OnWolf) -> None:
    await on_wolf.opened(lasting_s=-1)
    await on_wolf.db.update(PairingWindow, {"_id": VM}, {"$set": {"known_devices": [], "known_lines": []}})
    request = on_wolf.simulated.wolf.begin_pairing(pin="4821")
    on_wolf.simulated.wolf.pairings.give_pin(request.secret, "4821")
    assert await request.paired

    assert (await on_wolf.hand_over()).status is PairingStatus.PAIRED
    config = tomllib.loads(on_wolf.simulated.read("/home/user/wolf/config.toml"))
    assert [each["app_state_folder"] for each in config["paired_clients"]] == ["player-1"]
