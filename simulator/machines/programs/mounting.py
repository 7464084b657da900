"""`mount` and its kin. What is mounted comes from elsewhere: these programs tell and unmount."""

from __future__ import annotations

import json
from collections.abc import Mapping

from simulator.machines.mounts import Mount
from simulator.machines.programs.call import Call, Program, UsageError

COLUMNS = ("TARGET", "SOURCE", "FSTYPE", "OPTIONS")


async def findmnt(call: Call) -> int:
    found, names = call.options(
        "no:T:M:S:t:rJlfm:", ["noheadings", "output=", "target=", "mountpoint=", "json", "raw", "types=", "source="]
    )
    mounts = _found(call, found, names)
    if not mounts:
        return 1
    columns = (found.get("-o") or found.get("--output") or ",".join(COLUMNS)).split(",")
    if "-J" in found or "--json" in found:
        rows = [{column.lower(): _fields(mount)[column] for column in columns} for mount in mounts]
        call.say(json.dumps({"filesystems": rows}))
        return 0
    if "-n" not in found and "--noheadings" not in found:
        call.say(" ".join(columns))
    for mount in mounts:
        call.say(" ".join(_fields(mount)[column.upper()] for column in columns))
    return 0


async def mount(call: Call) -> int:
    if call.arguments and call.arguments[0] not in ("-l", "-t"):
        call.needs_root()
        raise UsageError(f"{call.arguments[-1]}: special device {call.arguments[0]} does not exist.", 32)
    for one in call.machine.mounts:
        if call.arguments[:1] != ("-t",) or one.fstype in call.arguments[1].split(","):
            call.say(f"{one.source} on {one.point} type {one.fstype} ({one.options})")
    return 0


async def mountpoint(call: Call) -> int:
    found, names = call.options("qd")
    path = call.path(names[0])
    if not call.files.exists(path):
        return call.complain(f"{names[0]}: No such file or directory")
    is_one = call.machine.mounts.at(call.files.tree.resolve(path)) is not None
    if "-q" not in found:
        call.say(f"{names[0]} is {'' if is_one else 'not '}a mountpoint")
    return 0 if is_one else 32


async def umount(call: Call) -> int:
    _, names = call.options("lfqvz", ["lazy", "force"])
    call.needs_root()
    return _unmount(call, names)


async def fusermount3(call: Call) -> int:
    found, names = call.options("uzqV")
    if "-V" in found:
        call.say("fusermount3 version: 3.14.0")
        return 0
    if "-u" not in found:
        raise UsageError("old style mounting not supported")
    return _unmount(call, names)


def _unmount(call: Call, names: list[str]) -> int:
    status = 0
    for name in names:
        point = call.files.tree.resolve(call.path(name))
        if point == "/" or not call.machine.mounts.at(point):
            status = call.complain(f"{name}: not mounted.", 32 if call.name.endswith("umount") else 1)
        else:
            call.machine.mounts.unmount(point)
    return status


def _found(call: Call, found: Mapping[str, str], names: list[str]) -> list[Mount]:
    mounts = list(call.machine.mounts)
    if target := found.get("-T") or found.get("--target"):
        mounts = [call.machine.mounts.holding(call.files.tree.resolve(call.path(target)))]
    wanted = [*names, *[value for flag in ("-M", "--mountpoint") if (value := found.get(flag))]]
    if wanted:
        points = [call.files.tree.resolve(call.path(name)) for name in wanted]
        mounts = [one for one in mounts if one.point in points or one.source in wanted]
    if kinds := found.get("-t") or found.get("--types"):
        mounts = [one for one in mounts if one.fstype in kinds.split(",")]
    return mounts


def _fields(one: Mount) -> dict[str, str]:
    return dict(zip(COLUMNS, (one.point, one.source, one.fstype, one.options), strict=True))


PROGRAMS: Mapping[str, Program] = {
    "findmnt": findmnt,
    "mount": mount,
    "mountpoint": mountpoint,
    "umount": umount,
    "fusermount3": fusermount3,
}
