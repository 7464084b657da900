"""Programs that run another program: as another user, elsewhere, for a limited time, with arguments from stdin."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from dataclasses import replace

from simulator.machines import packages, users
from simulator.machines.command import Bytes, login_environment
from simulator.machines.programs.call import Call, Program
from simulator.machines.systemd.unit import span_s
from simulator.machines.users import ROOT, User

ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
TIMED_OUT = 124
PATIENCE_REAL_S = 0.3  # a program does its real work in real time, however fast the clock


async def sudo(call: Call) -> int:
    """Run `sudo -n PROGRAM`. Every account may, without a password."""
    _, words = call.leading_options(["-n"], [])
    if not words or ASSIGNMENT.fullmatch(words[0]):
        raise call.not_simulated("a call without a program, or with variables")
    if words[0] in packages.PROGRAMS.values() and call.machine.which(words[0]) is None:
        return call.complain(f"{words[0]}: command not found")
    return await call.run(words, user=ROOT, environment=login_environment(ROOT))


async def setpriv(call: Call) -> int:
    """Run `setpriv --reuid=N --regid=N --clear-groups PROGRAM`. The number needs no account."""
    found, words = call.leading_options(["--clear-groups"], ["--reuid", "--regid"])
    if not words or found.keys() != {"--clear-groups", "--reuid", "--regid"}:
        raise call.not_simulated("a call without a program, --reuid, --regid or --clear-groups")
    uid = int(found["--reuid"])
    if call.user.uid not in (0, uid):
        return call.complain("setresuid failed: Operation not permitted", 127)
    return await call.run(words, user=users.find(call.machine.tree, str(uid)) or User(f"#{uid}", uid))


async def env(call: Call) -> int:
    """Run `env [-C FOLDER] [NAME=VALUE]... PROGRAM`."""
    found, words = call.leading_options([], ["-C"])
    environment, cwd = dict(call.command.environment), call.path(found.get("-C", "."))
    if not call.files.is_dir(cwd):
        return call.complain(f"cannot change directory to '{found['-C']}': No such file or directory", 125)
    while words and (assignment := ASSIGNMENT.fullmatch(words[0])):
        environment[assignment[1]] = assignment[2]
        words.pop(0)
    if not words:
        raise call.not_simulated("a call without a program")
    return await call.run(words, environment=environment, cwd=cwd)


async def timeout(call: Call) -> int:
    """Run `timeout SECONDS PROGRAM`."""
    if len(call.arguments) < 2 or call.arguments[0].startswith("-"):
        raise call.not_simulated("options, or a call without a program")
    limit_s = max(call.machine.clock.real_seconds(span_s(call.arguments[0])), PATIENCE_REAL_S)
    work = asyncio.create_task(call.run(call.arguments[1:]))
    try:
        done, _ = await asyncio.wait({work}, timeout=limit_s)
        return work.result() if done else TIMED_OUT
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


async def xargs(call: Call) -> int:
    """Run `xargs -0 -r PROGRAM`."""
    found, words = call.leading_options(["-0", "-r"], [])
    if not words or found.keys() != {"-0", "-r"}:
        raise call.not_simulated("a call without -0, -r or a program")
    text = (await call.stdin.read()).decode(errors="surrogateescape")
    given = [one for one in text.split("\0") if one]
    streams = replace(call.command.streams, stdin=Bytes())
    return await call.run([*words, *given], streams=streams) if given else 0


PROGRAMS: Mapping[str, Program] = {"sudo": sudo, "setpriv": setpriv, "env": env, "timeout": timeout, "xargs": xargs}
