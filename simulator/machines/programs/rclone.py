"""`rclone version` and `rclone mount`, which really reads the bucket that it is pointed at."""

from __future__ import annotations

import getopt
from collections.abc import Mapping
from datetime import UTC, datetime

from simulator.machines.programs.call import Call, Program
from simulator.machines.rclone.bucket import Bucket, RcloneError
from simulator.machines.rclone.mounting import Mounting, mount
from simulator.machines.systemd.unit import span_s

VERSION = "rclone v1.60.1-DEV\n- os/version: ubuntu 24.04 (64 bit)\n- os/type: linux\n- os/arch: amd64"
BACKENDS = ("google cloud storage", "gcs")
SWITCHES = ("read-only", "allow-other")
# Only `uid` and `dir-cache-time` change anything here; the others tune what a simulated mount does not have.
VALUES = (
    *("vfs-cache-mode", "vfs-cache-max-size", "vfs-cache-max-age", "vfs-read-ahead", "dir-cache-time"),
    *("poll-interval", "cache-dir", "uid", "gid", "umask"),
)


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
        return await mount(call, _mounting(call, found, arguments))
    except RcloneError as error:
        stamp = datetime.now(UTC).strftime("%Y/%m/%d %H:%M:%S")
        return call.say_error(f"{stamp} Failed to mount: {error}", error.status)


def _mounting(call: Call, found: Mapping[str, str], arguments: list[str]) -> Mounting:
    remote, _, path = arguments[0].partition(":")
    bucket, _, prefix = path.strip("/").partition("/")
    return Mounting(
        source=Bucket(_remote_options(call, remote), bucket, prefix),
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


PROGRAMS: Mapping[str, Program] = {"rclone": rclone}
