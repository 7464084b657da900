"""`find`: walks folders and evaluates an expression of tests and actions for each entry, as GNU's does."""

from __future__ import annotations

import fnmatch
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from simulator.machines.programs.call import Call, Program, UsageError

KINDS = {"f": stat.S_ISREG, "d": stat.S_ISDIR, "l": stat.S_ISLNK, "s": stat.S_ISSOCK}
TESTS = ("-type", "-name", "-iname", "-path", "-newer")
DIRECTIVE = re.compile(r"%T@|%[pfPsmyUGl]|\\[n0t]")
ESCAPES = {"\\n": "\n", "\\0": "\0", "\\t": "\t"}


@dataclass(slots=True)
class Place:
    """One entry on the walk. `prune` is set by the expression: the walk does not go below it."""

    call: Call
    start: str
    shown: str
    depth: int
    follow: bool
    prune: bool = False
    status: int = 0

    @property
    def path(self) -> str:
        return self.call.path(self.shown)

    def stat(self) -> os.stat_result:
        return self.call.files.stat(self.path, follow=self.follow and self.depth == 0)


Expression = Callable[[Place], bool]


@dataclass(slots=True)
class Order:
    """The expression, and the options that hold for the whole walk."""

    words: list[str]
    depths: tuple[int, int] = (0, 10**6)
    acts: bool = False

    def parsed(self) -> Expression:
        expression = self._either() if self.words else _yes
        if self.words:
            raise UsageError(f"unknown predicate '{self.words[0]}'")
        return expression if self.acts else _both(expression, _print)

    def _either(self) -> Expression:
        found = self._all()
        while self.words and self.words[0] in ("-o", "-or"):
            self.words.pop(0)
            found = _one_of(found, self._all())
        return found

    def _all(self) -> Expression:
        found = self._one()
        while self.words and self.words[0] not in ("-o", "-or", ")"):
            if self.words[0] in ("-a", "-and"):
                self.words.pop(0)
            found = _both(found, self._one())
        return found

    def _one(self) -> Expression:
        word = self.words.pop(0) if self.words else ""
        if word in ("!", "-not"):
            return _negated(self._one())
        if word == "(":
            return self._in_brackets()
        if word in PLAIN:
            return PLAIN[word]
        if word in ACTIONS or word == "-printf":
            self.acts = True
            return ACTIONS[word] if word in ACTIONS else _printf(self.words.pop(0))
        if word in ("-maxdepth", "-mindepth") and self.words:
            depth = int(self.words.pop(0))
            self.depths = (self.depths[0], depth) if word == "-maxdepth" else (depth, self.depths[1])
            return _yes
        if word in TESTS and self.words:
            return _test(word, self.words.pop(0))
        raise UsageError(f"unknown predicate '{word}'")

    def _in_brackets(self) -> Expression:
        found = self._either()
        if not self.words or self.words.pop(0) != ")":
            raise UsageError("invalid expression; I was expecting to find a ')' somewhere but did not see one.")
        return found


async def find(call: Call) -> int:
    words = list(call.arguments)
    follow = False
    while words and words[0] in ("-H", "-L", "-P"):
        follow = words.pop(0) == "-H"
    starts = []
    while words and not words[0].startswith(("-", "!", "(")):
        starts.append(words.pop(0))
    order = Order(words)
    expression = order.parsed()
    status = 0
    for start in starts or ["."]:
        for place in _walk(call, Place(call, start, start, 0, follow), order, expression):
            status = max(status, place.status)
    return status


def _walk(call: Call, place: Place, order: Order, expression: Expression) -> Iterator[Place]:
    yield place
    try:
        found = place.stat()
        if place.depth >= order.depths[0]:
            expression(place)
        if place.prune or not stat.S_ISDIR(found.st_mode) or place.depth >= order.depths[1]:
            return
        names = call.files.listdir(place.path)
    except OSError as error:
        place.status = call.complain(f"'{place.shown}': {error.strerror}")
        yield place
        return
    for name in names:
        below = Place(call, place.start, posixpath.join(place.shown, name), place.depth + 1, place.follow)
        yield from _walk(call, below, order, expression)


def _yes(_: Place) -> bool:
    return True


def _both(first: Expression, second: Expression) -> Expression:
    return lambda place: first(place) and second(place)


def _one_of(first: Expression, second: Expression) -> Expression:
    return lambda place: first(place) or second(place)


def _negated(expression: Expression) -> Expression:
    return lambda place: not expression(place)


def _test(test: str, value: str) -> Expression:
    def matches(place: Place) -> bool:
        name = posixpath.basename(place.shown.rstrip("/")) or place.shown
        match test:
            case "-type":
                return any(KINDS[letter](place.stat().st_mode) for letter in value.split(","))
            case "-newer":
                return place.stat().st_mtime > place.call.files.stat(place.call.path(value)).st_mtime
            case "-iname":
                return fnmatch.fnmatchcase(name.lower(), value.lower())
        return fnmatch.fnmatchcase(place.shown if test == "-path" else name, _pattern(value))

    return matches


def _pattern(value: str) -> str:
    """As fnmatch(3) reads it, where a backslash takes the meaning of the next character away."""
    return re.sub(r"\\(.)", r"[\1]", value)


def _is_empty(place: Place) -> bool:
    if place.call.files.is_dir(place.path):
        return not place.call.files.listdir(place.path)
    return place.stat().st_size == 0


def _prune(place: Place) -> bool:
    place.prune = True
    return True


def _print(place: Place) -> bool:
    place.call.stdout.write(_bytes(f"{place.shown}\n"))
    return True


def _print0(place: Place) -> bool:
    place.call.stdout.write(_bytes(f"{place.shown}\0"))
    return True


def _delete(place: Place) -> bool:
    place.call.files.remove(place.path)
    return True


def _printf(form: str) -> Expression:
    def write(place: Place) -> bool:
        place.call.stdout.write(_bytes(DIRECTIVE.sub(lambda match: _value(place, match[0]), form)))
        return True

    return write


def _value(place: Place, directive: str) -> str:
    if directive in ESCAPES:
        return ESCAPES[directive]
    found = place.stat()
    values = {
        "%p": place.shown,
        "%f": posixpath.basename(place.shown),
        "%P": place.shown[len(place.start) :].lstrip("/"),
        "%s": str(found.st_size),
        "%m": f"{stat.S_IMODE(found.st_mode):o}",
        "%U": str(found.st_uid),
        "%G": str(found.st_uid),
        "%T@": f"{found.st_mtime:.10f}",
        "%l": place.call.files.readlink(place.path) if stat.S_ISLNK(found.st_mode) else "",
        "%y": next((letter for letter, is_kind in KINDS.items() if is_kind(found.st_mode)), "U"),
    }
    return values[directive]


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


PLAIN: Mapping[str, Expression] = {
    "-empty": _is_empty,
    "-prune": _prune,
    "-ignore_readdir_race": _yes,
    "-xdev": _yes,
    "-mount": _yes,
}
ACTIONS: Mapping[str, Expression] = {"-print": _print, "-print0": _print0, "-delete": _delete}
PROGRAMS: Mapping[str, Program] = {"find": find}
