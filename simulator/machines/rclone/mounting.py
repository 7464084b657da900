"""`rclone mount`: a bucket's objects, shown below a folder for as long as the program runs."""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
from collections.abc import Collection
from dataclasses import dataclass

from simulator.machines.mounts import Mount, RemoteFile
from simulator.machines.programs.call import Call
from simulator.machines.rclone.bucket import DIRECTORY_NOT_FOUND, Bucket, RcloneError

# A simulated machine keeps this much of a file; the rest of a bigger one is a hole of the right length.
FETCHED_BYTES = 1024 * 1024
SHORTEST_CACHE_REAL_S = 0.2


@dataclass(frozen=True, slots=True)
class Mounting:
    source: Bucket
    shown_as: str
    point: str
    read_only: bool
    allow_other: bool
    uid: int
    folder_cache_s: float


async def mount(call: Call, wanted: Mounting) -> int:
    """Mount, tell systemd that it is done, and return when it is unmounted. Raises RcloneError."""
    point = _checked_point(call, wanted)
    options = f"{'ro' if wanted.read_only else 'rw'},nosuid,nodev,relatime,user_id=0,group_id=0"
    options += ",allow_other" if wanted.allow_other else ""
    shown = await _remote_files(wanted.source)
    call.machine.mounts.mount(Mount(point, wanted.shown_as, "fuse.rclone", options), shown, wanted.uid)
    if socket := call.command.environment.get("NOTIFY_SOCKET"):
        call.machine.systemd.notify_ready(socket)
    await _serve(call, wanted, point)
    return 0


async def _serve(call: Call, wanted: Mounting, point: str) -> None:
    """Look for new objects whenever the folders' cache is over, until it is unmounted."""
    pause_s = max(call.machine.clock.real_seconds(wanted.folder_cache_s), SHORTEST_CACHE_REAL_S)
    try:
        while call.machine.mounts.at(point):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await call.machine.mounts.wait_until_gone(point)
            if call.machine.mounts.at(point):
                await _refresh(call, wanted, point)
    except asyncio.CancelledError:
        if call.machine.mounts.at(point):
            call.machine.mounts.unmount(point)
        raise


async def _refresh(call: Call, wanted: Mounting, point: str) -> None:
    """Show new objects. A bucket that does not answer now is shown as it was."""
    with contextlib.suppress(RcloneError):
        added = await _remote_files(wanted.source, call.machine.mounts.shown(point))
        if call.machine.mounts.at(point):
            call.machine.mounts.show(point, added)


def _checked_point(call: Call, wanted: Mounting) -> str:
    point = call.files.tree.resolve(wanted.point)
    if not call.machine.which("fusermount3"):
        raise RcloneError('failed to mount FUSE fs: fusermount3: exec: "fusermount3": not found in $PATH')
    if not call.files.is_dir(point):
        raise RcloneError(f"mountpoint does not exist: stat {wanted.point}: no such file or directory")
    if call.machine.mounts.at(point):
        raise RcloneError(f"directory already mounted: {wanted.point}")
    if call.files.listdir(point):
        raise RcloneError(f"directory is not empty, use --allow-non-empty to mount anyway: {wanted.point}")
    return point


async def _remote_files(source: Bucket, known: Collection[str] = ()) -> list[RemoteFile]:
    """Return the objects as files, but for those known already. A missing bucket mounts too, and shows nothing."""
    try:
        entries = await source.entries()
    except RcloneError as error:
        if error.status == DIRECTORY_NOT_FOUND:
            return []
        raise
    return [
        RemoteFile(posixpath.normpath(one.path), one.size, one.mtime, await source.beginning(one, FETCHED_BYTES))
        for one in entries
        if ".." not in one.path.split("/") and posixpath.normpath(one.path) not in known
    ]
