"""What is done on a machine, done in memory: each call can be held, or told to fail."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from errors import GatewayError, ProviderError, ProviderRefusedError
from models.vms import Notice
from providers.base import ProgressCallback
from streaming.machine import Activity, Address, GameToPlay, PairedDevices, Reading, SaveSlot, UploadReport
from streaming.saves.survey import LeftOut
from streaming.saves.timed_upload import TimedUpload
from streaming.saves.transfer import UploadOutcome

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFake"


class FakeStreaming:
    """Keeps launch.steps.OnMachine and fleet.onboard.OnBoard."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.failures: dict[str, list[GatewayError]] = {}
        self.always: dict[str, GatewayError] = {}
        self.when_cancelled: dict[str, ProviderError] = {}  # what becomes of a held call that is told to end
        self.slow_to_end: dict[str, asyncio.Event] = {}  # a held call that is told to end does so once this is set
        self._told_to_end: dict[str, asyncio.Event] = {}
        self.configured: list[GameToPlay] = []
        self.pulled: list[str] = []
        self.pins: list[str] = []  # that were handed over within a window
        self.paired_at_look: int | None = None  # the call of `finish_pairing` that finds a paired device
        self.may_install: list[bool] = []  # of each mount
        self.lacking: str | None = None  # what keeps a configured game from starting
        self.slots: list[SaveSlot] = []
        self.uploaded: list[SaveSlot] = []
        self.outcome = UploadOutcome.UPLOADED
        self.in_use: bool | None = False
        self.readings: list[Reading | None] = []  # what each look was given of the one before
        self.library_lost = False
        self.left_out: tuple[LeftOut, ...] = ()
        self.notices: asyncio.Queue[Notice] = asyncio.Queue()  # what is announced next
        self.prepared: list[list[str]] = []  # for a disk image, by the container images that it has
        self.cut = False  # the time is too short for all saves
        self.host_key = HOST_KEY
        self.dead_man_s = 0.0
        self._called: dict[str, asyncio.Event] = {}
        self._gates: dict[str, asyncio.Event] = {}
        self._reached: dict[str, asyncio.Event] = {}

    def hold(self, method: str) -> asyncio.Event:
        """Calls of `method` wait from now on; the returned event is set when one arrives."""
        self._gates[method] = asyncio.Event()
        self._reached[method] = asyncio.Event()
        return self._reached[method]

    async def reached(self, method: str) -> None:
        """Until `method` was called, whenever that was or will be."""
        await asyncio.wait_for(self._called.setdefault(method, asyncio.Event()).wait(), 20)

    def let_go(self, method: str) -> None:
        self._gates[method].set()

    def release_gate(self, method: str) -> None:
        """Let go what is held, and hold no more calls of it."""
        self._gates.pop(method).set()

    async def was_told_to_end(self, method: str) -> None:
        """Until a held call of `method` was cancelled."""
        await asyncio.wait_for(self._told_to_end.setdefault(method, asyncio.Event()).wait(), 20)

    async def read_host_key(self, address: Address) -> str:
        await self._enter("read_host_key")
        if address.ssh_host_key not in {None, self.host_key}:
            raise ProviderRefusedError("the machine shows another host key")
        return self.host_key

    async def install(self, address: Address, tag: str, report: ProgressCallback) -> None:
        await self._enter("install")
        report("Installing the graphics driver")

    async def mount_library(self, address: Address, *, may_install: bool = True) -> None:
        self.may_install.append(may_install)
        await self._enter("mount_library")

    async def restore_saves(self, address: Address, slot: SaveSlot) -> int:
        await self._enter("restore_saves")
        self.slots.append(slot)
        return 0

    async def upload_saves(self, address: Address, slot: SaveSlot) -> UploadReport:
        await self._enter("upload_saves")
        self.uploaded.append(slot)
        return UploadReport(self.outcome, left_out=self.left_out)

    async def activity(self, address: Address, last: Reading | None = None) -> Activity:
        self.readings.append(last)
        await self._enter("activity")
        reading = Reading("counter-1", len(self.readings))
        return Activity(
            in_use=self.in_use,
            paired=True,
            sessions=int(bool(self.in_use)),
            reading=reading,
            library_lost=self.library_lost,
        )

    async def end_sessions(self, address: Address) -> None:
        await self._enter("end_sessions")

    async def await_notice(self, address: Address, known: Notice) -> Notice:
        await self._enter("await_notice")
        while (notice := await self.notices.get()) is known:
            pass
        return notice

    async def save_in_time(self, address: Address, slot: SaveSlot, until: datetime) -> TimedUpload:
        await self._enter("save_in_time")
        self.uploaded.append(slot)
        return TimedUpload(UploadReport(self.outcome, left_out=self.left_out), complete=not self.cut)

    async def prepare_for_image(self, address: Address, images: Sequence[str], report: ProgressCallback) -> None:
        await self._enter("prepare_for_image")
        self.prepared.append(list(images))

    async def release_shutdown(self, address: Address) -> None:
        await self._enter("release_shutdown")

    async def wake(self, address: Address) -> None:
        await self._enter("wake")

    async def arm_shutdown_timer(self, address: Address, after_s: float) -> None:
        await self._enter("arm_shutdown_timer")
        self.dead_man_s = after_s

    async def pair(self, address: Address, pin: str, user_id: str) -> None:
        await self._enter("pair")

    async def pull_image(self, address: Address, game: GameToPlay, report: ProgressCallback) -> None:
        await self._enter("pull_image")
        report("Fetching the emulator")
        self.pulled.append(game.console.emulator.image)

    async def paired_devices(self, address: Address) -> PairedDevices:
        await self._enter("paired_devices")
        return PairedDevices(frozenset(), ())

    async def pair_next(self, address: Address, pin: str, user_id: str, known: PairedDevices) -> None:
        await self._enter("pair_next")
        self.pins.append(pin)

    async def finish_pairing(self, address: Address, user_id: str, known: PairedDevices) -> bool:
        await self._enter("finish_pairing")
        return self.calls["finish_pairing"] == self.paired_at_look

    async def configure_game(self, address: Address, game: GameToPlay, report: ProgressCallback) -> str | None:
        await self._enter("configure_game")
        self.configured.append(game)
        return self.lacking

    async def verify_stream(self, address: Address) -> None:
        await self._enter("verify_stream")

    async def _enter(self, method: str) -> None:
        self.calls[method] += 1
        if (gate := self._gates.get(method)) is not None:
            self._reached[method].set()
            try:
                await gate.wait()
            except asyncio.CancelledError:
                self._told_to_end.setdefault(method, asyncio.Event()).set()
                if method in self.slow_to_end:
                    await self.slow_to_end[method].wait()
                if method in self.when_cancelled:
                    raise self.when_cancelled[method] from None
                raise
        self._called.setdefault(method, asyncio.Event()).set()
        if method in self.always:
            raise self.always[method]
        if waiting := self.failures.get(method):
            raise waiting.pop(0)
