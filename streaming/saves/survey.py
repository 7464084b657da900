"""Lists the save folders of an app's home on a machine as root, with proof of what does not exist.

One `find` descends from the folder of all homes, which must exist, to each save folder. A folder counts as absent only
if its parent was listed without it; any failure is an error. `find` never follows links: those that stay inside the
home are resolved here, as the app sees them in its container.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from errors import ProviderBusyError
from streaming.saves.archive import PLAYER_ID
from streaming.ssh import Shell

CONTAINER_HOME: Final = "/home/retro"  # home folder in the app's container
_IMAGE_FOLDERS: Final = ("/ROMs", "/bioses", "/cfg", "/usr", "/opt", "/etc", "/Applications")  # never contain saves
_LINK_ROUNDS: Final = 8
_FILES_LIMIT: Final = 20_000
_SURVEY_S: Final = 120
_OUTPUT_BYTES: Final = 32 * 2**20
_PATHS_AT_ONCE: Final = 100
_FIELDS: Final = 3
_FORM: Final = r"%y %s %T@ %U %G %m\0%P\0%l\0"
_SPECIAL: Final = re.compile(r"([*?\[\\])")
_READ, _ENTER = 4, 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One directory entry. `path` is relative to the home; `target` is a link's text."""

    kind: str
    size_bytes: int
    modified_at: float
    user_id: int
    group_id: int
    mode: int
    path: str
    target: str

    def permits(self, want: int) -> bool:
        """Return whether the user that games run as has this permission."""
        shift = 6 if self.user_id == PLAYER_ID else 3 if self.group_id == PLAYER_ID else 0
        return (self.mode >> shift) & want == want


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is not in an upload, with the reason and the remedy. `path` is relative to the home."""

    path: str
    reason: str
    size_bytes: int = 0

    def __str__(self) -> str:
        return f"{printable(self.path)} {self.reason}"


@dataclass(slots=True)
class Survey:
    """The files below the save folders, by their paths as the app sees them, and the files that cannot be read."""

    files: dict[str, Entry] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)


def printable(path: str) -> str:
    """Return a printable name: bytes that are not UTF-8 are escaped."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


async def survey(shell: Shell, home: str, places: Sequence[str]) -> Survey:
    """List the save folders `places` of a home. Raises CommandFailedError if any of them cannot be listed."""
    found = Survey()
    pending = [(place, place) for place in places]
    for _ in range(_LINK_ROUNDS):
        tree = await _tree(shell, home, {physical for _, physical in pending})
        pending = [link for place in pending for link in _walk(found, tree, home, *place)]
        if len(found.files) > _FILES_LIMIT:
            raise ProviderBusyError(f"the saves have more than {_FILES_LIMIT} files: remove some on the machine")
        if not pending:
            break
    found.left_out += [LeftOut(logical, "is a link that leads in a circle: remove it") for logical, _ in pending]
    return found


async def mend_links(shell: Shell, home: str, places: Sequence[str]) -> None:
    """Rewrite absolute links above and in the save folders as relative ones.

    Links that use the home's path in its container thus lead to the same place on the machine.
    """
    tree = await _tree(shell, home, places)
    for path, link in sorted(tree.items()):
        target = _inside(home, link) if link.kind == "l" and link.target.startswith("/") else None
        if target is not None:
            relative = posixpath.relpath(target, posixpath.dirname(path) or ".")
            await shell.run_as_user(PLAYER_ID, "ln", "-sfn", "--", relative, f"{home}/{path}")


def _walk(
    found: Survey, tree: Mapping[str, Entry], home: str, logical: str, physical: str
) -> Iterator[tuple[str, str]]:
    """Collect the files at `physical` and yield the links to follow."""
    link = next((entry for path in _ancestors(physical) if (entry := tree.get(path)) and entry.kind == "l"), None)
    if link is not None:
        yield from _follow(found, home, logical, link, physical[len(link.path) :])
        return
    for path, entry in tree.items():
        if path != physical and not path.startswith(f"{physical}/"):
            continue
        name = logical + path[len(physical) :]
        if entry.kind == "l":
            yield from _follow(found, home, name, entry, "")
        elif entry.kind == "f":
            _take(found, tree, name, entry)


def _take(found: Survey, tree: Mapping[str, Entry], name: str, entry: Entry) -> None:
    """Collect a file. Unreadable files are reported by name, closed folders once."""
    closed = next((path for path in ("", *_ancestors(entry.path)[:-1]) if not tree[path].permits(_ENTER)), None)
    if closed is None and entry.permits(_READ):
        found.files[name] = entry
        return
    reason = f"cannot be read by the game's user {PLAYER_ID}: give it to that user on the machine (chown {PLAYER_ID})"
    problem = LeftOut(name if closed is None else closed or ".", reason, entry.size_bytes if closed is None else 0)
    if problem not in found.left_out:
        found.left_out.append(problem)


def _follow(found: Survey, home: str, name: str, link: Entry, rest: str) -> Iterator[tuple[str, str]]:
    target = _inside(home, link)
    if target is None:
        if not link.target.startswith(_IMAGE_FOLDERS):
            reason = f"is a link to {printable(link.target)}, outside the player's folder: move its content there"
            found.left_out.append(LeftOut(name, reason))
    elif not f"{link.path}/".startswith(f"{target}/"):  # a link to a folder that contains it adds nothing
        yield name, target + rest


def _inside(home: str, link: Entry) -> str | None:
    """Return where a link leads, relative to the home; None if that is outside."""
    for root in (CONTAINER_HOME, home):
        if link.target == root or link.target.startswith(f"{root}/"):
            return posixpath.normpath(posixpath.relpath(link.target, root))
    target = posixpath.normpath(posixpath.join(posixpath.dirname(link.path), link.target))
    return None if target.startswith(("/", "..")) else target


async def _tree(shell: Shell, home: str, paths: Collection[str]) -> dict[str, Entry]:
    """Return all entries at and below these paths of the home, and the folders above them."""
    if len(paths) > _PATHS_AT_ONCE:  # command lines are limited
        halves = sorted(paths)[: len(paths) // 2], sorted(paths)[len(paths) // 2 :]
        return {**await _tree(shell, home, halves[0]), **await _tree(shell, home, halves[1])}
    top, user, title = home.rsplit("/", 2)
    ancestors = {ancestor for path in paths for ancestor in _ancestors(path)}
    exact = [f"{home}/{_escape(path)}" for path in sorted(ancestors)]
    below = [f"{home}/{_escape(path)}/*" for path in sorted(paths)]
    patterns = (top, f"{top}/{user}", home, *exact, *below)
    tests = [word for pattern in patterns for word in ("-path", pattern, "-o")][:-1]
    answer = await shell.sudo(
        *("find", "-H", top, "-ignore_readdir_race", "(", *tests, ")", "-printf", _FORM, "-o", "-prune"),
        timeout_s=_SURVEY_S,
        limit_bytes=_OUTPUT_BYTES,
    )
    entries = list(_parse(answer.stdout))
    if not entries or entries[0].path:
        raise ProviderBusyError("find on the machine did not list the requested folder")
    return _in_home(entries, user, f"{user}/{title}")


def _in_home(entries: Sequence[Entry], user: str, home: str) -> dict[str, Entry]:
    for entry in entries:
        if entry.path in (user, home) and entry.kind != "d":
            raise ProviderBusyError(f"{entry.path} among the homes on the machine is not a folder: remove it there")
    below = (entry for entry in entries if f"{entry.path}/".startswith(f"{home}/"))
    tree = (replace(entry, path=entry.path.removeprefix(home).removeprefix("/")) for entry in below)
    return {entry.path: entry for entry in tree}


def _parse(output: bytes) -> Iterator[Entry]:
    words = output.decode(errors="surrogateescape").split("\0")
    if len(words) % _FIELDS != 1 or words[-1]:
        raise ProviderBusyError("find on the machine responded in an unknown format")
    for start in range(0, len(words) - 1, _FIELDS):
        about, path, target = words[start : start + _FIELDS]
        kind, size, modified_at, user_id, group_id, mode = about.split(" ")
        yield Entry(kind, int(size), float(modified_at), int(user_id), int(group_id), int(mode, 8), path, target)


def _ancestors(path: str) -> list[str]:
    """Return the path and all folders above it, the highest first."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _escape(path: str) -> str:
    return _SPECIAL.sub(r"\\\1", path)
