"""A timer on the machine that switches it off unless the service keeps putting it back.

Its end is a moment: `OnCalendar` by the machine's clock, and beside it `OnBootSec`, which no wrong clock moves.
`OnActiveSec` would begin again at every `systemctl daemon-reload` of anything, package upgrades included (systemd's
issue 31914). `OnBootSec` counts from the boot, so that the time since then is added: a value that has passed already
would switch the machine off at once.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

from errors import ProviderBusyError
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
OnCalendar={moment:%Y-%m-%d %H:%M:%S} UTC
OnBootSec={uptime_s}s
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


async def arm_shutdown_timer(shell: Shell, after_s: float) -> None:
    """Switch off after this long from now on. A machine that was off at that moment counts from its next boot."""
    after_s = math.ceil(max(after_s, _LEAST_S) / _STEP_S) * _STEP_S
    now_s, uptime_s = await _clocks(shell)
    moment = datetime.fromtimestamp(now_s + after_s, UTC)
    await _write(shell, _SERVICE, _SERVICE_TEXT)
    await _write(shell, _TIMER, _TIMER_TEXT.format(moment=moment, uptime_s=uptime_s + after_s))
    await shell.sudo("systemctl", "daemon-reload")
    await shell.sudo("systemctl", "enable", _TIMER)
    await shell.sudo("systemctl", "restart", _TIMER)


async def _clocks(shell: Shell) -> tuple[int, int]:
    """Return the seconds since 1970 by the machine's own clock, and since its boot."""
    now = await shell.run("date", "+%s")
    uptime = await shell.run("cat", "/proc/uptime")
    try:
        return int(now.text), math.ceil(float(uptime.text.split(" ")[0]))
    except ValueError:
        raise ProviderBusyError("the machine's clock cannot be read") from None


async def _write(shell: Shell, name: str, text: str) -> None:
    path = f"{_FOLDER}/{name}"
    if await shell.read_file(path) != text.encode():
        await shell.write_file(path, text.encode(), 0o644)
