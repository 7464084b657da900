"""`rclone version` and `rclone mount`: a bucket's objects, shown below a folder for as long as the program runs."""

from __future__ import annotations

import asyncio
import contextlib
import getopt
import posixpath
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from simulator.bucket.reader import DIRECTORY_NOT_FOUND, BucketReader, RcloneError
from simulator.machines.mounts import Mount, RemoteFile
from simulator.machines.programs.call import Call, Program
from simulator.machines.systemd.unit import span_s

VERSION = "rclone v1.60.1-DEV\n- os/version: ubuntu 24.04 (64 bit)\n- os/type: linux\n- os/arch: amd64"
BACKENDS = ("google cloud storage", "gcs")
SWITCHES = ("read-only", "allow-other")
# Only `uid` and `dir-cache-time` change anything here; the others tune what a simulated mount does not have.
VALUES = (
    *("vfs-cache-mode", "vfs-cache-max-size", "vfs-cache-max-age", "vfs-read-ahead", "dir-cache-time"),
    *("poll-interval", "cache-dir", "uid", "gid", "umask"),
)
# A simulated machine keeps this much of a file; the rest of a bigger one is a hole of the right length.
FETCHED_BYTES = 1024 * 1024
SHORTEST_CACHE_REAL_S = 0.2


@dataclass(frozen=True, slots=True)
class Mounting:
    source: BucketReader
    shown_as: str
    point: str
    read_only: bool
    allow_other: bool
    uid: int
    folder_cache_s: float


async def rclone(call: Call) -> int:
    verb, *words = call.arguments or ("",)
    if verb == "version" and not words:
        call.say(VERSION)
        return 0
    try:
        options, arguments = getopt.gnu_getopt(words, "", [*SWITCHES, *(f"{name}=" for name in VALUES)])
    except getopt.GetoptError as error:
        raise call.not_simulated(error.msg) from None
    if verb != "mount" or len(arguments) != 2:
        raise call.not_simulated(" ".join(call.arguments))
    found = dict(options)
    try:
        return await _mount(call, _mounting(call, found, arguments))
    except RcloneError as error:
        stamp = datetime.now(UTC).strftime("%Y/%m/%d %H:%M:%S")
        return call.say_error(f"{stamp} Failed to mount: {error}", error.status)


def _mounting(call: Call, found: Mapping[str, str], arguments: list[str]) -> Mounting:
    remote, _, path = arguments[0].partition(":")
    bucket, _, prefix = path.strip("/").partition("/")
    return Mounting(
        source=BucketReader(_remote_options(call, remote), bucket, prefix),
        shown_as=arguments[0],
        point=call.path(arguments[1]),
        read_only="--read-only" in found,
        allow_other="--allow-other" in found,
        uid=int(found.get("--uid", call.user.uid)),
        folder_cache_s=span_s(found.get("--dir-cache-time", "5m")),
    )


def _remote_options(call: Call, name: str) -> dict[str, str]:
    """Return the variables RCLONE_CONFIG_<NAME>_<OPTION> by their options. Raises RcloneError."""
    start = f"RCLONE_CONFIG_{name.upper()}_"
    environment = call.command.environment.items()
    options = {key.removeprefix(start).lower(): value for key, value in environment if key.startswith(start)}
    if options.get("type") not in BACKENDS:
        raise RcloneError(f'didn\'t find section in config file ("{name}")')
    key_file = options.get("service_account_file")
    if key_file and not call.files.is_file(call.path(key_file)):
        raise RcloneError(f"error opening service account credentials file: open {key_file}: no such file or directory")
    if not key_file and not options.get("anonymous"):
        raise RcloneError("failed to configure Google Cloud Storage: empty token found")
    return options


async def _mount(call: Call, wanted: Mounting) -> int:
    """Mount, notify systemd, and return when it is unmounted. Raises RcloneError."""
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


async def _remote_files(source: BucketReader, known: Collection[str] = ()) -> list[RemoteFile]:
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


PROGRAMS: Mapping[str, Program] = {"rclone": rclone}
