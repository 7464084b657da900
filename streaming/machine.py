"""All operations on a machine, from the first SSH contact to a working stream.

Every method may be repeated at any time. They raise ProviderBusyError (unreachable or not ready: retry),
ProviderRefusedError (another host key or bad configuration: stop) and MachineLostError (the machine is unusable).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

import orjson

from errors import ProviderBusyError
from models.vms import Notice
from providers.base import ProgressCallback, no_progress
from providers.cloudypad.cli import CloudyPadCli
from providers.storage.bucket import Bucket
from streaming import probe, wolf
from streaming.addresses import Address
from streaming.apps import GameToPlay, app_of
from streaming.control_port import CONTROL_PORT, SAMPLE_S, Reading, prepare
from streaming.dead_man_switch import arm_shutdown_timer
from streaming.disk_image import prepare_for_image
from streaming.driver import has_driver
from streaming.emulator_files import bring_core
from streaming.images import pull_image
from streaming.library_mount import LibrarySource, mount
from streaming.notices import await_change, install_watcher, release_shutdown
from streaming.pairing import PairedDevices, Pairing
from streaming.patience import repeat
from streaming.saves.discovery import FoundSlot, find_slots
from streaming.saves.parts import MachineLabel
from streaming.saves.slots import SaveSlot
from streaming.saves.timed_upload import TimedUpload, upload_in_time
from streaming.saves.transfer import Saves, UploadReport
from streaming.sessions import Activity, end_sessions, measure_activity
from streaming.ssh import CommandFailedError, Shell, Ssh
from streaming.wolf_api import WolfApi

__all__ = [
    "Activity",
    "Address",
    "GameToPlay",
    "LibrarySource",
    "MachineTimes",
    "PairedDevices",
    "Reading",
    "SaveSlot",
    "StreamingMachines",
    "TimedUpload",
    "UploadReport",
]

T = TypeVar("T")

_NOTES: Final = "/var/lib/gamer"
_INSTALLED: Final = f"{_NOTES}/installed.json"
_READINESS: Final = "/usr/local/bin/cloudypad-check-readiness"  # installed by CloudyPad; 0 if Wolf responds
_READINESS_STATUSES: Final = (0, 1)
_FIRST_BOOT_S: Final = 900
_CLOUD_INIT_STATUSES: Final = (0, 1, 2)  # 1: with errors; 2, in newer versions: with errors that it recovered from
_RENTED_BY_CLOUDYPAD: Final = "gcp"
_LISTED_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class MachineTimes:
    """Time limits of operations on machines.

    `sample_s` is how long a machine's traffic is watched without an earlier reading; `ready_within_s` is how long a
    machine that does not respond yet is tried again.
    """

    sample_s: float = SAMPLE_S
    ready_within_s: float = 20.0


class StreamingMachines:
    def __init__(
        self,
        ssh: Ssh,
        cloudypad: CloudyPadCli,
        bucket: Bucket,
        library: LibrarySource,
        *,
        saves: Saves | None = None,
        pairing: Pairing | None = None,
        control_port: int = CONTROL_PORT,
        times: MachineTimes = MachineTimes(),
    ) -> None:
        self._ssh = ssh
        self._cloudypad = cloudypad
        self._bucket = bucket
        self._library = library
        self._saves = saves or Saves(bucket)
        self._pairing = pairing or Pairing()
        self._control_port = control_port
        self._sample_s = times.sample_s
        self._ready_within_s = times.ready_within_s

    async def read_host_key(self, address: Address) -> str:
        """Connect and return the machine's host key, which must equal the key in the address, if any.

        Waits for a machine that is not ready yet.
        """

        async def read_key() -> str:
            async with self._ssh.shell(address) as shell:
                await shell.run("true")
                return shell.host_key

        if self._ready_within_s:
            await probe.await_port(address.host, address.ssh_port, self._ready_within_s)
        return await repeat(read_key, self._ready_within_s)

    async def install(self, address: Address, tag: str, report: ProgressCallback) -> None:
        """Let CloudyPad set the machine up: driver, container engine, Wolf. Takes minutes; a driver restarts it.

        A machine that was set up before is only checked: a file on the machine records it, so that any worker can
        continue.
        """
        if await self._on(address, _is_installed):
            report("The streaming server is already installed")
            return
        instance = await self._cloudypad.get(tag)
        if instance is None or not instance.configured or instance.host != address.host:
            if instance is not None and instance.provider == _RENTED_BY_CLOUDYPAD:
                raise ProviderBusyError("CloudyPad has not finished setting up its machine")
            await self._on(address, _wait_for_first_boot)
            present = await self._on(address, has_driver)
            if present:
                report("The machine came with a graphics driver")
            user, key_path = address.ssh_user, self._ssh.key.path
            await self._cloudypad.create_ssh(tag, address.host, user, key_path, report, has_driver=present)
        await self._on(address, lambda shell: _note_installed(shell, tag))

    async def forget(self, tag: str) -> None:
        """Delete CloudyPad's local state of a machine of its ssh provider. Does nothing on the machine."""
        await self._cloudypad.destroy(tag)

    async def find_slots(self, address: Address) -> list[FoundSlot]:
        """Return the slots with saves on this machine, the last used first."""
        return await self._on(address, find_slots)

    async def mount_library(self, address: Address, *, may_install: bool = True) -> None:
        """Mount the game library, read-only."""
        await self._on(address, lambda shell: mount(shell, self._library, may_install=may_install))

    async def restore_saves(self, address: Address, slot: SaveSlot) -> int:
        """Copy the slot's files to the machine and return their number; 0 is a fresh start."""
        return await self._on(address, lambda shell: self._saves_of(address).restore(shell, slot))

    async def upload_saves(self, address: Address, slot: SaveSlot) -> UploadReport:
        """Upload the slot's files to the bucket. After it returns, no file exists on the machine alone."""
        return await self._on(address, lambda shell: self._saves_of(address).upload(shell, slot))

    async def pull_image(self, address: Address, game: GameToPlay, report: ProgressCallback) -> None:
        """Pull the game's image onto the machine, and its core if it has one."""
        app = app_of(game)

        async def pull(shell: Shell) -> None:
            if app.core is not None:
                await bring_core(shell, self._bucket, app.core)
            await pull_image(shell, app.image, report)

        await self._on(address, pull)

    async def configure_game(
        self, address: Address, game: GameToPlay, report: ProgressCallback = no_progress
    ) -> str | None:
        """Make Moonlight list this game. After it returns, its image is on the machine, and Wolf lists it.

        Returns what prevents the game from starting, in words for the player; None if nothing does.
        """
        app = app_of(game)

        async def configure(shell: Shell) -> str | None:
            await prepare(shell)
            await pull_image(shell, app.image, report)
            lacking = await wolf.configure(shell, self._bucket, app)
            await _await_listing(WolfApi(shell), app.title)
            return lacking

        return await self._on(address, configure)

    async def verify_stream(self, address: Address) -> None:
        """Check the stream as a client would, from here, until it responds: HTTP, HTTPS and RTSP."""
        await repeat(lambda: probe.verify_stream(address), self._ready_within_s)

    async def wake(self, address: Address) -> None:
        """Mount the library again after a start, and check the stream."""
        await self.mount_library(address)
        await self.verify_stream(address)

    async def pair(self, address: Address, pin: str, user_id: str) -> None:
        """Send Wolf the PIN that the player's Moonlight shows, and wait until the device is paired.

        Raises InvalidInputError for a wrong PIN, and InvalidStateError if no device requests pairing or the one that
        did gave up.
        """
        await self._on(address, lambda shell: self._pairing.pair(shell, pin, user_id))

    async def paired_devices(self, address: Address) -> PairedDevices:
        """Return the devices that are paired now."""
        return await self._on(address, self._pairing.known)

    async def pair_next(self, address: Address, pin: str, user_id: str, known: PairedDevices) -> None:
        """Pair the next device that requests it, or find that one was paired since `known`.

        Raises as `pair` does.
        """
        await self._on(address, lambda shell: self._pairing.pair_next(shell, pin, user_id, known))

    async def finish_pairing(self, address: Address, user_id: str, known: PairedDevices) -> bool:
        """Give a device that was paired since `known` the player's folder; return whether there is one."""
        return await self._on(address, lambda shell: self._pairing.finish(shell, user_id, known))

    async def activity(self, address: Address, last: Reading | None = None) -> Activity:
        """Measure whether a client was connected since the `last` reading."""
        return await self._on(
            address,
            lambda shell: measure_activity(shell, last, control_port=self._control_port, sample_s=self._sample_s),
        )

    async def end_sessions(self, address: Address) -> None:
        """End all games on the machine, which then have written their saves to disk. Precedes the last upload."""
        await self._on(address, end_sessions)

    async def await_notice(self, address: Address, known: Notice) -> Notice:
        """Wait over one open connection until Google announces something other than `known`, and return it.

        Only for machines at Google. Raises ProviderBusyError when the connection is lost.
        """

        async def wait(shell: Shell) -> Notice:
            await install_watcher(shell)
            return await await_change(shell, known)

        return await self._on(address, wait)

    async def save_in_time(self, address: Address, slot: SaveSlot, until: datetime) -> TimedUpload:
        """End the games and upload the saves until this moment, the most valuable first."""
        return await self._on(address, lambda shell: upload_in_time(shell, self._saves_of(address), slot, until))

    async def prepare_for_image(
        self, address: Address, images: Sequence[str], report: ProgressCallback = no_progress
    ) -> None:
        """Pull these container images, and delete what no other machine may have, for an image of the disk."""
        await self._on(address, lambda shell: prepare_for_image(shell, images, report))

    async def release_shutdown(self, address: Address) -> None:
        """Let a shutdown of a machine at Google go on at once, without the time that is kept for its saves."""
        await self._on(address, release_shutdown)

    async def arm_shutdown_timer(self, address: Address, after_s: float) -> None:
        """Turn the machine off after this time unless called again."""
        await self._on(address, lambda shell: arm_shutdown_timer(shell, after_s))

    def _saves_of(self, address: Address) -> Saves:
        return self._saves.for_machine(MachineLabel(address.vm_id, address.label))

    async def _on(self, address: Address, work: Callable[[Shell], Awaitable[T]]) -> T:
        async with self._ssh.shell(address) as shell:
            return await work(shell)


async def _is_installed(shell: Shell) -> bool:
    if await shell.read_file(_INSTALLED) is None:
        return False
    return await _is_ready(shell)


async def _is_ready(shell: Shell) -> bool:
    return (await shell.run(_READINESS, expected=_READINESS_STATUSES)).exit_status == 0


async def _wait_for_first_boot(shell: Shell) -> None:
    """Wait for the end of the first boot, including one with errors.

    A new machine installs packages itself, and Ansible would fail on the package manager's lock.
    """
    answer = await shell.sudo("cloud-init", "status", "--wait", expected=_CLOUD_INIT_STATUSES, timeout_s=_FIRST_BOOT_S)
    if answer.exit_status != 0 and b"status: " not in answer.stdout:
        raise CommandFailedError("cloud-init", answer)


async def _await_listing(api: WolfApi, title: str) -> None:
    """Wait until Wolf lists the app; after its restart that takes it a moment."""

    async def look() -> None:
        titles = [app.get("title") for app in await api.get("apps", "apps")]
        if title not in titles:
            raise ProviderBusyError(f"Wolf lists {titles} and not the app {title}")

    await repeat(look, _LISTED_S)


async def _note_installed(shell: Shell, tag: str) -> None:
    if not await _is_ready(shell):
        raise ProviderBusyError("CloudyPad has set the machine up, but its streaming server does not respond yet")
    await shell.sudo("install", "-d", "-m", "0755", _NOTES)
    await shell.write_file(_INSTALLED, orjson.dumps({"tag": tag}), 0o644)
