"""Programs that look at the disk."""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from simulator.machines import users
from simulator.machines.programs.call import Call, Program


async def ls(call: Call) -> int:
    found, names = call.options("laA1dhRtrFi", ["all", "almost-all"])
    status = 0
    for name in names or ["."]:
        path = call.path(name)
        try:
            is_folder = call.files.is_dir(path) and "-d" not in found
            call.files.stat(path, follow=False)
            shown = _listed(call, path, found) if is_folder else [(name, path)]
        except OSError as error:
            status = call.complain(f"cannot access '{name}': {error.strerror}", 2)
            continue
        if len(names) > 1 and is_folder:
            call.say(f"{name}:")
        for label, one in shown:
            call.say(_long(call, label, one) if "-l" in found else label)
    return status


async def stat_(call: Call) -> int:
    found, names = call.options("c:Lf", ["format=", "printf=", "dereference"])
    form = found.get("-c") or found.get("--format") or found.get("--printf") or "  File: %n\n  Size: %s\nAccess: (0%a)"
    status = 0
    for name in names:
        try:
            call.say(_stat_line(call, form, name, follow=bool({"-L", "--dereference"} & found.keys())))
        except OSError as error:
            status = call.complain(f"cannot statx '{name}': {error.strerror}")
    return status


async def readlink(call: Call) -> int:
    found, names = call.options("fem", ["canonicalize"])
    for name in names:
        path = call.path(name)
        if found or call.name.endswith("realpath"):
            call.say(call.files.tree.resolve(path))
        elif call.files.tree.host_path(path, follow=False).is_symlink():
            call.say(call.files.readlink(path))
        else:
            return 1
    return 0


async def du(call: Call) -> int:
    """`du -s`, `-b` in bytes, else in KiB."""
    found, names = call.options("sbkhcmx", ["bytes", "summarize"])
    for name in names or ["."]:
        sizes = [_own_stat(call, one).st_size for one in _files_below(call, name)]
        call.say(f"{sum(sizes) if '-b' in found else -(-sum(sizes) // 1024)}\t{name}")
    return 0


async def checksum(call: Call) -> int:
    """`sha256sum` and `md5sum`, also with -c."""
    found, names = call.options("cbt", ["check", "quiet", "status"])
    if "-c" in found or "--check" in found:
        return await _check_sums(call, names)
    status = 0
    for name in names or ["-"]:
        try:
            content = await call.stdin.read() if name == "-" else call.files.read(call.path(name))
        except OSError as error:
            status = call.complain_of(name, error)
            continue
        call.say(f"{_digest(call, content)}  {name}")
    return status


async def _check_sums(call: Call, names: list[str]) -> int:
    status = 0
    for name in names or ["-"]:
        content = await call.stdin.read() if name == "-" else call.files.read(call.path(name))
        for line in content.decode().splitlines():
            wanted, _, path = line.partition("  ")
            right = call.files.is_file(call.path(path)) and _digest(call, call.files.read(call.path(path))) == wanted
            call.say(f"{path}: {'OK' if right else 'FAILED'}")
            status = status if right else 1
    return status


def _digest(call: Call, content: bytes) -> str:
    algorithm = hashlib.md5 if call.name.endswith("md5sum") else hashlib.sha256
    return algorithm(content).hexdigest()


def _listed(call: Call, path: str, found: Mapping[str, str]) -> list[tuple[str, str]]:
    names = call.files.listdir(path)
    if not {"-a", "-A", "--all", "--almost-all"} & found.keys():
        names = [name for name in names if not name.startswith(".")]
    if "-t" in found:
        names.sort(key=lambda name: -call.files.stat(posixpath.join(path, name), follow=False).st_mtime)
    return [(name, posixpath.join(path, name)) for name in names]


def _long(call: Call, label: str, path: str) -> str:
    found = call.files.stat(path, follow=False)
    owner = users.find(call.machine.tree, str(found.st_uid))
    name = owner.name if owner else str(found.st_uid)
    when = datetime.fromtimestamp(found.st_mtime, UTC).strftime("%b %e %H:%M")
    arrow = f" -> {call.files.readlink(path)}" if stat.S_ISLNK(found.st_mode) else ""
    return f"{stat.filemode(found.st_mode)} 1 {name} {name} {found.st_size} {when} {label}{arrow}"


def _files_below(call: Call, path: str) -> Iterator[str]:
    if not stat.S_ISDIR(_own_stat(call, path).st_mode):
        yield path
        return
    for name in call.files.listdir(call.path(path)):
        yield from _files_below(call, posixpath.join(path, name))


def _stat_line(call: Call, form: str, name: str, *, follow: bool) -> str:
    found = call.files.stat(call.path(name), follow=follow)
    owner = users.find(call.machine.tree, str(found.st_uid))
    fields = {
        "%n": name,
        "%s": str(found.st_size),
        "%a": f"{stat.S_IMODE(found.st_mode):o}",
        "%A": stat.filemode(found.st_mode),
        "%u": str(found.st_uid),
        "%g": str(found.st_gid),
        "%U": owner.name if owner else "UNKNOWN",
        "%G": owner.name if owner else "UNKNOWN",
        "%i": str(found.st_ino),
        "%Y": str(int(found.st_mtime)),
        "%F": "directory" if stat.S_ISDIR(found.st_mode) else "regular file",
        "\\n": "\n",
    }
    for field, value in fields.items():
        form = form.replace(field, value)
    return form


def _own_stat(call: Call, shown: str) -> os.stat_result:
    return call.files.stat(call.path(shown), follow=False)


PROGRAMS: Mapping[str, Program] = {
    "ls": ls,
    "stat": stat_,
    "readlink": readlink,
    "realpath": readlink,
    "du": du,
    "sha256sum": checksum,
    "md5sum": checksum,
}
