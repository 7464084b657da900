"""`test` and `[`."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping

from simulator.machines.files import ENTER, READ, WRITE
from simulator.machines.programs.call import Call, Program, UsageError

BINARY: Mapping[str, Callable[[str, str], bool]] = {
    "=": lambda a, b: a == b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "-eq": lambda a, b: int(a) == int(b),
    "-ne": lambda a, b: int(a) != int(b),
    "-lt": lambda a, b: int(a) < int(b),
    "-le": lambda a, b: int(a) <= int(b),
    "-gt": lambda a, b: int(a) > int(b),
    "-ge": lambda a, b: int(a) >= int(b),
}
ACCESS = {"-r": READ, "-w": WRITE, "-x": ENTER}


async def test(call: Call) -> int:
    words = list(call.arguments)
    if call.name.rpartition("/")[2] == "[" and (not words or words.pop() != "]"):
        raise UsageError("missing ']'", 2)
    try:
        return 0 if _holds(call, words) else 1
    except ValueError as error:
        raise UsageError(str(error), 2) from None


def _holds(call: Call, words: list[str]) -> bool:
    if "-o" in words:
        at = words.index("-o")
        return _holds(call, words[:at]) or _holds(call, words[at + 1 :])
    if "-a" in words[1:]:
        at = words.index("-a", 1)
        return _holds(call, words[:at]) and _holds(call, words[at + 1 :])
    if words[:1] == ["!"] and len(words) > 1:
        return not _holds(call, words[1:])
    return _holds_alone(call, words)


def _holds_alone(call: Call, words: list[str]) -> bool:
    match words:
        case [left, operator, right] if operator in BINARY:
            return BINARY[operator](left, right)
        case [left, ("-nt" | "-ot" | "-ef") as operator, right]:
            return _compared(call, left, operator, right)
        case [operator, word]:
            return _unary(call, operator, word)
        case [_, _, *_]:
            raise ValueError(f"{words[0]}: unexpected operator")
    return words not in ([], [""])


def _unary(call: Call, operator: str, word: str) -> bool:
    if operator in ("-n", "-z"):
        return bool(word) is (operator == "-n")
    if operator == "-t":
        return False
    path = call.path(word)
    if operator in ("-L", "-h"):
        return call.files.tree.host_path(path, follow=False).is_symlink()
    if not call.files.exists(path):
        return False
    if operator in ACCESS:
        return call.files.may(path, ACCESS[operator])
    return _is_kind(call, operator, path)


def _is_kind(call: Call, operator: str, path: str) -> bool:
    found = call.files.stat(path)
    is_device = call.files.tree.resolve(path).startswith("/dev/") and stat.S_ISREG(found.st_mode)
    kinds = {
        "-e": True,
        "-f": stat.S_ISREG(found.st_mode) and not is_device,
        "-d": stat.S_ISDIR(found.st_mode),
        "-s": found.st_size > 0,
        "-S": stat.S_ISSOCK(found.st_mode),
        "-c": is_device,
        "-b": False,
        "-p": False,
    }
    if operator not in kinds:
        raise ValueError(f"{operator}: unexpected operator")
    return kinds[operator]


def _compared(call: Call, left: str, operator: str, right: str) -> bool:
    if operator == "-ef":
        return call.files.tree.resolve(call.path(left)) == call.files.tree.resolve(call.path(right))
    times = [
        call.files.stat(call.path(one)).st_mtime if call.files.exists(call.path(one)) else -1.0 for one in (left, right)
    ]
    return times[0] > times[1] if operator == "-nt" else times[0] < times[1]


PROGRAMS: Mapping[str, Program] = {"test": test, "[": test}
