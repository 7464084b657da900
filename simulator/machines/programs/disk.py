"""Programs that change what is on the disk."""

from __future__ import annotations

import gzip
import io
import posixpath
import stat
import tarfile
from collections.abc import Callable, Iterable, Mapping
from io import FileIO

from simulator.machines import users
from simulator.machines.command import CHUNK_BYTES
from simulator.machines.programs.call import Call, Program

LISTED = ("--null", "--verbatim-files-from", "--no-recursion", "--hard-dereference")
TAR_FAILED = 2


async def dd(call: Call) -> int:
    """Run `dd of=FILE bs=SIZE status=none`: write stdin to a file."""
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
    """Run `mkdir -p FOLDER...`."""
    found, names = call.options("p")
    parents = "-p" in found
    return _each(call, names, lambda path: call.files.mkdir(path, parents=parents), "cannot create directory '{}'")


async def rm(call: Call) -> int:
    """Run `rm [-r] [-f] PATH...`."""
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
    """Run `mv -f SOURCE TARGET`."""
    _, names = call.options("f")
    source, target = _source_and_target(call, names)
    return _each(call, [source], lambda path: call.files.rename(path, target), "cannot move '{}'")


async def cp(call: Call) -> int:
    """Run `cp SOURCE TARGET`, of one file. A target that is there keeps its inode."""
    _, names = call.options("")
    source, target = _source_and_target(call, names)
    return _each(call, [source], lambda path: call.files.write(target, call.files.read(path)), "cannot stat '{}'")


async def ln(call: Call) -> int:
    """Run `ln -sfn TARGET LINK`."""
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
    """Run `install -d [-o USER] [-g GROUP] -m MODE FOLDER...` and `install -m MODE SOURCE TARGET`."""
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
        raise call.not_simulated("a call without exactly one source and one target")
    source, path = names[0], call.path(names[1])
    inside = posixpath.join(path, posixpath.basename(source.rstrip("/")))
    return source, inside if call.files.is_dir(path) else path


async def tar(call: Call) -> int:
    """Run `tar -C FOLDER -czf - -T -` of files that are listed on stdin, or `tar -C FOLDER -xzf -`."""
    found, names = call.options("C:czxf:T:", [flag.removeprefix("--") for flag in LISTED])
    packing = {"-C", "-c", "-z", "-f", "-T", *LISTED}
    if names or found.get("-f") != "-" or found.keys() not in (packing, {"-C", "-x", "-z", "-f"}):
        raise call.not_simulated(" ".join(call.arguments))
    folder, given = call.path(found["-C"]), await call.stdin.read()
    if not call.files.is_dir(folder):
        return call.complain(f"{folder}: Cannot open: No such file or directory", TAR_FAILED)
    if "-c" in found:
        return _create(call, folder, [name for name in given.decode(errors="surrogateescape").split("\0") if name])
    try:
        with tarfile.open(fileobj=io.BytesIO(given), mode="r:gz") as archive:
            return _extract(call, folder, archive)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile):
        return call.complain("This does not look like a tar archive\ntar: Exiting with failure status", TAR_FAILED)
    except OSError as error:
        return call.complain(f"{error.strerror}\ntar: Exiting with failure status", TAR_FAILED)


def _create(call: Call, folder: str, names: list[str]) -> int:
    status = 0
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
        for name in names:
            try:
                _add(call, archive, name, posixpath.join(folder, name))
            except OSError as error:
                status = call.complain(f"{name}: Cannot stat: {error.strerror}", TAR_FAILED)
    call.stdout.write(buffer.getvalue())
    return status


def _add(call: Call, archive: tarfile.TarFile, name: str, path: str) -> None:
    found = call.files.stat(path, follow=False)
    member = tarfile.TarInfo(name)
    member.mode, member.mtime = stat.S_IMODE(found.st_mode), int(found.st_mtime)
    member.uid = member.gid = found.st_uid
    owner = users.find(call.machine.tree, str(found.st_uid))
    member.uname = member.gname = owner.name if owner else ""
    content = b""
    if stat.S_ISDIR(found.st_mode):
        member.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(found.st_mode):
        member.type, member.linkname = tarfile.SYMTYPE, call.files.readlink(path)
    else:
        content = call.files.read(path)
        member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def _extract(call: Call, folder: str, archive: tarfile.TarFile) -> int:
    status = 0
    for member in archive:
        if ".." in member.name.split("/"):
            status = call.complain(f"{member.name}: Member name contains '..'", TAR_FAILED)
        elif member.isfile() or member.isdir() or member.issym():
            _unpack(call, archive, member, posixpath.join(folder, member.name.lstrip("/")))
    return status


def _unpack(call: Call, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    """Put one member there, as the user of the command: ownership is not restored."""
    if member.isdir():
        call.files.mkdir(path, parents=True)
        return
    call.files.mkdir(posixpath.dirname(path), parents=True)
    there = call.files.tree.host_path(path, follow=False)
    if there.is_symlink() or there.is_file():
        call.files.remove(path)
    if member.issym():
        call.files.symlink(member.linkname, path)
        return
    content = archive.extractfile(member)
    call.files.write(path, content.read() if content else b"")
    call.files.set_times(path, member.mtime)
    call.files.chmod(path, member.mode & 0o755)


PROGRAMS: Mapping[str, Program] = {
    **{"dd": dd, "mkdir": mkdir, "rm": rm, "mv": mv, "cp": cp, "ln": ln, "touch": touch, "install": install},
    "tar": tar,
}
