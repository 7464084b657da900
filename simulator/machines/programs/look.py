"""Programs that look at the disk."""

from __future__ import annotations

import fnmatch
import hashlib
import posixpath
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulator.machines.programs.call import Call, Program

UPTIME_FILE = "/proc/uptime"
KINDS = {"f": stat.S_ISREG, "d": stat.S_ISDIR, "l": stat.S_ISLNK, "s": stat.S_ISSOCK}
DIRECTIVE = re.compile(r"%T@|%[pPsmyUGl]|\\0")


async def cat(call: Call) -> int:
    _, names = call.options("")
    status = 0
    for name in names:
        try:
            if call.path(name) == UPTIME_FILE:
                call.say(f"{call.machine.clock.now() - call.machine.booted_at:.2f} 0.00")
            else:
                call.stdout.write(call.files.read(call.path(name)))
        except OSError as error:
            status = call.complain(f"{name}: {error.strerror}")
    return status


async def ls(call: Call) -> int:
    """Run `ls [-A] [-1] [-t] PATH`."""
    found, names = call.options("A1t")
    if len(names) != 1:
        raise call.not_simulated("a call without exactly one path")
    path = call.path(names[0])
    try:
        listed = call.files.listdir(path) if call.files.is_dir(path) else [names[0]]
        call.files.stat(path)
    except OSError as error:
        opening = "open directory" if call.files.exists(path) else "access"
        return call.complain(f"cannot {opening} '{names[0]}': {error.strerror}", 2)
    if "-t" in found:
        listed.sort(key=lambda name: -call.files.stat(posixpath.join(path, name), follow=False).st_mtime)
    for name in listed:
        if "-A" in found or not name.startswith("."):
            call.say(name)
    return 0


async def sha256sum(call: Call) -> int:
    _, names = call.options("")
    for name in names:
        try:
            content = call.files.read(call.path(name))
        except OSError as error:
            return call.complain(f"{name}: {error.strerror}")
        call.say(f"{hashlib.sha256(content).hexdigest()}  {name}")
    return 0


async def test(call: Call) -> int:
    """Run `test -f PATH`, `test -d PATH`, `test -S PATH`."""
    kinds = {"-f": stat.S_ISREG, "-d": stat.S_ISDIR, "-S": stat.S_ISSOCK}
    if len(call.arguments) != 2 or call.arguments[0] not in kinds:
        raise call.not_simulated(" ".join(call.arguments))
    path = call.path(call.arguments[1])
    return 0 if call.files.exists(path) and kinds[call.arguments[0]](call.files.stat(path).st_mode) else 1


@dataclass(frozen=True, slots=True)
class Search:
    """Run `patterns` are for whole paths; without any, everything matches. What does not match is not entered."""

    call: Call
    form: str
    patterns: Sequence[str]

    def walk(self, path: str) -> int:
        """Print an entry and everything below it, and return the exit status."""
        if self.patterns and not any(fnmatch.fnmatchcase(path, pattern) for pattern in self.patterns):
            return 0
        try:
            at_start = path == self.call.arguments[1]
            is_folder = stat.S_ISDIR(self.call.files.stat(self.call.path(path), follow=at_start).st_mode)
            self._print(path, follow=at_start)
            names = self.call.files.listdir(self.call.path(path)) if is_folder else []
        except OSError as error:
            return self.call.complain(f"'{path}': {error.strerror}")
        return max((self.walk(posixpath.join(path, name)) for name in names), default=0)

    def _print(self, path: str, *, follow: bool) -> None:
        found = self.call.files.stat(self.call.path(path), follow=follow)
        is_link = stat.S_ISLNK(found.st_mode)
        values = {
            "%p": path,
            "%P": path.removeprefix(self.call.arguments[1]).lstrip("/"),
            "%s": str(found.st_size),
            "%m": f"{stat.S_IMODE(found.st_mode):o}",
            "%U": str(found.st_uid),
            "%G": str(found.st_gid),
            "%T@": f"{found.st_mtime:.10f}",
            "%l": self.call.files.readlink(self.call.path(path)) if is_link else "",
            "%y": next((letter for letter, is_kind in KINDS.items() if is_kind(found.st_mode)), "U"),
            "\\0": "\0",
        }
        text = DIRECTIVE.sub(lambda match: values[match[0]], self.form)
        self.call.stdout.write(text.encode(errors="surrogateescape"))


async def find(call: Call) -> int:
    """Run `find -H START [-ignore_readdir_race] ['(' -path PATTERN [-o ...] ')'] -printf FORM [-o -prune]`."""
    words = list(call.arguments)
    if words[:1] != ["-H"] or len(words) < 4:
        raise call.not_simulated(" ".join(call.arguments))
    start, words = words[1], words[2:]
    words = words[1:] if words[0] == "-ignore_readdir_race" else words
    patterns: list[str] = []
    if words[:1] == ["("] and ")" in words:
        patterns, words = _patterns(call, words[1 : words.index(")")]), words[words.index(")") + 1 :]
    expected = ["-o", "-prune"] if patterns else []
    if words[:1] != ["-printf"] or words[2:] != expected or DIRECTIVE.sub("", words[1]).strip(" "):
        raise call.not_simulated(" ".join(words))
    return Search(call, words[1], patterns).walk(start)


def _patterns(call: Call, words: Sequence[str]) -> list[str]:
    """Return the patterns of `-path A -o -path B`, as fnmatch(3) reads them: a backslash quotes the next character."""
    if len(words) % 3 != 2 or set(words[::3]) != {"-path"} or set(words[2::3]) - {"-o"}:
        raise call.not_simulated(" ".join(words))
    return [re.sub(r"\\(.)", r"[\1]", pattern) for pattern in words[1::3]]


PROGRAMS: Mapping[str, Program] = {"cat": cat, "ls": ls, "sha256sum": sha256sum, "test": test, "find": find}
