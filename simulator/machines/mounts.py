"""The mounts of a machine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from simulator.machines.files import Files
from simulator.machines.tree import ROOT_UID, FileTree, is_below

MOUNTS_FILE = "/proc/self/mounts"


@dataclass(frozen=True, slots=True)
class Mount:
    point: str
    source: str
    fstype: str
    options: str


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that a mount shows, by its path below the mount point. `content` may be only its beginning."""

    path: str
    size: int
    mtime: float
    content: bytes


ROOT_MOUNT = Mount("/", "/dev/vda1", "ext4", "rw,relatime,discard,errors=remount-ro")


class MountTable:
    """The mounts of one machine. The files of a mount lie in the tree while it lasts."""

    def __init__(self, tree: FileTree) -> None:
        self._tree = tree
        self._files = Files(tree, ROOT_UID)
        self._mounts = [ROOT_MOUNT]
        self._gone: dict[str, asyncio.Event] = {}

    def __iter__(self) -> Iterator[Mount]:
        return iter(self._mounts)

    def at(self, path: str) -> Mount | None:
        """Return the mount with exactly this mount point."""
        return next((mount for mount in self._mounts if mount.point == path), None)

    def holding(self, path: str) -> Mount:
        """Return the mount that a path lies on."""
        return max((mount for mount in self._mounts if is_below(path, mount.point)), key=lambda one: len(one.point))

    def mount(self, mount: Mount, shown: Iterable[RemoteFile], uid: int = ROOT_UID) -> None:
        self.show(mount.point, shown)
        self._tree.own_all(mount.point, uid)
        if "ro" in mount.options.split(","):
            self._tree.read_only.add(mount.point)
        self._mounts.append(mount)
        self._write()

    def show(self, point: str, files: Iterable[RemoteFile]) -> None:
        """Add files to a mount."""
        read_only = point in self._tree.read_only
        self._tree.read_only.discard(point)
        for file in files:
            self._show(point, file)
        if read_only:
            self._tree.read_only.add(point)

    def shown(self, point: str) -> set[str]:
        """Return the files below a mount point."""
        base = self._tree.host_path(point)
        return {path.relative_to(base).as_posix() for path in base.rglob("*") if path.is_file()}

    async def wait_until_gone(self, point: str) -> None:
        """Return when nothing is mounted there."""
        await self._gone.setdefault(point, asyncio.Event()).wait()

    def unmount(self, point: str) -> None:
        if gone := self._gone.pop(point, None):
            gone.set()
        self._mounts = [mount for mount in self._mounts if mount.point != point]
        self._tree.read_only.discard(point)
        for name in self._files.listdir(point):
            self._files.remove(f"{point}/{name}", recursive=True)
        self._write()

    def forget(self) -> None:
        """Remove all mounts and their files, as a power cut does."""
        for line in self._files.read_text(MOUNTS_FILE).splitlines():
            point = line.split(" ")[1]
            if point != "/" and self._files.is_dir(point):
                self.unmount(point)
        self._mounts = [ROOT_MOUNT]
        self._write()

    def _show(self, point: str, file: RemoteFile) -> None:
        path = f"{point}/{file.path}"
        self._files.mkdir(path.rpartition("/")[0], 0o755, parents=True)
        self._files.write(path, file.content)
        self._files.truncate(path, file.size)
        os.utime(self._tree.host_path(path), (file.mtime, file.mtime))

    def _write(self) -> None:
        lines = [f"{one.source} {one.point} {one.fstype} {one.options} 0 0\n" for one in self._mounts]
        self._files.replace(MOUNTS_FILE, "".join(lines))
