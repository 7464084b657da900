"""The machine's own end, for the day that nobody of us is left: a timer that we keep putting back."""

from __future__ import annotations

import math
from typing import Final

from streaming.ssh import Shell

_FOLDER: Final = "/etc/systemd/system"
_SERVICE: Final = "gamer-dead-man.service"
_TIMER: Final = "gamer-dead-man.timer"
_STEP_S: Final = 60
_LEAST_S: Final = 300  # enough to put it back once more

_SERVICE_TEXT: Final = """\
[Unit]
Description=Switch off: nobody has asked for this machine for too long

[Service]
Type=oneshot
ExecStart=/usr/bin/systemctl poweroff
"""
_TIMER_TEXT: Final = """\
[Unit]
Description=Switches the machine off unless it is put back in time

[Timer]
OnActiveSec={after_s}s
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


async def arm(shell: Shell, after_s: float) -> None:
    """Switch off after this long from now on, also across a restart, which begins the time anew."""
    steps = math.ceil(max(after_s, _LEAST_S) / _STEP_S)
    await _write(shell, _SERVICE, _SERVICE_TEXT)
    await _write(shell, _TIMER, _TIMER_TEXT.format(after_s=steps * _STEP_S))
    await shell.sudo("systemctl", "daemon-reload")
    await shell.sudo("systemctl", "enable", _TIMER)
    await shell.sudo("systemctl", "restart", _TIMER)


async def _write(shell: Shell, name: str, text: str) -> None:
    path = f"{_FOLDER}/{name}"
    if await shell.read_file(path) != text.encode():
        await shell.write_file(path, text.encode(), 0o644)
