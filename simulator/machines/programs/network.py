"""`curl` to Wolf's socket and `nc` to a port of the machine itself. A simulated machine reaches nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from simulator.machines.addresses import SSH
from simulator.machines.programs.call import Call, Program
from simulator.machines.programs.docker import INSIDE
from simulator.machines.wolf.answers import EventStream
from simulator.machines.wolf.server import Wolf

NO_CONNECTION, TIMED_OUT = 7, 28


async def curl(call: Call) -> int:
    """`curl --unix-socket SOCKET -sS [--max-time S] [-X METHOD] [-H HEADER] [--data-binary @-] URL`."""
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


async def nc(call: Call) -> int:
    """`nc -z localhost PORT`."""
    _, names = call.options("z")
    if call.arguments[:2] != ("-z", "localhost") or len(names) != 2:
        raise call.not_simulated(" ".join(call.arguments))
    return 0 if int(names[1]) in {SSH, *call.machine.containers.listening()} else 1


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


PROGRAMS: Mapping[str, Program] = {"curl": curl, "nc": nc}
