"""Whether a machine is played on, and ending its sessions so that no save is left in memory."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass
from typing import Final

from errors import ProviderBusyError
from streaming.apps import LIBRARY
from streaming.control_port import CONTROL_PORT, SAMPLE_S, Reading, traffic
from streaming.ssh import ANY_STATUS, CommandFailedError, Shell
from streaming.wolf_api import WolfApi, WolfFaultError

log = logging.getLogger(__name__)

_OURS: Final = "gamer-"  # how the containers of our apps begin; Wolf puts the session's id behind it
_DIGITS: Final = re.compile(r"[0-9]{1,20}")
_END_S: Final = 10
_LOOK_S: Final = 5
_TIMED_OUT: Final = 124
_DEAD_MOUNT: Final = b"Transport endpoint is not connected"
_ENDED_ALREADY: Final = ("No such container", "is not running", "is not paused")  # Docker's engine, 20 to 29
_TRIES: Final = 10


@dataclass(frozen=True, slots=True)
class Activity:
    """`in_use`: a client is connected; None when that cannot be measured. Wolf keeps the session of a player who only
    closed Moonlight in its list and lets the game run on, so that `sessions` says nothing of it; `paired` and
    `sessions` are None while Wolf does not answer. `reading` is for the next look. `library_lost`: a running game still
    has a mount of the library that has ended; only the game's restart gives it the new one."""

    in_use: bool | None
    paired: bool | None
    sessions: int | None
    reading: Reading | None = None
    library_lost: bool = False


async def activity(
    shell: Shell, last: Reading | None = None, *, control_port: int = CONTROL_PORT, sample_s: float = SAMPLE_S
) -> Activity:
    """Measure what clients send. Our own connections count for nothing."""
    measured = await traffic(shell, control_port, last, sample_s)
    api = WolfApi(shell)
    try:
        sessions = len(await api.get("sessions", "sessions"))
        paired = bool(await api.get("clients", "clients"))
    except ProviderBusyError as error:
        log.warning("Wolf does not answer", extra={"why": error.message})
        return Activity(measured.arrived, None, None, measured.reading)
    in_use = False if measured.arrived is None and sessions == 0 else measured.arrived
    library_lost = bool(sessions) and await _library_is_lost(shell)
    return Activity(in_use, paired, sessions, measured.reading, library_lost)


async def _library_is_lost(shell: Shell) -> bool:
    """A container keeps the mount that was there when it began. An image that cannot be asked is taken to be well."""
    for name in await _containers(shell, "running"):
        look = ("timeout", str(_LOOK_S), "ls", LIBRARY)
        answer = await shell.sudo("docker", "exec", "-e", "LC_ALL=C", name, *look, expected=ANY_STATUS)
        if answer.exit_status == _TIMED_OUT or _DEAD_MOUNT in answer.stdout + answer.stderr:
            return True
    return False


async def end_sessions(shell: Shell, *, pause_s: float = 1) -> None:
    """End all games, so that everything they had to save is on the disk.

    Wolf itself gives a game two seconds; the containers are stopped first, with more. A Wolf that does not answer
    keeps no game alive once their containers have ended.
    """
    for name in await _containers(shell, "paused"):
        await _docker(shell, "unpause", name)
    for name in await _containers(shell, "running"):
        await _docker(shell, "stop", "-t", str(_END_S), name)
    for _ in range(_TRIES):
        if not await _still_there(shell):
            return
        await asyncio.sleep(pause_s)
    raise ProviderBusyError("a game does not end")


async def _docker(shell: Shell, *argv: str) -> None:
    """Run a command on one container; that it has ended or went out of the pause by itself is as good."""
    answer = await shell.sudo("docker", *argv, expected=(0, 1), timeout_s=_END_S + 30)
    said = answer.stderr.decode(errors="replace")
    if answer.exit_status != 0 and not any(words in said for words in _ENDED_ALREADY):
        raise CommandFailedError("docker", answer)


async def _still_there(shell: Shell) -> bool:
    """Whether anything is left of the sessions, each of which is asked to end."""
    api = WolfApi(shell)
    try:
        sessions = await api.get("sessions", "sessions")
    except ProviderBusyError:
        return bool(await _containers(shell, "running"))
    for session in sessions:
        await _end(api, session.get("client_id"))
    return bool(sessions)


async def _end(api: WolfApi, session_id: object) -> None:
    """Whether a build reads this id as text or as a number does not show in how it writes it."""
    for written in (session_id, _otherwise(session_id)):
        try:
            return await api.post("sessions/stop", {"session_id": written})
        except WolfFaultError:
            continue  # it ended by itself meanwhile, or will be asked again


def _otherwise(session_id: object) -> object:
    if not isinstance(session_id, str):
        return str(session_id)
    number = int(session_id) if _DIGITS.fullmatch(session_id) else 2**64
    return number if number < 2**64 else session_id


async def _containers(shell: Shell, status: str) -> list[str]:
    answer = await shell.sudo("docker", "ps", "--filter", f"status={status}", "--format", "{{.Names}}")
    return [name for name in answer.text.split() if name.startswith(_OURS)]
