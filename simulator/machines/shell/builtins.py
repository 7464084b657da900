"""The commands that a shell does itself."""

from __future__ import annotations

import posixpath
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from simulator.machines.shell.state import FunctionReturnsError, ShellEndsError
from simulator.machines.shell.streams import Streams

if TYPE_CHECKING:
    from simulator.machines.shell.interpreter import Shell

Builtin = Callable[["Shell", list[str], Streams], Awaitable[int]]


async def _nothing(_: Shell, __: list[str], ___: Streams) -> int:
    return 0


async def _cd(shell: Shell, arguments: list[str], streams: Streams) -> int:
    target = posixpath.join(shell.state.cwd, arguments[0] if arguments else shell.state.variables.get("HOME", "/"))
    resolved = shell.machine.tree.resolve(target)
    if not shell.files.is_dir(resolved):
        streams.stderr.write(f"sh: 1: cd: can't cd to {arguments[0] if arguments else target}\n".encode())
        return 2
    shell.state.cwd = shell.state.variables["PWD"] = resolved
    return 0


async def _pwd(shell: Shell, _: list[str], streams: Streams) -> int:
    streams.stdout.write(f"{shell.state.cwd}\n".encode())
    return 0


async def _exit(shell: Shell, arguments: list[str], _: Streams) -> int:
    raise ShellEndsError(int((arguments or [shell.state.variables["?"]])[0]) & 255)


async def _return(shell: Shell, arguments: list[str], _: Streams) -> int:
    raise FunctionReturnsError(int((arguments or [shell.state.variables["?"]])[0]) & 255)


async def _export(shell: Shell, arguments: list[str], _: Streams) -> int:
    for argument in arguments:
        name, given, value = argument.partition("=")
        shell.state.exported.add(name)
        if given:
            shell.state.variables[name] = value
    return 0


async def _local(shell: Shell, arguments: list[str], _: Streams) -> int:
    for argument in arguments:
        name, _given, value = argument.partition("=")
        shell.state.variables[name] = value
    return 0


async def _unset(shell: Shell, arguments: list[str], _: Streams) -> int:
    for name in arguments:
        shell.state.variables.pop(name, None)
    return 0


async def _set(shell: Shell, arguments: list[str], _: Streams) -> int:
    while arguments and arguments[0][:1] in ("-", "+") and arguments[0] != "--":
        flags, on = arguments[0][1:], arguments[0].startswith("-")
        if "e" in flags:
            shell.state.exit_on_error = on
        if "x" in flags:
            shell.state.trace = on
        if flags.endswith("o"):
            shell.state.pipefail = on if arguments[1:2] == ["pipefail"] else shell.state.pipefail
            arguments = arguments[1:]
        arguments = arguments[1:]
    if arguments:
        shell.state.set_positional(arguments[1:] if arguments[0] == "--" else arguments)
    return 0


async def _shift(shell: Shell, arguments: list[str], _: Streams) -> int:
    old = shell.state.set_positional(())
    shell.state.set_positional(old[int(arguments[0]) if arguments else 1 :])
    return 0


async def _read(shell: Shell, arguments: list[str], streams: Streams) -> int:
    line = b""
    while (char := await streams.stdin.read(1)) not in (b"", b"\n"):
        line += char
    names = [argument for argument in arguments if not argument.startswith("-")] or ["REPLY"]
    values = line.decode(errors="replace").split(None, len(names) - 1)
    for name, value in zip(names, [*values, *[""] * len(names)], strict=False):
        shell.state.variables[name] = value
    return 0 if char else 1


async def _command(shell: Shell, arguments: list[str], streams: Streams) -> int:
    """`command -v name...` tells where; `command name...` runs it."""
    if arguments[:1] not in (["-v"], ["-V"]):
        return await shell.start(arguments, streams) if arguments else 0
    status = 0
    for name in arguments[1:]:
        found = name if name in BUILTINS or name in shell.state.functions else shell.machine.which(name)
        if found:
            streams.stdout.write(f"{found}\n".encode())
        status = 0 if found else 127
    return status


async def _eval(shell: Shell, arguments: list[str], streams: Streams) -> int:
    return await shell.run_text(" ".join(arguments), streams)


async def _source(shell: Shell, arguments: list[str], streams: Streams) -> int:
    path = posixpath.join(shell.state.cwd, arguments[0])
    try:
        text = shell.files.read_text(path)
    except OSError as error:
        streams.stderr.write(f"sh: 1: .: cannot open {arguments[0]}: {error.strerror}\n".encode())
        raise ShellEndsError(2) from None
    return await shell.run_text(text, streams)


async def _exec(shell: Shell, arguments: list[str], streams: Streams) -> int:
    if not arguments:
        return 0
    raise ShellEndsError(await shell.start(arguments, streams))


BUILTINS: Mapping[str, Builtin] = {
    ":": _nothing,
    ".": _source,
    "cd": _cd,
    "command": _command,
    "eval": _eval,
    "exec": _exec,
    "exit": _exit,
    "export": _export,
    "local": _local,
    "pwd": _pwd,
    "read": _read,
    "return": _return,
    "set": _set,
    "shift": _shift,
    "source": _source,
    "trap": _nothing,
    "umask": _nothing,
    "unset": _unset,
    "wait": _nothing,
}
