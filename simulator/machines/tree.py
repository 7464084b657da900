"""A machine's disk: a folder of the host that looks like `/` and cannot be left, neither by `..` nor by links."""

from __future__ import annotations

import errno
import json
import os
from collections import deque
from pathlib import Path

ROOT_UID = 0
LINK_HOPS = 40


class FileTree:
    """The disk and the owners of its files. Paths are absolute paths of the machine. Of an OSError only `strerror` may
    be shown: its file name can be the host's.

    The host's owner of a file means nothing here, because the simulator needs no root. Owners are kept beside the tree;
    a file without an entry belongs to the owner of its folder.
    """

    def __init__(self, root: Path, owners_file: Path) -> None:
        self.root = root
        self.read_only: set[str] = set()
        self._owners_file = owners_file
        self._owners: dict[str, int] = json.loads(owners_file.read_text()) if owners_file.exists() else {}

    def resolve(self, path: str, *, follow: bool = True) -> str:
        """Return the path without links, `.` and `..`. Its last part need not exist."""
        if "\0" in path:
            raise fault(errno.EINVAL, path)
        todo = deque(path.split("/"))
        done: list[str] = []
        hops = 0
        while todo:
            part = todo.popleft()
            if part in ("", "."):
                continue
            if part == "..":
                done = done[:-1]
                continue
            host = self.root.joinpath(*done, part)
            if (follow or any(todo)) and host.is_symlink():
                hops += 1
                if hops > LINK_HOPS:
                    raise fault(errno.ELOOP, path)
                target = str(host.readlink())
                done = [] if target.startswith("/") else done
                todo.extendleft(reversed(target.split("/")))
                continue
            done.append(part)
        return "/" + "/".join(done)

    def host_path(self, path: str, *, follow: bool = True) -> Path:
        """Return the host's path: always inside the tree, and without links on the way."""
        return self.root / self.resolve(path, follow=follow).lstrip("/")

    def owners(self) -> dict[str, int]:
        """Return the recorded owners by path."""
        return dict(self._owners)

    def owner(self, resolved: str) -> int:
        while resolved not in self._owners and resolved != "/":
            resolved = resolved.rpartition("/")[0] or "/"
        return self._owners.get(resolved, ROOT_UID)

    def own(self, resolved: str, uid: int) -> None:
        if self.owner(resolved) != uid:
            self._owners[resolved] = uid
            self._save()

    def own_all(self, resolved: str, uid: int) -> None:
        """Set the owner of a folder and everything in it, like `chown -R`."""
        self._owners = {path: owner for path, owner in self._owners.items() if not is_below(path, resolved)}
        self._owners[resolved] = uid
        self._save()

    def forget(self, resolved: str) -> None:
        kept = {path: owner for path, owner in self._owners.items() if not is_below(path, resolved)}
        if kept != self._owners:
            self._owners = kept
            self._save()

    def _save(self) -> None:
        draft = self._owners_file.with_suffix(".new")
        draft.write_text(json.dumps(self._owners, indent=1))
        draft.replace(self._owners_file)


def is_below(path: str, folder: str) -> bool:
    """Return whether `path` is the folder or something in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def fault(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
