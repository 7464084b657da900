"""What is to be copied, and copying it."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.machines.rclone.ends import End, RemoteEnd
from simulator.machines.rclone.remote import Entry, RcloneError

SAME_TIME_S = 0.001
NOTHING_TRANSFERRED = 9


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options that decide what is copied. `rules` are (sign, pattern), the first that fits counts."""

    by_checksum: bool = False
    by_size: bool = False
    update: bool = False
    ignore_existing: bool = False
    dry_run: bool = False
    delete: bool = False
    max_delete: int | None = None
    fail_without_transfer: bool = False
    backup: RemoteEnd | None = None
    rules: tuple[tuple[str, str], ...] = field(default=())

    def wants(self, path: str) -> bool:
        for sign, pattern in self.rules:
            if _fits(path, pattern):
                return sign == "+"
        return not any(sign == "+" for sign, _ in self.rules) or any(pattern == "*" for _, pattern in self.rules)


async def transfer(source: End, target: End, wishes: Wishes) -> int:
    """Bring the target to the source's state, as far as wished; how many files were copied or deleted."""
    there = {path: entry for path, entry in (await source.entries()).items() if wishes.wants(path)}
    present = {path: entry for path, entry in (await target.entries_or_none()).items() if wishes.wants(path)}
    changed = [path for path, entry in there.items() if _differs(entry, present.get(path), wishes)]
    surplus = sorted(present.keys() - there.keys()) if wishes.delete else []
    if wishes.max_delete is not None and len(surplus) > wishes.max_delete:
        raise RcloneError("--max-delete threshold reached", 7)
    if not wishes.dry_run:
        for path in changed:
            if path in present:
                await _put_aside(target, path, wishes)
            await target.write(path, await source.read(path), there[path].mtime)
        for path in surplus:
            if not await _put_aside(target, path, wishes):
                await target.delete(path)
    if wishes.fail_without_transfer and not changed and not surplus:
        raise RcloneError("no files transferred", NOTHING_TRANSFERRED)
    return len(changed) + len(surplus)


def differences(source: Mapping[str, Entry], target: Mapping[str, Entry], *, one_way: bool) -> dict[str, str]:
    """How each file compares, by path: `=` same, `*` differs, `-` missing at the target, `+` only there."""
    found = {}
    for path in sorted(source.keys() | target.keys()):
        if path not in target:
            found[path] = "-"
        elif path not in source:
            if not one_way:
                found[path] = "+"
        else:
            found[path] = "=" if source[path].md5 == target[path].md5 else "*"
    return found


async def _put_aside(target: End, path: str, wishes: Wishes) -> bool:
    if wishes.backup is None or not isinstance(target, RemoteEnd):
        return False
    await target.move_to(path, wishes.backup)
    return True


def _differs(entry: Entry, present: Entry | None, wishes: Wishes) -> bool:
    if present is None:
        return True
    if wishes.ignore_existing or (wishes.update and present.mtime > entry.mtime + SAME_TIME_S):
        return False
    if entry.size != present.size:
        return True
    if wishes.by_size:
        return False
    if wishes.by_checksum or wishes.update:
        return entry.md5 != present.md5
    return abs(entry.mtime - present.mtime) > SAME_TIME_S and entry.md5 != present.md5


def _fits(path: str, pattern: str) -> bool:
    """A pattern with a leading slash counts from the top, else anywhere; `**` and a last slash mean what is below."""
    if pattern.endswith("/"):
        pattern += "**"
    if pattern.startswith("/"):
        return fnmatch.fnmatchcase(path, pattern[1:])
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, f"*/{pattern}")
