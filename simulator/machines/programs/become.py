"""Programs that run other programs: as somebody else, in a shell, for a limited time."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace

from simulator.machines import users
from simulator.machines.programs.call import ROOT, Call, Program, UsageError, User
from simulator.machines.shell.interpreter import Shell
from simulator.machines.shell.state import ShellState
from simulator.machines.shell.streams import Bytes, lines
from simulator.machines.systemd.unit import span_s

ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
TIMED_OUT = 124
PATIENCE_REAL_S = 0.3  # what a program really does takes real time, however fast the clock
SUDO_RULE = re.compile(r"[a-z_%#][\w.-]* [\w.-]+=\([\w:.-]+\) (?:NOPASSWD: ?)?\S.*")
SUDO_WITH_VALUE = ("-u", "-g", "-D", "-p", "-C", "-h")


async def sudo(call: Call) -> int:
    """Every user of ours may, without a password."""
    words = list(call.arguments)
    user: User | None = ROOT
    keep = login = False
    while words and words[0].startswith("-") and words[0] != "--":
        flag = words.pop(0)
        if flag in ("-u", "--user") and words:
            name = words.pop(0)
            user = users.find(call.machine.tree, name) or _numbered(name)
            if not user:
                return call.complain(f"unknown user {name}")
        elif flag in SUDO_WITH_VALUE and words:
            words.pop(0)
        keep = keep or flag in ("-E", "--preserve-env")
        login = login or flag in ("-i", "-s")
    words = words[1:] if words[:1] == ["--"] else words
    return await _as(call, user or ROOT, words, keep=keep, login=login)


async def setpriv(call: Call) -> int:
    """`setpriv --reuid=N --regid=N --clear-groups PROGRAM`, for root: the number needs no account."""
    words = list(call.arguments)
    uid, gid = None, None
    while words and words[0].startswith("-"):
        flag, _, value = words.pop(0).partition("=")
        uid = int(value) if flag == "--reuid" else uid
        gid = int(value) if flag == "--regid" else gid
        if flag not in ("--reuid", "--regid", "--clear-groups"):
            raise UsageError(f"unrecognized option '{flag}'")
    if uid is None or not words:
        raise UsageError("No program specified")
    if call.user.uid not in (0, uid):
        return call.complain("setresuid failed: Operation not permitted", 127)
    if gid is None or "--clear-groups" not in call.arguments:
        raise UsageError("groups other than the named one are not done here")
    user = users.find(call.machine.tree, str(uid)) or User(f"#{uid}", uid)
    return await replace(call, user=user).run(words)


async def visudo(call: Call) -> int:
    """`visudo -c -f FILE`: whether sudo would take it."""
    call.needs_root()
    found, _ = call.options("cqsf:", ["check", "quiet", "strict", "file="])
    file = found.get("-f") or found.get("--file") or "/etc/sudoers"
    if not call.files.is_file(call.path(file)):
        return call.complain(f"unable to open {file}: No such file or directory")
    rules = [line for line in call.files.read_text(call.path(file)).splitlines() if line and not line.startswith("#")]
    wrong = [line for line in rules if not SUDO_RULE.fullmatch(line)]
    if wrong:
        return call.complain(f"{file}: syntax error near {wrong[0]!r}")
    if "-q" not in found:
        call.say(f"{file}: parsed OK")
    return 0


async def su(call: Call) -> int:
    """`su - USER -c COMMAND`, for root."""
    call.needs_root()
    found, names = call.options("c:l", ["command=", "login"])
    names = [name for name in names if name != "-"]
    user = users.find(call.machine.tree, names[0]) if names else ROOT
    if not user:
        return call.complain(f"user {names[0]} does not exist")
    return await _as(call, user, ["sh", "-c", found.get("-c") or found.get("--command") or ""], keep=False, login=False)


async def sh(call: Call) -> int:
    """`sh -c TEXT [NAME ARGUMENT...]`, `sh FILE`, or a script from stdin."""
    words = list(call.arguments)
    flags = ""
    while words and words[0].startswith("-") and words[0] != "--":
        flags += words.pop(0)[1:]
        if flags.endswith("o") and words:
            flags += words.pop(0)
    text, rest = "", words
    if "c" in flags:
        if not words:
            raise UsageError("-c requires an argument", 2)
        text, rest = words[0], words[1:] or ["sh"]
    elif words and "s" not in flags:
        if not call.files.is_file(call.path(words[0])):
            return call.complain(f"0: cannot open {words[0]}: No such file", 2)
        text = call.files.read_text(call.path(words[0]))
    else:
        text, rest = (await call.stdin.read()).decode(errors="surrogateescape"), ["sh", *words]
    state = ShellState.started_with(dict(call.environment), call.cwd, rest)
    state.exit_on_error, state.pipefail, state.trace = "e" in flags, "pipefail" in flags, "x" in flags
    return await Shell(call.machine, call.user, state).run_text(text, call.streams)


async def env(call: Call) -> int:
    words = list(call.arguments)
    environment = dict(call.environment)
    cwd = call.cwd
    while words and words[0].startswith("-"):
        flag = words.pop(0)
        if flag in ("-i", "-"):
            environment = {}
        elif flag == "-C" and words:
            cwd = call.path(words.pop(0))
            if not call.files.is_dir(cwd):
                return call.complain(f"cannot change directory to '{cwd}': No such file or directory", 125)
        else:
            raise UsageError(f"invalid option '{flag}'", 125)
    while words and (found := ASSIGNMENT.fullmatch(words[0])):
        environment[found[1]] = found[2]
        words.pop(0)
    if words:
        return await call.run(words, environment=environment, cwd=cwd)
    for name, value in environment.items():
        call.say(f"{name}={value}")
    return 0


async def timeout(call: Call) -> int:
    words = list(call.arguments)
    while words and words[0].startswith("-"):
        flag = words.pop(0)
        if flag in ("-k", "-s", "--kill-after", "--signal"):
            words.pop(0)
    if len(words) < 2:
        raise UsageError("missing operand", 125)
    work = asyncio.create_task(call.run(words[1:]))
    limit_s = max(call.machine.clock.real_seconds(span_s(words[0])), PATIENCE_REAL_S)
    limit = asyncio.create_task(asyncio.sleep(limit_s))
    try:
        await asyncio.wait({work, limit}, return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else TIMED_OUT
    finally:
        limit.cancel()
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


async def prefix(call: Call) -> int:
    """`nohup`, `setsid`, `nice` and their kin change nothing that is seen here."""
    words = list(call.arguments)
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] in ("-n", "-c") else words[1:]
    return await call.run(words) if words else 0


async def which(call: Call) -> int:
    status = 0
    for name in call.arguments:
        found = call.machine.which(name)
        if found:
            call.say(found)
        status = status if found else 1
    return status


async def xargs(call: Call) -> int:
    words = list(call.arguments)
    zero = skip_empty = False
    while words and words[0].startswith("-"):
        flag = words.pop(0)
        zero, skip_empty = zero or flag == "-0", skip_empty or flag == "-r"
        if flag in ("-n", "-P", "-I"):
            raise UsageError(f"{flag} is not done here")
    text = "\n".join(await lines(call.stdin))
    given = [one for one in text.split("\0") if one] if zero else shlex.split(text)
    if not given and skip_empty:
        return 0
    return await call.run([*(words or ["echo"]), *given], streams=call.streams.reading(Bytes()))


async def flock(call: Call) -> int:
    """Nothing on a machine runs twice at once that anybody locks against."""
    words = [word for word in call.arguments if word not in ("-n", "-x", "-s", "-e")]
    if words[:1] == ["-w"]:
        words = words[2:]
    command = words[1:]
    return await call.run(["sh", *command] if command[:1] == ["-c"] else command)


async def useradd(call: Call) -> int:
    call.needs_root()
    _, names = call.options("mrs:G:u:c:d:U", ["create-home", "shell=", "groups=", "disabled-password", "gecos="])
    users.add(call.machine.tree, names[0])
    return 0


async def usermod(call: Call) -> int:
    """`usermod -aG GROUP USER`."""
    call.needs_root()
    found, names = call.options("aG:s:", ["append", "groups="])
    files = call.machine.root_files
    lines = files.read_text("/etc/group").splitlines() if files.is_file("/etc/group") else []
    for group in (found.get("-G") or found.get("--groups") or "").split(","):
        members = next((line.rpartition(":")[2] for line in lines if line.startswith(f"{group}:")), "")
        lines = [line for line in lines if not line.startswith(f"{group}:")]
        joined = sorted({*members.split(","), *names} - {""})
        lines.append(f"{group}:x:999:{','.join(joined)}")
    files.write("/etc/group", "\n".join(lines) + "\n")
    return 0


async def _as(call: Call, user: User, words: list[str], *, keep: bool, login: bool) -> int:
    shell = call.machine.shell(user)
    environment = {**(call.environment if keep else {}), **shell.state.environment()}
    while words and (found := ASSIGNMENT.fullmatch(words[0])):
        environment[found[1]] = found[2]
        words = words[1:]
    if login:
        words = ["sh", "-c", shlex.join(words)] if words else ["sh"]
    if not words:
        raise UsageError("a command is needed")
    if "/" not in words[0] and not call.machine.which(words[0]):
        return call.complain(f"{words[0]}: command not found")
    return await replace(call, user=user).run(words, environment=environment)


def _numbered(name: str) -> User | None:
    """`#1000` need not be in /etc/passwd."""
    return User(name, int(name[1:])) if re.fullmatch(r"#\d+", name) else None


PROGRAMS: Mapping[str, Program] = {
    "sudo": sudo,
    "setpriv": setpriv,
    "visudo": visudo,
    "su": su,
    "sh": sh,
    "bash": sh,
    "dash": sh,
    "env": env,
    "timeout": timeout,
    "nohup": prefix,
    "setsid": prefix,
    "nice": prefix,
    "ionice": prefix,
    "stdbuf": prefix,
    "which": which,
    "xargs": xargs,
    "flock": flock,
    "useradd": useradd,
    "adduser": useradd,
    "usermod": usermod,
}
