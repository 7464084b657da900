"""Programs that change what is on the disk."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from io import FileIO

from simulator.machines import users
from simulator.machines.programs.call import Call, Program, UsageError
from simulator.machines.streams import CHUNK_BYTES


async def dd(call: Call) -> int:
    """`dd of=FILE bs=SIZE status=none`: write stdin to a file."""
    given = dict(word.partition("=")[::2] for word in call.arguments)
    if "of" not in given or given.keys() - {"of", "bs", "status"} or given.get("status") != "none":
        raise call.not_simulated(" ".join(call.arguments))
    try:
        output: FileIO = call.files.open(call.path(given["of"]), "w")
    except OSError as error:
        return call.complain(f"failed to open '{given['of']}': {error.strerror}")
    with output:
        while chunk := await call.stdin.read(CHUNK_BYTES):
            output.write(chunk)
    return 0


async def mkdir(call: Call) -> int:
    """`mkdir -p FOLDER...`."""
    found, names = call.options("p")
    parents = "-p" in found
    return _each(call, names, lambda path: call.files.mkdir(path, parents=parents), "cannot create directory '{}'")


async def rm(call: Call) -> int:
    """`rm [-r] [-f] PATH...`."""
    found, names = call.options("rf")

    def remove(path: str) -> None:
        there = call.files.tree.host_path(path, follow=False)
        if "-f" in found and not there.exists() and not there.is_symlink():
            return
        if there.is_dir() and not there.is_symlink() and "-r" not in found:
            raise IsADirectoryError(21, "Is a directory", path)
        call.files.remove(path, recursive=True)

    return _each(call, names, remove, "cannot remove '{}'")


async def mv(call: Call) -> int:
    """`mv -f SOURCE TARGET`."""
    _, names = call.options("f")
    source, target = _source_and_target(call, names)
    return _each(call, [source], lambda path: call.files.rename(path, target), "cannot move '{}'")


async def cp(call: Call) -> int:
    """`cp SOURCE TARGET`, of one file. A target that is there keeps its inode."""
    _, names = call.options("")
    source, target = _source_and_target(call, names)
    return _each(call, [source], lambda path: call.files.write(target, call.files.read(path)), "cannot stat '{}'")


async def ln(call: Call) -> int:
    """`ln -sfn TARGET LINK`."""
    found, names = call.options("sfn")
    if found.keys() != {"-s", "-f", "-n"} or len(names) != 2:
        raise call.not_simulated("a call that is not `ln -sfn TARGET LINK`")
    target, link = names
    path = call.path(link)
    try:
        if call.files.tree.host_path(path, follow=False).is_symlink():
            call.files.remove(path)
        call.files.symlink(target, path)
    except OSError as error:
        return call.complain(f"failed to create symbolic link '{link}': {error.strerror}")
    return 0


async def touch(call: Call) -> int:
    _, names = call.options("")
    return _each(call, names, call.files.touch, "cannot touch '{}'")


async def install(call: Call) -> int:
    """`install -d [-o USER] [-g GROUP] -m MODE FOLDER...` and `install -m MODE SOURCE TARGET`."""
    found, names = call.options("m:o:g:d")
    mode = int(found.get("-m", "755"), 8)
    owner = users.find(call.machine.tree, found.get("-o", str(call.user.uid)))
    uid = owner.uid if owner else int(found["-o"])

    def settle(path: str) -> None:
        call.files.chmod(path, mode)
        if uid != call.files.stat(path).st_uid:
            call.files.chown(path, uid)

    def make_folder(path: str) -> None:
        call.files.mkdir(path, parents=True)
        settle(path)

    if "-d" in found:
        return _each(call, names, make_folder, "cannot create directory '{}'")
    source, target = _source_and_target(call, names)

    def put(path: str) -> None:
        content = call.files.read(path)
        if call.files.exists(target):
            call.files.remove(target)
        call.files.write(target, content)
        settle(target)

    return _each(call, [source], put, "cannot install '{}'")


def _each(call: Call, names: Iterable[str], act: Callable[[str], None], failed: str) -> int:
    """Act on every path, complain about those that fail, and go on."""
    status = 0
    for name in names:
        try:
            act(call.path(name))
        except OSError as error:
            status = call.complain(f"{failed.format(name)}: {error.strerror}")
    return status


def _source_and_target(call: Call, names: list[str]) -> tuple[str, str]:
    if len(names) != 2:
        raise UsageError("missing file operand") if len(names) < 2 else call.not_simulated("several sources")
    source, path = names[0], call.path(names[1])
    inside = posixpath.join(path, posixpath.basename(source.rstrip("/")))
    return source, inside if call.files.is_dir(path) else path


PROGRAMS: Mapping[str, Program] = {
    **{"dd": dd, "mkdir": mkdir, "rm": rm, "mv": mv, "cp": cp, "ln": ln, "touch": touch, "install": install}
}
