"""SFTP into a machine's own tree."""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import AsyncIterator
from io import FileIO

import asyncssh

from simulator.machines.files import Files
from simulator.machines.programs.call import User
from simulator.machines.tree import FileTree, fault


class TreeSftp(asyncssh.SFTPServer):
    """Relative paths start at the user's home, as with OpenSSH. Nothing leads out of the tree."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], tree: FileTree, user: User) -> None:
        super().__init__(channel)
        self._files = Files(tree, user.uid)
        self._home = user.home

    def map_path(self, path: bytes) -> bytes:
        return os.fsencode(self._files.tree.host_path(self._absolute(path)))

    def reverse_map_path(self, path: bytes) -> bytes:
        raise fault(errno.ENOTSUP, "reverse mapping")

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> FileIO:
        target = self._absolute(path)
        there = self._files.exists(target)
        if not there and not pflags & asyncssh.FXF_CREAT:
            raise fault(errno.ENOENT, target)
        if not pflags & (asyncssh.FXF_WRITE | asyncssh.FXF_APPEND):
            return self._files.open(target, "r")
        return self._files.open(target, _mode(pflags, there=there), attrs.permissions or 0o666)

    def open56(self, path: bytes, desired_access: int, flags: int, attrs: asyncssh.SFTPAttrs) -> FileIO:
        raise asyncssh.SFTPOpUnsupported("only version 3 of the protocol is spoken here")

    def lstat(self, path: bytes) -> os.stat_result:
        return self._files.stat(self._absolute(path), follow=False)

    def stat(self, path: bytes) -> os.stat_result:
        return self._files.stat(self._absolute(path))

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        target = self._absolute(path)
        if attrs.permissions is not None:
            self._files.chmod(target, attrs.permissions & 0o7777)
        if attrs.uid is not None and attrs.uid != self._files.stat(target).st_uid:
            self._files.chown(target, attrs.uid)
        if attrs.size is not None:
            self._files.truncate(target, attrs.size)
        if attrs.mtime is not None:
            self._files.set_times(target, attrs.mtime)

    def lsetstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        self.setstat(path, attrs)

    def fsetstat(self, file_obj: object, attrs: asyncssh.SFTPAttrs) -> None:
        if isinstance(file_obj, FileIO) and attrs.permissions is not None:
            os.fchmod(file_obj.fileno(), attrs.permissions & 0o777 | 0o600)
        if isinstance(file_obj, FileIO) and attrs.mtime is not None:
            os.utime(file_obj.fileno(), (attrs.atime or attrs.mtime, attrs.mtime))

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        folder = self._absolute(path)
        for name in (".", "..", *self._files.listdir(folder)):
            attrs = asyncssh.SFTPAttrs.from_local(self._files.stat(posixpath.join(folder, name), follow=False))
            yield asyncssh.SFTPName(os.fsencode(name), attrs=attrs)

    def remove(self, path: bytes) -> None:
        if self._files.stat(self._absolute(path), follow=False).st_mode & 0o170000 == 0o040000:
            raise fault(errno.EISDIR, self._absolute(path))
        self._files.remove(self._absolute(path))

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        self._files.mkdir(self._absolute(path), (attrs.permissions or 0o777) & 0o7777 & ~0o022)

    def rmdir(self, path: bytes) -> None:
        target = self._absolute(path)
        if not self._files.is_dir(target):
            raise fault(errno.ENOTDIR if self._files.exists(target) else errno.ENOENT, target)
        self._files.remove(target)

    def realpath(self, path: bytes) -> bytes:
        return os.fsencode(self._files.tree.resolve(self._absolute(path)))

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        if self._files.exists(self._absolute(newpath)):
            raise asyncssh.SFTPFailure("File already exists")
        self.posix_rename(oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        self._files.rename(self._absolute(oldpath), self._absolute(newpath))

    def readlink(self, path: bytes) -> bytes:
        return os.fsencode(self._files.readlink(self._absolute(path)))

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        self._files.symlink(os.fsdecode(oldpath), self._absolute(newpath))

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPOpUnsupported("hard links are not made here")

    def statvfs(self, path: bytes) -> os.statvfs_result:
        return os.statvfs(self._files.tree.root)

    def format_user(self, uid: int | None) -> str:
        return str(uid)

    def format_group(self, gid: int | None) -> str:
        return str(gid)

    def _absolute(self, path: bytes) -> str:
        return posixpath.join(self._home, os.fsdecode(path))


def _mode(pflags: int, *, there: bool) -> str:
    """How to open for writing, in Python's words."""
    if pflags & asyncssh.FXF_EXCL:
        return "x+"
    if pflags & asyncssh.FXF_APPEND:
        return "a+"
    return "r+" if there and not pflags & asyncssh.FXF_TRUNC else "w+"
