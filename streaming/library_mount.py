"""The game library on a machine: the bucket's roms/ folder, mounted read-only by rclone in a systemd service.

rclone mounts in a folder inside MOUNT_POINT, and links beside it lead to what lies there. Containers bind MOUNT_POINT
as a slave of the machine's mounts (`rslave`): a mount below it that ends and comes back does so in them too. A
container that binds a mount itself keeps it, dead, until it ends: the mount that replaces it belongs to the folder
above, which the container does not see (mount_namespaces(7), "Propagation type").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from errors import ProviderBusyError, ProviderRefusedError
from providers.storage.bucket import GOOGLE_URL
from streaming.library import ROOT
from streaming.packages import install
from streaming.ssh import CommandFailedError, Shell

MOUNT_POINT: Final = "/mnt/games"  # what containers bind
MOUNT_OPTIONS: Final = "ro,rslave"
INNER: Final = ".library"  # where in it rclone mounts
_MOUNTED: Final = f"{MOUNT_POINT}/{INNER}"
UNIT: Final = "gamer-library.service"
_FOLDER: Final = "/etc/gamer"
_ENVIRONMENT_FILE: Final = f"{_FOLDER}/library.env"
KEY_FILE: Final = f"{_FOLDER}/library-key.json"
_UNIT_FILE: Final = f"/etc/systemd/system/{UNIT}"
_CACHE: Final = "/var/lib/cloudypad/game-cache"
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_URL: Final = re.compile(r"https?://[A-Za-z0-9._:\[\]/-]+")
_LINKED: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_LOOK_S: Final = 20  # a hung mount never responds
_BROKEN: Final = (1, 2, 124, 137)  # statuses of `ls` for a broken mount, and of `timeout` for a hung one
_NOT_FOUND: Final = 127

_UNIT_TEXT: Final = f"""\
[Unit]
Description=Game library, read-only
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
EnvironmentFile={_ENVIRONMENT_FILE}
ExecStartPre=-/bin/fusermount3 -uz {_MOUNTED}
ExecStartPre=-/bin/fusermount3 -uz {MOUNT_POINT}
ExecStartPre=/bin/mkdir -p {_MOUNTED} {_CACHE}
ExecStart=/usr/bin/rclone mount gcs:{{bucket}}/{ROOT} {_MOUNTED} --read-only --allow-other \
--vfs-cache-mode full --vfs-cache-max-size 20G --vfs-cache-max-age 720h --vfs-read-ahead 128M \
--dir-cache-time 1m --poll-interval 0 --cache-dir {_CACHE} --uid 1000 --gid 1000 --umask 022
ExecStop=/bin/fusermount3 -u {_MOUNTED}
Restart=on-failure
RestartSec=5
TimeoutStartSec=90

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class LibrarySource:
    """The bucket that machines mount, and the credentials for it.

    `key` is the content of a service account's key file with read access to the library alone. It is stored on the
    machine, readable by root only. Without it, the bucket is read anonymously.
    """

    bucket: str
    endpoint_url: str = GOOGLE_URL
    key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not _BUCKET.fullmatch(self.bucket) or not _URL.fullmatch(self.endpoint_url):
            raise ProviderRefusedError("the library's bucket or endpoint has an invalid name")


async def mount(shell: Shell, source: LibrarySource, *, may_install: bool = True) -> None:
    """Mount the library, or make sure that it is. Ends only when games can be listed through the mount.

    Where others use the package manager now and nothing `may_install`, ProviderBusyError is raised while programs are
    missing.
    """
    await _install_programs(shell, may_install=may_install)
    changed = await _write_service(shell, source)
    if changed or not await _is_mounted(shell):
        await _restart(shell)
    elif await _list_library(shell) is None:
        await shell.sudo("fusermount3", "-uz", _MOUNTED, expected=(0, 1))  # 1: it was unmounted in between
        await _restart(shell)
    if not await _is_mounted(shell):
        raise ProviderBusyError("the game library did not mount")
    listing = await _list_library(shell)
    if listing is None:
        raise ProviderBusyError("the game library is mounted, but does not respond")
    if not listing:
        detail = f"bucket {source.bucket} has nothing under {ROOT}/"
        raise ProviderRefusedError("the game library is empty").with_log_detail(detail)
    await _share_mounts(shell)
    await _link(shell, listing)


async def _install_programs(shell: Shell, *, may_install: bool) -> None:
    missing = [
        package
        for package, probe in (("rclone", ("rclone", "version")), ("fuse3", ("fusermount3", "-V")))
        if (await shell.run(*probe, expected=(0, _NOT_FOUND))).exit_status == _NOT_FOUND
    ]
    if not missing:
        return
    if not may_install:
        raise ProviderBusyError(f"{' and '.join(missing)} can be installed once the set-up is over")
    await install(shell, *missing)


async def _write_service(shell: Shell, source: LibrarySource) -> bool:
    """Write the unit and its files; return whether anything changed."""
    await shell.sudo("install", "-d", "-m", "0700", _FOLDER)
    files = {
        _ENVIRONMENT_FILE: (_environment(source).encode(), 0o600),
        _UNIT_FILE: (_UNIT_TEXT.format(bucket=source.bucket).encode(), 0o644),
    }
    if source.key is not None:
        files[KEY_FILE] = (source.key, 0o600)
    changed = False
    for path, (content, mode) in files.items():
        if await shell.read_file(path) != content:
            await shell.write_file(path, content, mode)
            changed = True
    return changed


def _environment(source: LibrarySource) -> str:
    prefix = "RCLONE_CONFIG_GCS"
    lines = [
        f'{prefix}_TYPE="google cloud storage"',
        f"{prefix}_BUCKET_POLICY_ONLY=true",
        f"{prefix}_NO_CHECK_BUCKET=true",
        f"{prefix}_ANONYMOUS=true" if source.key is None else f"{prefix}_SERVICE_ACCOUNT_FILE={KEY_FILE}",
    ]
    if source.endpoint_url.rstrip("/") != GOOGLE_URL:
        lines.append(f'{prefix}_ENDPOINT="{source.endpoint_url.rstrip("/")}/storage/v1/"')
    return "\n".join([*lines, ""])


async def _share_mounts(shell: Shell) -> None:
    """Let containers follow the machine's mounts.

    systemd does so at every boot. Docker refuses to start a container that binds a folder which does not allow it.
    """
    folder = await shell.run("findmnt", "-n", "-o", "PROPAGATION", "-T", MOUNT_POINT, expected=(0, 1))
    if "shared" not in folder.text.split(","):
        await shell.sudo("mount", "--make-rshared", "/")


async def _link(shell: Shell, listing: Sequence[str]) -> None:
    """Let everything at the top of the library be found right in MOUNT_POINT."""
    there = (await shell.run("ls", "-A", MOUNT_POINT)).text.splitlines()
    for name in listing:
        if name not in there and _LINKED.fullmatch(name):
            await shell.sudo("ln", "-sfn", f"{INNER}/{name}", f"{MOUNT_POINT}/{name}")


async def _restart(shell: Shell) -> None:
    await shell.sudo("systemctl", "daemon-reload")
    await shell.sudo("systemctl", "enable", UNIT)
    try:
        await shell.sudo("systemctl", "restart", UNIT, timeout_s=120)
    except CommandFailedError as error:
        log = await shell.sudo("journalctl", "-u", UNIT, "-n", "5", "--no-pager", "-o", "cat")
        raise ProviderBusyError(f"the game library did not mount: {log.complaint}") from error


async def _is_mounted(shell: Shell) -> bool:
    answer = await shell.run("findmnt", "-n", "-o", "FSTYPE,OPTIONS", _MOUNTED, expected=(0, 1))
    if answer.exit_status == 1 and (answer.stdout or answer.stderr):  # 1 without output: nothing is mounted
        raise CommandFailedError("findmnt", answer)
    kind, _, options = answer.text.partition(" ")
    return answer.exit_status == 0 and kind == "fuse.rclone" and "ro" in options.strip().split(",")


async def _list_library(shell: Shell) -> list[str] | None:
    """Return the top folder of the library, or None if the mount hangs or is broken."""
    answer = await shell.run(
        *("timeout", str(_LOOK_S), "ls", "-A", _MOUNTED), expected=(0, *_BROKEN), timeout_s=_LOOK_S + 10
    )
    return answer.text.splitlines() if answer.exit_status == 0 else None
