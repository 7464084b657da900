"""A watcher on machines at Google that writes down when Google announces to take or stop the machine.

Google's metadata server answers a waiting request as soon as a value changes: `preempted` becomes TRUE 30 seconds
before a Spot machine is taken, and `maintenance-event` announces 60 minutes before that a GPU machine is stopped. The
watcher needs no credential. It is a systemd unit that appends each answer to a file, at least every 20 seconds; the
service reads the files over an open SSH connection.

With the notice, Google also presses the machine's power button, and the system would end the games and the SSH server
at once. The unit therefore holds a lock that delays the shutdown until the saves are uploaded: `release_shutdown`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from typing import Final

from errors import ProviderBusyError
from models.vms import Notice
from streaming.ssh import CommandFailedError, Shell

log = logging.getLogger(__name__)

UNIT: Final = "gamer-notices.service"
PROGRAM: Final = "/usr/local/sbin/gamer-notices"
FOLDER: Final = "/run/gamer-notices"
_UNIT_PATH: Final = f"/etc/systemd/system/{UNIT}"
_LOGIND_FOLDER: Final = "/etc/systemd/logind.conf.d"
_LOGIND_PATH: Final = f"{_LOGIND_FOLDER}/gamer-notices.conf"
_PREEMPTED, _MAINTENANCE = "preempted", "maintenance-event"
_KEYS: Final = (_PREEMPTED, _MAINTENANCE)
_LINE: Final = re.compile(r"(preempted|maintenance-event) ([A-Z_]{1,64})")
_ENDS: Final = "TERMINATE"  # as in TERMINATE_ON_HOST_MAINTENANCE
_HARMLESS: Final = ("NONE", "MIGRATE_ON_HOST_MAINTENANCE")
_SILENCE_S: Final = 60.0
_OPEN_S: Final = 24 * 3600.0  # then the connection is opened again

SCRIPT: Final = r"""#!/bin/sh
# Appends what Google announces about this machine to a file for each key, at least every 20 seconds.
set -u
server="http://${GCE_METADATA_HOST:-metadata.google.internal}/computeMetadata/v1/instance"
folder=${RUNTIME_DIRECTORY:?}

watch_key() {
    key=$1 etag=0 lines=0
    while :; do
        query="wait_for_change=true&timeout_sec=20&last_etag=$etag"
        if ! answer=$(curl -sSfi --max-time 40 -H 'Metadata-Flavor: Google' "$server/$key?$query"); then
            etag=0
            sleep 2
            continue
        fi
        answer=$(printf '%s\n' "$answer" | tr -d '\r')
        etag=$(printf '%s\n' "$answer" | sed -n 's/^[Ee][Tt][Aa][Gg]: *//p' | head -n 1)
        value=$(printf '%s\n' "$answer" | tail -n 1)
        case $etag in '' | *[!0-9A-Za-z]*) etag=0; sleep 2 ;; esac
        case $value in '' | *[!A-Z_]*) sleep 2; continue ;; esac
        lines=$((lines + 1))
        if [ "$lines" -gt 1000 ]; then
            lines=1
            : >"$folder/$key"
        fi
        printf '%s %s\n' "$key" "$value" >>"$folder/$key"
    done
}

watch_key preempted &
watch_key maintenance-event &
wait
"""
UNIT_TEXT: Final = f"""\
[Unit]
Description=Writes down what Google announces about this machine
After=network-online.target

[Service]
ExecStart=/usr/bin/systemd-inhibit --what=shutdown --mode=delay --who=gamer --why=saves {PROGRAM}
Restart=always
RestartSec=5
RuntimeDirectory=gamer-notices
NoNewPrivileges=yes
ProtectHome=yes
ProtectSystem=strict
MemoryMax=64M
TasksMax=32
Nice=10

[Install]
WantedBy=multi-user.target
"""
LOGIND_TEXT: Final = """\
[Login]
InhibitDelayMaxSec=27
"""


async def install_watcher(shell: Shell) -> None:
    """Install and start the watcher, unless it runs in this version. May be repeated."""
    await shell.sudo("install", "-d", "-m", "0755", _LOGIND_FOLDER)
    if await _write(shell, _LOGIND_PATH, LOGIND_TEXT, 0o644):
        await shell.sudo("systemctl", "kill", "--signal=HUP", "systemd-logind.service")
    changed = await _write(shell, PROGRAM, SCRIPT, 0o755)
    if await _write(shell, _UNIT_PATH, UNIT_TEXT, 0o644):
        await shell.sudo("systemctl", "daemon-reload")
        changed = True
    await shell.sudo("systemctl", "enable", UNIT)
    await shell.sudo("systemctl", "restart" if changed else "start", UNIT)


async def await_change(shell: Shell, known: Notice, silence_s: float = _SILENCE_S) -> Notice:
    """Wait until something other than `known` is announced, and return it.

    Raises ProviderBusyError if the connection is lost, or if the watcher has written nothing for `silence_s` seconds.
    """
    heard = _Heard(known)
    follow = asyncio.create_task(shell.run(*_tail(), timeout_s=_OPEN_S, each_line=heard.read))
    try:
        while heard.notice is known:
            heard.line.clear()
            listening = asyncio.create_task(heard.line.wait())
            await asyncio.wait({follow, listening}, timeout=silence_s, return_when=asyncio.FIRST_COMPLETED)
            listening.cancel()
            if heard.notice is not known:
                break
            if follow.done():
                await follow
                raise ProviderBusyError("the machine ended the connection for notices")
            if not heard.line.is_set():
                raise ProviderBusyError(f"the watcher for notices has written nothing for {silence_s:.0f} seconds")
        return heard.notice
    finally:
        follow.cancel()
        with contextlib.suppress(asyncio.CancelledError, ProviderBusyError):
            await follow


async def release_shutdown(shell: Shell) -> None:
    """Let a shutdown go on at once: nothing on the machine is waited for. A machine without the watcher is ignored."""
    with contextlib.suppress(CommandFailedError):
        await shell.sudo("systemctl", "stop", UNIT)


def _tail() -> tuple[str, ...]:
    return ("tail", "-q", "-n", "1", "-F", *(f"{FOLDER}/{key}" for key in _KEYS))


class _Heard:
    """The values of both keys, as far as they are known."""

    def __init__(self, known: Notice) -> None:
        self.notice = known
        self.line = asyncio.Event()
        self._values: dict[str, str] = {}

    def read(self, line: str) -> None:
        found = _LINE.fullmatch(line.strip())
        if found is None:
            return
        self._values[found[1]] = found[2]
        self.line.set()
        if self._values.get(_PREEMPTED) == "TRUE":
            self.notice = Notice.PREEMPTED
        elif len(self._values) == len(_KEYS):
            self.notice = self._by_maintenance(self._values[_MAINTENANCE])

    def _by_maintenance(self, value: str) -> Notice:
        if value.startswith(_ENDS):
            return Notice.MAINTENANCE
        if value not in _HARMLESS:
            log.warning("unknown kind of maintenance", extra={"value": value})
        return Notice.NONE


async def _write(shell: Shell, path: str, text: str, mode: int) -> bool:
    """Write a file and return whether it was different."""
    if await shell.read_file(path) == text.encode():
        return False
    await shell.write_file(path, text.encode(), mode)
    return True
