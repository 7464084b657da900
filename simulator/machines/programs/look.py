"""Programs that look at the disk."""

from __future__ import annotations

import hashlib
import posixpath
import stat
from collections.abc import Mapping

from simulator.machines.programs.call import Call, Program

UPTIME_FILE = "/proc/uptime"


async def cat(call: Call) -> int:
    _, names = call.options("")
    status = 0
    for name in names:
        try:
            if call.path(name) == UPTIME_FILE:
                call.say(f"{call.machine.clock.now() - call.machine.booted_at:.2f} 0.00")
            else:
                call.stdout.write(call.files.read(call.path(name)))
        except OSError as error:
            status = call.complain(f"{name}: {error.strerror}")
    return status


async def ls(call: Call) -> int:
    """`ls [-A] [-1] [-t] PATH`."""
    found, names = call.options("A1t")
    if len(names) != 1:
        raise call.not_simulated("a call without exactly one path")
    path = call.path(names[0])
    try:
        listed = call.files.listdir(path) if call.files.is_dir(path) else [names[0]]
        call.files.stat(path)
    except OSError as error:
        opening = "open directory" if call.files.exists(path) else "access"
        return call.complain(f"cannot {opening} '{names[0]}': {error.strerror}", 2)
    if "-t" in found:
        listed.sort(key=lambda name: -call.files.stat(posixpath.join(path, name), follow=False).st_mtime)
    for name in listed:
        if "-A" in found or not name.startswith("."):
            call.say(name)
    return 0


async def sha256sum(call: Call) -> int:
    _, names = call.options("")
    for name in names:
        try:
            content = call.files.read(call.path(name))
        except OSError as error:
            return call.complain(f"{name}: {error.strerror}")
        call.say(f"{hashlib.sha256(content).hexdigest()}  {name}")
    return 0


async def test(call: Call) -> int:
    """`test -f PATH`, `test -d PATH`, `test -S PATH`."""
    kinds = {"-f": stat.S_ISREG, "-d": stat.S_ISDIR, "-S": stat.S_ISSOCK}
    if len(call.arguments) != 2 or call.arguments[0] not in kinds:
        raise call.not_simulated(" ".join(call.arguments))
    path = call.path(call.arguments[1])
    return 0 if call.files.exists(path) and kinds[call.arguments[0]](call.files.stat(path).st_mode) else 1


PROGRAMS: Mapping[str, Program] = {"cat": cat, "ls": ls, "sha256sum": sha256sum, "test": test}
