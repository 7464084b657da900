"""`tar` and `gzip`."""

from __future__ import annotations

import fnmatch
import getopt
import gzip
import io
import posixpath
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from simulator.machines import users
from simulator.machines.programs.call import Call, Program, UsageError

SHORT = "cxtzjvpf:C:T:OhmkP"
LONG = (
    *("create", "extract", "list", "gzip", "file=", "directory=", "files-from=", "exclude=", "strip-components="),
    *("owner=", "group=", "numeric-owner", "no-same-owner", "same-owner", "no-same-permissions", "overwrite", "null"),
    *("preserve-permissions", "sort=", "mtime=", "format=", "ignore-failed-read", "warning=", "no-recursion", "touch"),
    *(
        "no-overwrite-dir",
        "one-file-system",
        "delay-directory-restore",
        "verbatim-files-from",
        "no-wildcards",
        "hard-dereference",
    ),
)
FAILED = 2


@dataclass(slots=True)
class Order:
    """What tar is to do."""

    action: str = ""
    archive: str = "-"
    folder: str = "."
    compressed: bool = False
    verbose: bool = False
    keep_owner: bool = True
    touch: bool = False
    names: list[str] = field(default_factory=list)
    names_from: str | None = None
    null: bool = False
    recurse: bool = True
    excluded: list[str] = field(default_factory=list)
    stripped: int = 0
    owner: str | None = None


async def tar(call: Call) -> int:
    order = _order(call)
    if order.names_from is not None:
        listed = await call.stdin.read() if order.names_from == "-" else call.files.read(call.path(order.names_from))
        order.names += [
            name for name in listed.decode(errors="surrogateescape").split("\0" if order.null else "\n") if name
        ]
    try:
        if order.action == "c":
            return _create(call, order)
        content = await call.stdin.read() if order.archive == "-" else call.files.read(call.path(order.archive))
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            return _list(call, archive) if order.action == "t" else _extract(call, order, archive)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile):
        return call.complain("This does not look like a tar archive\ntar: Exiting with failure status", FAILED)
    except OSError as error:
        return call.complain(f"{error.strerror}\ntar: Exiting with failure status", FAILED)


async def gzip_(call: Call) -> int:
    found, names = call.options("dcfk123456789")
    content = call.files.read(call.path(names[0])) if names else await call.stdin.read()
    unpack = "-d" in found or call.name.endswith("gunzip") or call.name.endswith("zcat")
    try:
        result = gzip.decompress(content) if unpack else gzip.compress(content)
    except (OSError, EOFError):
        return call.complain("not in gzip format")
    if not names or "-c" in found or call.name.endswith("zcat"):
        call.stdout.write(result)
        return 0
    target = names[0].removesuffix(".gz") if unpack else f"{names[0]}.gz"
    call.files.write(call.path(target), result)
    if "-k" not in found:
        call.files.remove(call.path(names[0]))
    return 0


def _order(call: Call) -> Order:
    words = list(call.arguments)
    if words and not words[0].startswith("-"):
        words[0] = f"-{words[0]}"
    try:
        found, names = getopt.gnu_getopt(words, SHORT, list(LONG))
    except getopt.GetoptError as error:
        raise UsageError(error.msg, FAILED) from None
    order = Order(names=names)
    for flag, value in found:
        _take(order, flag.lstrip("-"), value)
    if not order.action:
        raise UsageError("You must specify one of the '-Acdtrux' options", FAILED)
    return order


def _take(order: Order, flag: str, value: str) -> None:
    if flag in ("c", "x", "t", "create", "extract", "list"):
        order.action = {"create": "c", "extract": "x", "list": "t"}.get(flag, flag)
    match flag:
        case "f" | "file":
            order.archive = value
        case "C" | "directory":
            order.folder = posixpath.join(order.folder, value)
        case "z" | "gzip":
            order.compressed = True
        case "v":
            order.verbose = True
        case "T" | "files-from":
            order.names_from = value
        case "null" | "no-recursion":
            order.null, order.recurse = order.null or flag == "null", order.recurse and flag == "null"
        case "exclude":
            order.excluded.append(value)
        case "strip-components":
            order.stripped = int(value)
        case "no-same-owner":
            order.keep_owner = False
        case "m" | "touch":
            order.touch = True
        case "owner":
            order.owner = value


def _create(call: Call, order: Order) -> int:
    if not order.names:
        return call.complain("Cowardly refusing to create an empty archive", FAILED)
    status = 0
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz" if order.compressed else "w") as archive:
        for name in order.names:
            path = posixpath.join(call.path(order.folder), name)
            if not call.files.exists(path):
                status = call.complain(f"{name}: Cannot stat: No such file or directory", FAILED)
                continue
            for shown, one in _tree(call, name, path, order.recurse):
                if not any(fnmatch.fnmatch(posixpath.basename(shown), pattern) for pattern in order.excluded):
                    _add(call, archive, shown, one)
    if order.archive == "-":
        call.stdout.write(buffer.getvalue())
    else:
        call.files.write(call.path(order.archive), buffer.getvalue())
    return status


def _tree(call: Call, shown: str, path: str, recurse: bool) -> Iterator[tuple[str, str]]:
    yield shown, path
    if recurse and stat.S_ISDIR(call.files.stat(path, follow=False).st_mode):
        for name in call.files.listdir(path):
            yield from _tree(call, posixpath.join(shown, name), posixpath.join(path, name), recurse)


def _add(call: Call, archive: tarfile.TarFile, shown: str, path: str) -> None:
    found = call.files.stat(path, follow=False)
    member = tarfile.TarInfo(shown.lstrip("/"))
    member.mode, member.mtime = stat.S_IMODE(found.st_mode), int(found.st_mtime)
    member.uid = member.gid = found.st_uid
    owner = users.find(call.machine.tree, str(found.st_uid))
    member.uname = member.gname = owner.name if owner else ""
    if stat.S_ISDIR(found.st_mode):
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    elif stat.S_ISLNK(found.st_mode):
        member.type, member.linkname = tarfile.SYMTYPE, call.files.readlink(path)
        archive.addfile(member)
    elif stat.S_ISREG(found.st_mode):
        content = call.files.read(path)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))


def _list(call: Call, archive: tarfile.TarFile) -> int:
    for member in archive:
        call.say(member.name + ("/" if member.isdir() else ""))
    return 0


def _extract(call: Call, order: Order, archive: tarfile.TarFile) -> int:
    if not call.files.is_dir(call.path(order.folder)):
        return call.complain(f"{order.folder}: Cannot open: No such file or directory", FAILED)
    status = 0
    for member in archive:
        parts = [part for part in member.name.split("/") if part not in ("", ".")][order.stripped :]
        if ".." in parts:
            status = call.complain(f"{member.name}: Member name contains '..'", FAILED)
            continue
        if order.names and not any(fnmatch.fnmatch(member.name, f"{name.rstrip('/')}*") for name in order.names):
            continue
        if parts:
            _unpack(call, order, archive, member, posixpath.join(call.path(order.folder), *parts))
        if order.verbose:
            call.say(member.name)
    return status


def _unpack(call: Call, order: Order, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    if member.isdir():
        call.files.mkdir(path, parents=True)
    else:
        call.files.mkdir(posixpath.dirname(path), parents=True)
        there = call.files.tree.host_path(path, follow=False)
        if there.is_symlink() or there.is_file():
            call.files.remove(path)
    if member.issym():
        call.files.symlink(member.linkname, path)
        return
    if member.isfile():
        content = archive.extractfile(member)
        call.files.write(path, content.read() if content else b"")
        if not order.touch:
            call.files.set_times(path, member.mtime)
    elif not member.isdir():
        return
    call.files.chmod(path, member.mode & (0o7777 if call.user.uid == 0 else 0o755))
    uid = _owner(call, order, member)
    if call.user.uid == 0 and uid != call.files.stat(path).st_uid:
        call.files.chown(path, uid)


def _owner(call: Call, order: Order, member: tarfile.TarInfo) -> int:
    if order.owner is not None:
        user = users.find(call.machine.tree, order.owner.partition(":")[0])
        return user.uid if user else int(order.owner.partition(":")[0])
    return member.uid if order.keep_owner else call.user.uid


PROGRAMS: Mapping[str, Program] = {"tar": tar, "gzip": gzip_, "gunzip": gzip_, "zcat": gzip_}
