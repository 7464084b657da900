"""`tar -C FOLDER -czf - -T -` of files that are listed on stdin, and `tar -C FOLDER -xzf -`."""

from __future__ import annotations

import gzip
import io
import posixpath
import stat
import tarfile
from collections.abc import Mapping

from simulator.machines import users
from simulator.machines.programs.call import Call, Program

LISTED = ("--null", "--verbatim-files-from", "--no-recursion", "--hard-dereference")
FAILED = 2


async def tar(call: Call) -> int:
    found, names = call.options("C:czxf:T:", [flag.removeprefix("--") for flag in LISTED])
    packing = {"-C", "-c", "-z", "-f", "-T", *LISTED}
    if names or found.get("-f") != "-" or found.keys() not in (packing, {"-C", "-x", "-z", "-f"}):
        raise call.not_simulated(" ".join(call.arguments))
    folder, given = call.path(found["-C"]), await call.stdin.read()
    if not call.files.is_dir(folder):
        return call.complain(f"{folder}: Cannot open: No such file or directory", FAILED)
    if "-c" in found:
        return _create(call, folder, [name for name in given.decode(errors="surrogateescape").split("\0") if name])
    try:
        with tarfile.open(fileobj=io.BytesIO(given), mode="r:gz") as archive:
            return _extract(call, folder, archive)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile):
        return call.complain("This does not look like a tar archive\ntar: Exiting with failure status", FAILED)
    except OSError as error:
        return call.complain(f"{error.strerror}\ntar: Exiting with failure status", FAILED)


def _create(call: Call, folder: str, names: list[str]) -> int:
    status = 0
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
        for name in names:
            try:
                _add(call, archive, name, posixpath.join(folder, name))
            except OSError as error:
                status = call.complain(f"{name}: Cannot stat: {error.strerror}", FAILED)
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
            status = call.complain(f"{member.name}: Member name contains '..'", FAILED)
        elif member.isfile() or member.isdir() or member.issym():
            _unpack(call, archive, member, posixpath.join(folder, member.name.lstrip("/")))
    return status


def _unpack(call: Call, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    """Put one member there, as the user who runs tar: ownership is not restored."""
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


PROGRAMS: Mapping[str, Program] = {"tar": tar}
