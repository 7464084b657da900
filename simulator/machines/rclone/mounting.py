"""`rclone mount`: a bucket's objects, shown below a folder for as long as the program runs."""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
from collections.abc import Collection
from dataclasses import dataclass

from simulator.machines.mounts import Mount, RemoteFile
from simulator.machines.programs.call import Call
from simulator.machines.rclone.ends import RemoteEnd
from simulator.machines.rclone.remote import DIRECTORY_NOT_FOUND, RcloneError

# A simulated machine keeps this much of a file; the rest of a bigger one is a hole of the right length.
FETCHED_BYTES = 1024 * 1024
SHORTEST_CACHE_REAL_S = 0.2


@dataclass(frozen=True, slots=True)
class Mounting:
    source: RemoteEnd
    shown_as: str
    point: str
    read_only: bool
    allow_other: bool
    non_empty: bool
    daemon: bool
    uid: int
    folder_cache_s: float


async def mount(call: Call, wishes: Mounting) -> int:
    """Returns when it is mounted with `daemon`, else when it is unmounted."""
    point = _checked_point(call, wishes)
    options = f"{'ro' if wishes.read_only else 'rw'},nosuid,nodev,relatime,user_id=0,group_id=0"
    options += ",allow_other" if wishes.allow_other else ""
    shown = await _shown(wishes.source)
    call.machine.mounts.mount(Mount(point, wishes.shown_as, "fuse.rclone", options), shown, wishes.uid)
    if wishes.daemon:
        call.machine.in_background(_serve(call, wishes, point))
        return 0
    if socket := call.environment.get("NOTIFY_SOCKET"):
        call.machine.systemd.notify_ready(socket)
    await _serve(call, wishes, point)
    return 0


async def _serve(call: Call, wishes: Mounting, point: str) -> None:
    """Until it is unmounted: look again whenever the cache of the folders is over."""
    pause_s = max(call.machine.clock.real_seconds(wishes.folder_cache_s), SHORTEST_CACHE_REAL_S)
    try:
        while call.machine.mounts.at(point):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await call.machine.mounts.gone(point)
            if call.machine.mounts.at(point):
                await _look_again(call, wishes, point)
    except asyncio.CancelledError:
        if call.machine.mounts.at(point):
            call.machine.mounts.unmount(point)
        raise


async def _look_again(call: Call, wishes: Mounting, point: str) -> None:
    """A library that does not answer now is shown as it was."""
    with contextlib.suppress(RcloneError):
        shown = await _shown(wishes.source, call.machine.mounts.shown(point))
        if call.machine.mounts.at(point):
            call.machine.mounts.show(point, shown)


def _checked_point(call: Call, wishes: Mounting) -> str:
    point = call.files.tree.resolve(wishes.point)
    if not call.machine.which("fusermount3"):
        raise RcloneError('failed to mount FUSE fs: fusermount3: exec: "fusermount3": not found in $PATH')
    if not call.files.is_dir(point):
        raise RcloneError(f"mountpoint does not exist: stat {wishes.point}: no such file or directory")
    if call.machine.mounts.at(point):
        raise RcloneError(f"directory already mounted: {wishes.point}")
    if call.files.listdir(point) and not wishes.non_empty:
        raise RcloneError(f"directory is not empty, use --allow-non-empty to mount anyway: {wishes.point}")
    if wishes.allow_other and call.user.uid != 0 and not _others_allowed(call):
        raise RcloneError("fusermount3: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf")
    return point


def _others_allowed(call: Call) -> bool:
    return "user_allow_other" in call.machine.root_files.read_text("/etc/fuse.conf").splitlines()


async def _shown(source: RemoteEnd, known: Collection[str] = ()) -> list[RemoteFile]:
    """The objects as files, but for those known already; a bucket that is missing mounts too, and shows nothing."""
    try:
        entries = await source.entries()
    except RcloneError as error:
        if error.status == DIRECTORY_NOT_FOUND:
            return []
        raise
    return [
        RemoteFile(posixpath.normpath(path), entry.size, entry.mtime, await source.beginning(path, FETCHED_BYTES))
        for path, entry in entries.items()
        if ".." not in path.split("/") and posixpath.normpath(path) not in known
    ]
