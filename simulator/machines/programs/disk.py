"""Programs that change what is on the disk."""

from __future__ import annotations

import posixpath
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from io import FileIO

from simulator.machines import users
from simulator.machines.programs.call import Call, Program, UsageError
from simulator.machines.shell.streams import CHUNK, Bytes

SYMBOLIC = re.compile(r"([ugoa]*)([-+=])([rwxX]*)")


async def cat(call: Call) -> int:
    _, names = call.options("nev")
    status = 0
    for name in names or ["-"]:
        try:
            if name == "-":
                while chunk := await call.stdin.read(CHUNK):
                    call.stdout.write(chunk)
            elif call.path(name) == "/proc/uptime":
                call.say(f"{call.machine.clock.now() - call.machine.booted_at:.2f} 0.00")
            else:
                call.stdout.write(call.files.read(call.path(name)))
        except BrokenPipeError:
            raise
        except OSError as error:
            status = call.complain_of(name, error)
    return status


async def tee(call: Call) -> int:
    found, names = call.options("ai")
    status = 0
    opened = []
    for name in names:
        try:
            opened.append(call.files.open(call.path(name), "a" if "-a" in found else "w"))
        except OSError as error:
            status = call.complain_of(name, error)
    while chunk := await call.stdin.read(CHUNK):
        for file in opened:
            file.write(chunk)
        call.stdout.write(chunk)
    for file in opened:
        file.close()
    return status


async def dd(call: Call) -> int:
    """`dd of=FILE bs=N status=none` and `if=FILE`: copies all there is."""
    given = dict(word.partition("=")[::2] for word in call.arguments)
    if unknown := given.keys() - {"if", "of", "bs", "status", "conv"}:
        raise UsageError(f"unrecognized operand '{min(unknown)}'")
    source, target = given.get("if"), given.get("of")
    try:
        content = Bytes(call.files.read(call.path(source))) if source else call.stdin
        output = call.files.open(call.path(target), "w") if target else call.stdout
    except OSError as error:
        return call.complain(f"failed to open '{error.filename}': {error.strerror}")
    size = 0
    while chunk := await content.read(CHUNK):
        output.write(chunk)
        size += len(chunk)
    if isinstance(output, FileIO):
        output.close()
    if given.get("status") != "none":
        call.streams.stderr.write(f"{size} bytes copied\n".encode())
    return 0


async def mkdir(call: Call) -> int:
    found, names = call.options("pm:v", ["parents", "mode="])
    mode = int(found.get("-m") or found.get("--mode") or "755", 8)
    parents = "-p" in found or "--parents" in found
    return _each(
        call, names, lambda path: call.files.mkdir(path, mode, parents=parents), "cannot create directory '{}'"
    )


async def rm(call: Call) -> int:
    found, names = call.options("rRfdv", ["recursive", "force"])
    force, recursive = {"-f", "--force"} & found.keys(), {"-r", "-R", "--recursive"} & found.keys()

    def remove(path: str) -> None:
        there = call.files.tree.host_path(path, follow=False)
        if force and not there.exists() and not there.is_symlink():
            return
        if there.is_dir() and not there.is_symlink() and not recursive:
            raise IsADirectoryError(21, "Is a directory", path)
        call.files.remove(path, recursive=bool(recursive))

    if not names and not force:
        raise UsageError("missing operand")
    return _each(call, names, remove, "cannot remove '{}'")


async def rmdir(call: Call) -> int:
    _, names = call.options("p", ["ignore-fail-on-non-empty"])
    return _each(call, names, call.files.remove, "failed to remove '{}'")


async def mv(call: Call) -> int:
    _, names = call.options("fnTv", ["force"])
    sources, target = _sources_and_target(call, names)

    def move(path: str) -> None:
        call.files.rename(path, _inside(call, target, path))

    return _each(call, sources, move, "cannot move '{}'")


async def cp(call: Call) -> int:
    found, names = call.options("rRapfTnv", ["recursive", "archive", "preserve=", "no-clobber"])
    sources, target = _sources_and_target(call, names)
    recursive = {"-r", "-R", "-a", "--recursive", "--archive"} & found.keys()
    keep = {"-a", "-p", "--archive", "--preserve"} & found.keys()

    def copy(path: str) -> None:
        if call.files.is_dir(path) and not recursive:
            raise IsADirectoryError(21, "Is a directory", path)
        _copy(call, path, target if "-T" in found else _inside(call, target, path), keep=bool(keep))

    return _each(call, sources, copy, "cannot stat '{}'")


async def ln(call: Call) -> int:
    found, names = call.options("sfnTr")
    if "-s" not in found or len(names) != 2:
        raise UsageError("only symbolic links, of one target, are made here")
    target, link = names
    path = call.path(link)
    if call.files.is_dir(path) and "-n" not in found and "-T" not in found:
        path = posixpath.join(path, posixpath.basename(target))
    try:
        if "-f" in found and call.files.tree.host_path(path, follow=False).is_symlink():
            call.files.remove(path)
        call.files.symlink(target, path)
    except OSError as error:
        return call.complain(f"failed to create symbolic link '{link}': {error.strerror}")
    return 0


async def touch(call: Call) -> int:
    found, names = call.options("cmad:t:r:", ["date="])
    epoch = (found.get("-d") or found.get("--date") or "").removeprefix("@")
    mtime = float(epoch) if epoch.replace(".", "").isdigit() else None
    return _each(call, names, lambda path: call.files.touch(path, mtime), "cannot touch '{}'")


async def chmod(call: Call) -> int:
    found, names = call.options("Rvf", ["recursive"])
    if len(names) < 2:
        raise UsageError("missing operand")
    mode, *names = names

    def change(path: str) -> None:
        for one in [path, *(_below(call, path) if {"-R", "--recursive"} & found.keys() else ())]:
            call.files.chmod(one, _new_mode(mode, stat.S_IMODE(call.files.stat(one).st_mode)))

    return _each(call, names, change, "cannot access '{}'")


async def chown(call: Call) -> int:
    found, names = call.options("Rvfh", ["recursive"])
    if len(names) < 2:
        raise UsageError("missing operand")
    owner, *names = names
    user = users.find(call.machine.tree, owner.partition(":")[0])
    uid = user.uid if user else int(owner.partition(":")[0]) if owner.partition(":")[0].isdigit() else None
    if uid is None:
        return call.complain(f"invalid user: '{owner}'")
    recursive = bool({"-R", "--recursive"} & found.keys())
    return _each(
        call, names, lambda path: call.files.chown(path, uid, recursive=recursive), "changing ownership of '{}'"
    )


async def install(call: Call) -> int:
    """`install -m MODE SOURCE TARGET` and `install -d FOLDER...`, with -o and -g."""
    found, names = call.options("m:o:g:dDpv", ["mode=", "owner=", "group=", "directory"])
    mode = int(found.get("-m") or found.get("--mode") or "755", 8)
    owner = users.find(call.machine.tree, found.get("-o") or found.get("--owner") or call.user.name)
    if not owner:
        return call.complain("invalid user")
    if "-d" in found or "--directory" in found:
        return _each(
            call, names, lambda path: _install_folder(call, path, mode, owner.uid), "cannot create directory '{}'"
        )
    sources, target = _sources_and_target(call, names)

    def put(path: str) -> None:
        final = _inside(call, target, path)
        content = call.files.read(path)
        if "-D" in found:
            call.files.mkdir(posixpath.dirname(final), parents=True)
        if call.files.exists(final):
            call.files.remove(final)
        call.files.write(final, content)
        _settle(call, final, mode, owner.uid)

    return _each(call, sources, put, "cannot install '{}'")


def _install_folder(call: Call, path: str, mode: int, uid: int) -> None:
    call.files.mkdir(path, parents=True)
    _settle(call, path, mode, uid)


def _settle(call: Call, path: str, mode: int, uid: int) -> None:
    call.files.chmod(path, mode)
    if uid != call.files.stat(path).st_uid:
        call.files.chown(path, uid)


def _each(call: Call, names: Iterable[str], act: Callable[[str], None], doing: str) -> int:
    """Do it with every path, complain of those that fail, and go on."""
    status = 0
    for name in names:
        try:
            act(call.path(name))
        except OSError as error:
            status = call.complain(f"{doing.format(name)}: {error.strerror}")
    return status


def _sources_and_target(call: Call, names: list[str]) -> tuple[list[str], str]:
    if len(names) < 2:
        raise UsageError("missing file operand")
    *sources, target = names
    path = call.path(target)
    if len(sources) > 1 and not call.files.is_dir(path):
        raise UsageError(f"target '{target}' is not a directory")
    return sources, path


def _inside(call: Call, target: str, source: str) -> str:
    return posixpath.join(target, posixpath.basename(source.rstrip("/"))) if call.files.is_dir(target) else target


def _copy(call: Call, source: str, target: str, *, keep: bool) -> None:
    found = call.files.stat(source)
    if not stat.S_ISDIR(found.st_mode):
        call.files.write(target, call.files.read(source))
        if keep:
            call.files.chmod(target, stat.S_IMODE(found.st_mode))
            call.files.set_times(target, found.st_mtime)
        return
    call.files.mkdir(target, parents=True)
    for name in call.files.listdir(source):
        _copy(call, posixpath.join(source, name), posixpath.join(target, name), keep=keep)


def _below(call: Call, folder: str) -> list[str]:
    if not call.files.is_dir(folder):
        return []
    paths = [posixpath.join(folder, name) for name in call.files.listdir(folder)]
    return [path for one in paths for path in (one, *_below(call, one))]


def _new_mode(wanted: str, mode: int) -> int:
    if wanted.isdigit():
        return int(wanted, 8)
    for who, sign, letters in SYMBOLIC.findall(wanted):
        bits = sum({"r": 4, "w": 2, "x": 1, "X": 1}[letter] for letter in letters)
        shifts = {"u": 6, "g": 3, "o": 0}
        for one in "ugo" if not who or "a" in who else who:
            mask = bits << shifts[one]
            cleared = mode & ~(7 << shifts[one]) if sign == "=" else mode
            mode = mode & ~mask if sign == "-" else cleared | mask
    return mode


PROGRAMS: Mapping[str, Program] = {
    "cat": cat,
    "tee": tee,
    "dd": dd,
    "mkdir": mkdir,
    "rm": rm,
    "rmdir": rmdir,
    "mv": mv,
    "cp": cp,
    "ln": ln,
    "touch": touch,
    "chmod": chmod,
    "chown": chown,
    "install": install,
}
