"""`curl` to Wolf's socket, and the two scripts that CloudyPad puts on a machine."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from simulator.addresses import HTTP
from simulator.machines.programs.call import Call, Program
from simulator.machines.programs.docker import INSIDE
from simulator.machines.wolf.answers import EventStream
from simulator.machines.wolf.server import Wolf

NO_CONNECTION, TIMED_OUT = 7, 28
IDLE_LIMIT = re.compile(rb"-ge (\d+) \]")
# Real time counts too: a machine with a fast clock would be found idle before its launch has ended.
LOOK_EVERY_S, SHORTEST_LOOK_REAL_S = 30, 0.25


async def curl(call: Call) -> int:
    """Run `curl --unix-socket SOCKET -sS [--max-time S] [-X METHOD] [-H HEADER] [--data-binary @-] URL`."""
    found, urls = call.options("sSX:H:", ["unix-socket=", "max-time=", "data-binary="])
    if len(urls) != 1 or "--unix-socket" not in found or found.get("--data-binary", "@-") != "@-":
        raise call.not_simulated(" ".join(call.arguments))
    body = await call.stdin.read() if "--data-binary" in found else b""
    wolf = _wolf_behind(call, found["--unix-socket"])
    if wolf is None:
        text = f"Failed to connect to {urlsplit(urls[0]).hostname}: Couldn't connect to server"
        return call.complain(f"({NO_CONNECTION}) {text}", NO_CONNECTION)
    parts = urlsplit(urls[0])
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    answer = await wolf.api.answer(found.get("-X", "POST" if body else "GET"), target, body)
    if not isinstance(answer, EventStream):
        call.stdout.write(answer.body)
        return 0
    async for chunk in answer.until(float(found["--max-time"]) if "--max-time" in found else None):
        call.stdout.write(chunk)
    return TIMED_OUT


async def check_readiness(call: Call) -> int:
    """Run CloudyPad's script that exits with 0 when Wolf's HTTP port is open."""
    return 0 if HTTP in call.machine.containers.listening() else 1


async def autostop(call: Call) -> int:
    """Run CloudyPad's script that switches the machine off when nothing has streamed for as long as it says."""
    limit = IDLE_LIMIT.search(call.machine.root_files.read(call.machine.which(call.command.argv[0]) or ""))
    idle_s = 0
    while limit and idle_s < int(limit[1]):
        await asyncio.sleep(max(call.machine.clock.real_seconds(LOOK_EVERY_S), SHORTEST_LOOK_REAL_S))
        idle_s = 0 if call.machine.containers.is_streaming() else idle_s + LOOK_EVERY_S
    call.machine.shut_down()
    return 0


def _wolf_behind(call: Call, socket: str) -> Wolf | None:
    """Return the Wolf behind a socket, as seen from where curl runs, if the caller may open it."""
    container = call.command.environment.get(INSIDE)
    try:
        wolf = call.machine.containers.wolf(container)
    except LookupError:
        return None
    if container:
        return wolf if socket == wolf.socket_inside else None
    is_there = call.files.tree.resolve(call.path(socket)) == wolf.socket_outside
    return wolf if call.user.uid == 0 and is_there else None


SCRIPTS: Mapping[str, Program] = {"cloudypad-check-readiness": check_readiness, "autostop.sh": autostop}
PROGRAMS: Mapping[str, Program] = {"curl": curl, **SCRIPTS}
