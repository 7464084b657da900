"""Programs that read text and write less of it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping

from simulator.machines.programs.call import Call, Program, UsageError
from simulator.machines.shell.streams import Bytes, lines


async def head(call: Call) -> int:
    return await _cut_off(call, from_end=False)


async def tail(call: Call) -> int:
    return await _cut_off(call, from_end=True)


async def wc(call: Call) -> int:
    found, names = call.options("lcwm")
    for name in names or [""]:
        content = await _content(call, name)
        counts = {"-l": content.count(b"\n"), "-w": len(content.split()), "-c": len(content)}
        shown = [str(count) for flag, count in counts.items() if flag in found or not found]
        call.say(" ".join([*shown, *([name] if name else [])]))
    return 0


async def grep(call: Call) -> int:
    found, names = call.options("qvicEFxonwrshe:m:A:", ["quiet", "ignore-case", "fixed-strings"], status=2)
    pattern = found.get("-e")
    if pattern is None:
        if not names:
            raise UsageError("no pattern given", 2)
        pattern = names.pop(0)
    expression = re.compile(_expression(pattern, found), re.IGNORECASE if "-i" in found else 0)
    count = 0
    for name in names or [""]:
        try:
            texts = (await _content(call, name)).decode(errors="surrogateescape").splitlines()
        except OSError as error:
            if "-s" not in found:
                call.complain_of(name, error)
            continue
        for number, line in enumerate(texts, start=1):
            match = expression.search(line)
            if bool(match) is ("-v" in found):
                continue
            count += 1
            if not {"-q", "--quiet", "-c"} & found.keys():
                prefix = f"{name}:" if len(names) > 1 and "-h" not in found else ""
                prefix += f"{number}:" if "-n" in found else ""
                call.say(prefix + (match[0] if match and "-o" in found else line))
    if "-c" in found:
        call.say(str(count))
    return 0 if count else 1


async def cut(call: Call) -> int:
    found, names = call.options("d:f:c:s")
    wanted = [int(part) for part in re.findall(r"\d+", found.get("-f") or found.get("-c") or "")]
    delimiter = found.get("-d", "\t")
    for name in names or [""]:
        for line in (await _content(call, name)).decode(errors="surrogateescape").splitlines():
            parts = list(line) if "-c" in found else line.split(delimiter)
            last = len(parts) if (found.get("-f") or found.get("-c") or "").endswith("-") else 0
            chosen = list(range(wanted[0], last + 1)) if last else wanted
            kept = [parts[number - 1] for number in chosen if number <= len(parts)]
            call.say(line if len(parts) == 1 and "-c" not in found else ("" if "-c" in found else delimiter).join(kept))
    return 0


async def sort(call: Call) -> int:
    found, names = call.options("runk:t:zV")
    texts = [line for name in names or [""] for line in await lines(Bytes(await _content(call, name)))]
    texts = sorted(set(texts) if "-u" in found else texts, key=_sort_key(numeric="-n" in found))
    for line in reversed(texts) if "-r" in found else texts:
        call.say(line)
    return 0


async def uniq(call: Call) -> int:
    last = None
    for line in await lines(call.stdin):
        if line != last:
            call.say(line)
        last = line
    return 0


async def tr(call: Call) -> int:
    found, sets = call.options("ds")
    content = (await call.stdin.read()).decode(errors="surrogateescape")
    first, *rest = [one.replace("\\n", "\n").replace("\\0", "\0").replace("\\t", "\t") for one in sets]
    table = {ord(char): None if "-d" in found else rest[0][min(at, len(rest[0]) - 1)] for at, char in enumerate(first)}
    call.stdout.write(content.translate(table).encode(errors="surrogateescape"))
    return 0


async def sed(call: Call) -> int:
    """`s/old/new/[g]`, `/pattern/d` and `/pattern/p`, also in place."""
    found, names = call.options("ine:Er")
    script = found.get("-e") or (names.pop(0) if names else "")
    for name in names or [""]:
        before = (await _content(call, name)).decode(errors="surrogateescape")
        after = "".join(_edited(line, script, quiet="-n" in found) for line in before.splitlines(keepends=True))
        if "-i" in found:
            call.files.write(call.path(name), after.encode(errors="surrogateescape"))
        else:
            call.stdout.write(after.encode(errors="surrogateescape"))
    return 0


async def base64_(call: Call) -> int:
    found, names = call.options("dw:i", ["decode", "wrap="])
    content = await _content(call, names[0] if names else "")
    if "-d" in found or "--decode" in found:
        try:
            call.stdout.write(base64.b64decode(content))
        except ValueError:
            return call.complain("invalid input")
    else:
        call.say(base64.b64encode(content).decode())
    return 0


async def _cut_off(call: Call, *, from_end: bool) -> int:
    arguments = [f"-n{word[1:]}" if re.fullmatch(r"-\d+", word) else word for word in call.arguments]
    found, names = _replaced(call, arguments).options("n:c:qf")
    unit, number = ("bytes", found["-c"]) if "-c" in found else ("lines", found.get("-n", "10"))
    for name in names or [""]:
        content = await _content(call, name)
        pieces = [content[at : at + 1] for at in range(len(content))] if unit == "bytes" else content.splitlines(True)
        amount = int(number.lstrip("+"))
        if from_end:
            kept = (
                pieces[amount - 1 :]
                if number.startswith("+")
                else pieces[len(pieces) - min(abs(amount), len(pieces)) :]
            )
        else:
            kept = pieces[:amount]
        call.stdout.write(b"".join(kept))
    return 0


def _replaced(call: Call, arguments: list[str]) -> Call:
    return Call(call.machine, call.name, tuple(arguments), call.user, call.environment, call.cwd, call.streams)


async def _content(call: Call, name: str) -> bytes:
    return await call.stdin.read() if name in ("", "-") else call.files.read(call.path(name))


def _expression(pattern: str, found: Mapping[str, str]) -> str:
    if "-F" in found or "--fixed-strings" in found:
        pattern = re.escape(pattern)
    elif "-E" not in found:
        # A basic expression: brackets and the like only count with a backslash, which is the other way round here.
        pattern = re.sub(r"\\?[(){}|+?]", lambda one: one[0][1:] if len(one[0]) == 2 else f"\\{one[0]}", pattern)
    pattern = re.sub(r"\[\[:(\w+):\]\]", lambda one: {"space": r"\s", "digit": r"\d", "alnum": r"\w"}[one[1]], pattern)
    return rf"\A(?:{pattern})\Z" if "-x" in found else rf"\b(?:{pattern})\b" if "-w" in found else pattern


def _sort_key(*, numeric: bool) -> Callable[[str], tuple[float, str]]:
    def key(line: str) -> tuple[float, str]:
        number = re.match(r"\s*-?\d+(\.\d+)?", line) if numeric else None
        return (float(number[0]) if number else 0.0, line)

    return key


def _edited(line: str, script: str, *, quiet: bool) -> str:
    if match := re.fullmatch(r"/(.*)/([dp])", script, re.DOTALL):
        hit = re.search(match[1], line)
        if match[2] == "d":
            return "" if hit else line
        return line if hit and quiet else "" if quiet else line + (line if hit else "")
    if match := re.fullmatch(r"s(.)(.*?)\1(.*?)\1(g?)", script, re.DOTALL):
        return re.sub(match[2], match[3].replace("&", r"\g<0>"), line, count=0 if match[4] else 1)
    raise UsageError(f"-e expression #1, char 1: unknown command: '{script}'")


PROGRAMS: Mapping[str, Program] = {
    "head": head,
    "tail": tail,
    "wc": wc,
    "grep": grep,
    "cut": cut,
    "sort": sort,
    "uniq": uniq,
    "tr": tr,
    "sed": sed,
    "base64": base64_,
}
