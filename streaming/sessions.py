"""Measures whether a machine is in use, and ends its sessions so that no save is only in memory."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass
from typing import Final

from errors import ProviderBusyError
from streaming.apps import LIBRARY
from streaming.control_port import CONTROL_PORT, SAMPLE_S, Reading, measure_traffic
from streaming.library_mount import INNER
from streaming.ssh import ANY_STATUS, CommandFailedError, Shell
from streaming.wolf_api import WolfApi, WolfFaultError

log = logging.getLogger(__name__)

_OURS: Final = "gamer-"  # prefix of our apps' containers; Wolf appends the session's id
_DIGITS: Final = re.compile(r"[0-9]{1,20}")
_END_S: Final = 10
_LOOK_S: Final = 5
_TIMED_OUT: Final = 124
_DEAD_MOUNT: Final = b"Transport endpoint is not connected"
_ENDED_ALREADY: Final = ("No such container", "is not running", "is not paused")  # Docker's engine, 20 to 29
_TRIES: Final = 10


@dataclass(frozen=True, slots=True)
class Activity:
    """Use of a machine.

    `in_use`: a client is connected; None if that cannot be measured. If a player only closes Moonlight, Wolf keeps the
    session and lets the game run on, so `sessions` does not show it. `paired` and `sessions` are None while Wolf does
    not respond. `reading` is for the next check. `library_lost`: a running game still has a library mount that has
    ended; only restarting the game gives it the new one.
    """

    in_use: bool | None
    paired: bool | None
    sessions: int | None
    reading: Reading | None = None
    library_lost: bool = False


async def measure_activity(
    shell: Shell, last: Reading | None = None, *, control_port: int = CONTROL_PORT, sample_s: float = SAMPLE_S
) -> Activity:
    """Measure what clients send. Our own connections do not count."""
    measured = await measure_traffic(shell, control_port, last, sample_s)
    api = WolfApi(shell)
    try:
        sessions = len(await api.get("sessions", "sessions"))
        paired = bool(await api.get("clients", "clients"))
    except ProviderBusyError as error:
        log.warning("Wolf does not respond", extra={"why": error.message})
        return Activity(measured.arrived, None, None, measured.reading)
    in_use = False if measured.arrived is None and sessions == 0 else measured.arrived
    library_lost = bool(sessions) and await _is_library_lost(shell)
    return Activity(in_use, paired, sessions, measured.reading, library_lost)


async def _is_library_lost(shell: Shell) -> bool:
    """Return whether a container has a dead mount of the library.

    Containers follow the machine's mounts, but for those that an earlier release configured. An image without the means
    to check counts as healthy.
    """
    for name in await _containers(shell, "running"):
        look = ("timeout", str(_LOOK_S), "ls", f"{LIBRARY}/{INNER}")
        answer = await shell.sudo("docker", "exec", "-e", "LC_ALL=C", name, *look, expected=ANY_STATUS)
        if answer.exit_status == _TIMED_OUT or _DEAD_MOUNT in answer.stdout + answer.stderr:
            return True
    return False


async def end_sessions(shell: Shell, *, pause_s: float = 1) -> None:
    """End all games, so that everything they had to save is on disk.

    Wolf itself gives a game two seconds, so the containers are stopped first, with more time. If Wolf does not respond,
    no game is left once the containers have ended.
    """
    for name in await _containers(shell, "paused"):
        await _docker(shell, "unpause", name)
    for name in await _containers(shell, "running"):
        await _docker(shell, "stop", "-t", str(_END_S), name)
    for _ in range(_TRIES):
        if not await _end_remaining(shell):
            return
        await asyncio.sleep(pause_s)
    raise ProviderBusyError("a game has not ended")


async def _docker(shell: Shell, *argv: str) -> None:
    """Run a command on one container. A container that has already ended or resumed counts as success."""
    answer = await shell.sudo("docker", *argv, expected=(0, 1), timeout_s=_END_S + 30)
    said = answer.stderr.decode(errors="replace")
    if answer.exit_status != 0 and not any(words in said for words in _ENDED_ALREADY):
        raise CommandFailedError("docker", answer)


async def _end_remaining(shell: Shell) -> bool:
    """Request the end of each remaining session and return whether there were any."""
    api = WolfApi(shell)
    try:
        sessions = await api.get("sessions", "sessions")
    except ProviderBusyError:
        return bool(await _containers(shell, "running"))
    for session in sessions:
        await _end(api, session.get("client_id"))
    return bool(sessions)


async def _end(api: WolfApi, session_id: object) -> None:
    """Stop a session. The id is sent as text and as a number, because builds differ in how they read it."""
    for written in (session_id, _other_form(session_id)):
        try:
            return await api.post("sessions/stop", {"session_id": written})
        except WolfFaultError:
            continue  # it has ended, or will be requested again


def _other_form(session_id: object) -> object:
    if not isinstance(session_id, str):
        return str(session_id)
    number = int(session_id) if _DIGITS.fullmatch(session_id) else 2**64
    return number if number < 2**64 else session_id


async def _containers(shell: Shell, status: str) -> list[str]:
    answer = await shell.sudo("docker", "ps", "--filter", f"status={status}", "--format", "{{.Names}}")
    return [name for name in answer.text.split() if name.startswith(_OURS)]
