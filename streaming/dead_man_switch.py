"""A timer on the machine that turns it off unless the service keeps postponing it.

It ends at a moment: `OnCalendar` by the machine's clock, and `OnBootSec`, which a wrong clock does not affect.
`OnActiveSec` would restart at every `systemctl daemon-reload`, including package upgrades (systemd's issue 31914).
`OnBootSec` counts from the boot, so the uptime is added: a value in the past would turn the machine off at once.
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
_LEAST_S: Final = 300  # enough to postpone it once more

_SERVICE_TEXT: Final = """\
[Unit]
Description=Power off: the service has not postponed this for too long

[Service]
Type=oneshot
ExecStart=/usr/bin/systemctl poweroff
"""
_TIMER_TEXT: Final = """\
[Unit]
Description=Powers the machine off unless it is postponed in time

[Timer]
OnCalendar={moment:%Y-%m-%d %H:%M:%S} UTC
OnBootSec={uptime_s}s
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


async def arm_shutdown_timer(shell: Shell, after_s: float) -> None:
    """Turn the machine off after this time. A machine that is off at that moment counts from its next boot."""
    after_s = math.ceil(max(after_s, _LEAST_S) / _STEP_S) * _STEP_S
    now_s, uptime_s = await _clocks(shell)
    moment = datetime.fromtimestamp(now_s + after_s, UTC)
    await _write(shell, _SERVICE, _SERVICE_TEXT)
    await _write(shell, _TIMER, _TIMER_TEXT.format(moment=moment, uptime_s=uptime_s + after_s))
    await shell.sudo("systemctl", "daemon-reload")
    await shell.sudo("systemctl", "enable", _TIMER)
    await shell.sudo("systemctl", "restart", _TIMER)


async def _clocks(shell: Shell) -> tuple[int, int]:
    """Return the seconds since 1970 by the machine's clock, and since its boot."""
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
