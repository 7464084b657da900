"""The disk of a machine, with the rights of one of its users."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from io import FileIO
from pathlib import Path

from simulator.machines.tree import ROOT_UID, FileTree, fault, is_below

READ, WRITE, ENTER = 4, 2, 1
EXACT_TIMES = ("st_atime", "st_mtime", "st_ctime", "st_atime_ns", "st_mtime_ns", "st_ctime_ns")


class Files:
    """The tree, with the rights of one user. Methods raise OSError as the kernel would."""

    def __init__(self, tree: FileTree, uid: int) -> None:
        self.tree = tree
        self.uid = uid

    def exists(self, path: str) -> bool:
        try:
            self.stat(path)
        except OSError:
            return False
        return True

    def is_dir(self, path: str) -> bool:
        return self.exists(path) and stat.S_ISDIR(self.stat(path).st_mode)

    def is_file(self, path: str) -> bool:
        return self.exists(path) and stat.S_ISREG(self.stat(path).st_mode)

    def stat(self, path: str, *, follow: bool = True) -> os.stat_result:
        """Return what the machine sees: the owner is one of the machine's users."""
        resolved = self.tree.resolve(path, follow=follow)
        self._check_way(resolved, path)
        found = self._host(resolved).lstat()
        uid = self.tree.owner(resolved)
        exact = {name: getattr(found, name) for name in EXACT_TIMES}
        return os.stat_result((*found[:4], uid, uid, *found[6:10]), exact)

    def listdir(self, path: str) -> list[str]:
        resolved = self._allowed(path, READ)
        return sorted(os.listdir(self._host(resolved)))

    def read(self, path: str) -> bytes:
        with self.open(path, "rb") as file:
            return file.read()

    def read_text(self, path: str) -> str:
        return self.read(path).decode(errors="replace")

    def write(self, path: str, content: bytes | str) -> None:
        with self.open(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)

    def replace(self, path: str, content: str) -> None:
        """Write a file whole or not at all, even if the simulator is killed."""
        self.write(f"{path}.new", content)
        self.rename(f"{path}.new", path)

    def open(self, path: str, mode: str) -> FileIO:
        """Open without a buffer. `mode` is that of Python's open."""
        resolved = self.tree.resolve(path)
        host = self._host(resolved)
        if resolved == "/dev/null":
            return FileIO(os.devnull, mode)
        if not host.exists():
            if mode.startswith("r"):
                self._check_way(resolved, path)
                raise fault(errno.ENOENT, path)
            self._check_parent(resolved, path)
            return self._create(resolved, host, mode)
        if host.is_dir():
            raise fault(errno.EISDIR, path)
        self._allowed(path, READ if mode.strip("b") == "r" else WRITE)
        return FileIO(host, mode)

    def mkdir(self, path: str, mode: int = 0o755, *, parents: bool = False) -> None:
        """Create a folder, with `parents` those above it too; then one that is there is no error."""
        resolved = self.tree.resolve(path)
        host = self._host(resolved)
        if host.is_dir() and parents:
            return
        if host.exists() or host.is_symlink():
            raise fault(errno.EEXIST, path)
        above = resolved.rpartition("/")[0] or "/"
        if parents and not self._host(above).is_dir():
            self.mkdir(above, parents=True)
        self._check_parent(resolved, path)
        host.mkdir()
        host.chmod(mode | 0o700)
        self.tree.own(resolved, self.uid)

    def remove(self, path: str, *, recursive: bool = False) -> None:
        resolved = self.tree.resolve(path, follow=False)
        host = self._host(resolved)
        host.lstat()
        self._check_parent(resolved, path)
        if not stat.S_ISDIR(host.lstat().st_mode):
            host.unlink()
        elif recursive:
            shutil.rmtree(host)
        else:
            host.rmdir()
        self.tree.forget(resolved)

    def rename(self, old: str, new: str) -> None:
        """Rename atomically and replace what is there, like rename(2)."""
        resolved_old, resolved_new = self.tree.resolve(old, follow=False), self.tree.resolve(new, follow=False)
        host = self._host(resolved_old)
        host.lstat()
        self._check_parent(resolved_old, old)
        self._check_parent(resolved_new, new)
        owner = self.tree.owner(resolved_old)
        host.rename(self._host(resolved_new))
        self.tree.forget(resolved_old)
        self.tree.own(resolved_new, owner)

    def symlink(self, target: str, path: str) -> None:
        resolved = self.tree.resolve(path, follow=False)
        self._check_parent(resolved, path)
        self._host(resolved).symlink_to(target)
        self.tree.own(resolved, self.uid)

    def readlink(self, path: str) -> str:
        return str(self._host(self.tree.resolve(path, follow=False)).readlink())

    def chmod(self, path: str, mode: int) -> None:
        resolved = self._owned(path)
        host = self._host(resolved)
        host.chmod(mode | (0o700 if host.is_dir() else 0o600))

    def chown(self, path: str, uid: int) -> None:
        if self.uid != ROOT_UID:
            raise fault(errno.EPERM, path)
        self.stat(path)
        self.tree.own(self.tree.resolve(path), uid)

    def touch(self, path: str) -> None:
        with self.open(path, "ab"):
            pass
        self.set_times(path, None)

    def set_times(self, path: str, mtime: float | None) -> None:
        os.utime(self._host(self._allowed(path, WRITE)), None if mtime is None else (mtime, mtime))

    def truncate(self, path: str, size: int) -> None:
        os.truncate(self._host(self._allowed(path, WRITE)), size)

    def _create(self, resolved: str, host: Path, mode: str) -> FileIO:
        created = FileIO(host, mode)
        host.chmod(0o644)
        self.tree.own(resolved, self.uid)
        return created

    def _host(self, resolved: str) -> Path:
        return self.tree.root / resolved.lstrip("/")

    def _allowed(self, path: str, want: int) -> str:
        """Return the resolved path if this user may do `want` with what is there. Raises OSError."""
        resolved = self.tree.resolve(path)
        self._check_way(resolved, path)
        if want & WRITE and self._on_read_only(resolved):
            raise fault(errno.EROFS, path)
        if not self._permits(resolved, want):
            self._host(resolved).lstat()
            raise fault(errno.EACCES, path)
        return resolved

    def _owned(self, path: str) -> str:
        resolved = self.tree.resolve(path)
        self.stat(path)
        if self._on_read_only(resolved):
            raise fault(errno.EROFS, path)
        if self.uid not in (ROOT_UID, self.tree.owner(resolved)):
            raise fault(errno.EPERM, path)
        return resolved

    def _check_parent(self, resolved: str, path: str) -> None:
        above = resolved.rpartition("/")[0] or "/"
        self._check_way(resolved, path)
        if self._on_read_only(resolved):
            raise fault(errno.EROFS, path)
        if resolved in self.tree.read_only:
            raise fault(errno.EBUSY, path)
        if not self._host(above).is_dir():
            raise fault(errno.ENOENT if not self._host(above).exists() else errno.ENOTDIR, path)
        if not self._permits(above, WRITE):
            raise fault(errno.EACCES, path)

    def _check_way(self, resolved: str, path: str) -> None:
        parts = resolved.split("/")[1:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/" + "/".join(parts[:depth])
            if not self._permits(folder, ENTER):
                raise fault(errno.EACCES, path)

    def _permits(self, resolved: str, want: int) -> bool:
        host = self._host(resolved)
        if self.uid == ROOT_UID or not host.exists():
            return host.exists() or bool(want & ENTER)
        mode = stat.S_IMODE(host.stat().st_mode)
        return ((mode >> 6 if self.uid == self.tree.owner(resolved) else mode) & want) == want

    def _on_read_only(self, resolved: str) -> bool:
        return any(is_below(resolved, point) for point in self.tree.read_only)
