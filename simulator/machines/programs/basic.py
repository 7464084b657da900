"""Programs that only look at their arguments and at the clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from simulator.machines import users
from simulator.machines.programs.call import Call, Program, UsageError
from simulator.machines.systemd.unit import span_s

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "0": "\0", "a": "\a", "b": "\b", "e": "\x1b"}
KERNEL = {"s": "Linux", "r": "6.8.0-55-generic", "m": "x86_64", "p": "x86_64", "o": "GNU/Linux"}


async def true(_: Call) -> int:
    return 0


async def false(_: Call) -> int:
    return 1


async def echo(call: Call) -> int:
    words = list(call.arguments)
    flags = ""
    while words and re.fullmatch(r"-[neE]+", words[0]):
        flags += words.pop(0)
    text = " ".join(words)
    text = _unescaped(text) if "e" in flags else text
    call.stdout.write((text + ("" if "n" in flags else "\n")).encode(errors="surrogateescape"))
    return 0


async def printf(call: Call) -> int:
    if not call.arguments:
        raise UsageError("missing operand", 2)
    words = list(call.arguments[2:] if call.arguments[0] == "--" else call.arguments[1:])
    form = _unescaped(call.arguments[1 if call.arguments[0] == "--" else 0])
    while True:
        before = len(words)
        call.stdout.write(_formatted(form, words).encode(errors="surrogateescape"))
        if not words or len(words) == before:
            return 0


async def sleep(call: Call) -> int:
    try:
        seconds = sum(span_s(word) for word in call.arguments)
    except ValueError as error:
        raise UsageError(f"invalid time interval '{error}'") from None
    await call.machine.clock.sleep(seconds)
    return 0


async def date(call: Call) -> int:
    """`date`, `date -u`, `date +FORMAT`; machines are on UTC."""
    form = next((word[1:] for word in call.arguments if word.startswith("+")), "%a %b %e %H:%M:%S UTC %Y")
    now = datetime.now(UTC)
    call.say(now.strftime(form.replace("%N", f"{now.microsecond * 1000:09d}")))
    return 0


async def hostname(call: Call) -> int:
    call.say(call.machine.address.ip if "-I" in call.arguments else call.machine.hostname)
    return 0


async def whoami(call: Call) -> int:
    call.say(call.user.name)
    return 0


async def identify(call: Call) -> int:
    """`id`, `id -u`, `id -un`, `id USER`."""
    found, rest = call.options("ugn")
    user = users.find(call.machine.tree, rest[0]) if rest else call.user
    if not user:
        return call.complain(f"'{rest[0]}': no such user")
    if "-u" in found or "-g" in found:
        call.say(user.name if "-n" in found else str(user.uid))
    else:
        call.say(f"uid={user.uid}({user.name}) gid={user.uid}({user.name}) groups={user.uid}({user.name}),27(sudo)")
    return 0


async def uname(call: Call) -> int:
    letters = "".join(word.lstrip("-") for word in call.arguments) or "s"
    if "a" in letters or "all" in letters:
        call.say(f"Linux {call.machine.hostname} {KERNEL['r']} #57-Ubuntu SMP x86_64 x86_64 x86_64 GNU/Linux")
    else:
        call.say(" ".join(KERNEL.get(letter, call.machine.hostname) for letter in letters))
    return 0


async def getent(call: Call) -> int:
    """`getent passwd USER`."""
    if call.arguments[:1] != ("passwd",):
        return 1
    wanted = call.arguments[1:]
    found = [user for user in users.everyone(call.machine.tree) if not wanted or user.name in wanted]
    for user in found:
        call.say(f"{user.name}:x:{user.uid}:{user.uid}:,,,:{user.home}:/bin/bash")
    return 0 if found else 2


async def nproc(call: Call) -> int:
    call.say("8")
    return 0


def _unescaped(text: str) -> str:
    return re.sub(r"\\([ntr\\0abe])", lambda found: ESCAPES[found[1]], text)


def _formatted(form: str, words: list[str]) -> str:
    """One round of printf: takes what it needs from `words`."""

    def fill(found: re.Match[str]) -> str:
        kind = found[2]
        if kind == "%":
            return "%"
        word = words.pop(0) if words else ""
        if kind in "di":
            return f"%{found[1]}d" % int(word or 0)
        return f"%{found[1]}s" % (_unescaped(word) if kind == "b" else word)

    return re.sub(r"%([-0-9.]*)([%sdbiq])", fill, form)


PROGRAMS: Mapping[str, Program] = {
    "true": true,
    "false": false,
    "echo": echo,
    "printf": printf,
    "sleep": sleep,
    "date": date,
    "hostname": hostname,
    "hostnamectl": hostname,
    "whoami": whoami,
    "id": identify,
    "uname": uname,
    "getent": getent,
    "nproc": nproc,
    "sync": true,
    "udevadm": true,
    "sysctl": true,
    "chattr": true,
    "update-initramfs": true,
}
