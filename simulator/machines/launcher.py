"""From a program's name to its run."""

from __future__ import annotations

import posixpath
import shlex
import stat

from simulator.machines.files import READ, Files
from simulator.machines.image import PROGRAM_MARK
from simulator.machines.programs.call import Call, UsageError
from simulator.machines.programs.table import PROGRAMS
from simulator.machines.shell.interpreter import Shell
from simulator.machines.shell.state import ShellState
from simulator.machines.tree import ROOT_UID

SEARCHED = ("/usr/local/sbin", "/usr/local/bin", "/usr/bin")
NOT_FOUND, NOT_EXECUTABLE = 127, 126
SHELLS = ("sh", "bash", "dash")


def which(files: Files, program: str) -> str | None:
    """Where a program lies, by its name as the shell searches for it, or by its path; only what may be executed."""
    places = [program] if "/" in program else [f"{folder}/{program}" for folder in SEARCHED]
    return next((place for place in places if files.is_file(place) and _is_executable(files, place)), None)


async def launch(call: Call) -> int:
    """Run a call; 127 when there is no such program, 126 when it may not be run."""
    files = Files(call.machine.tree, ROOT_UID)
    name = call.path(call.name) if "/" in call.name else call.name
    found = which(files, name)
    if not found:
        return _not_found(call, files.is_file(name) if "/" in name else False)
    content = files.read(found)
    if not content.startswith(PROGRAM_MARK):
        return await _script(call, found, content.decode(errors="replace"))
    program = PROGRAMS[content.removeprefix(PROGRAM_MARK).decode().strip()]
    try:
        return await program(call)
    except UsageError as error:
        return call.complain(str(error), error.status)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        return call.complain(error.strerror or "input/output error")


def _not_found(call: Call, is_there: bool) -> int:
    reason, status = ("Permission denied", NOT_EXECUTABLE) if is_there else ("not found", NOT_FOUND)
    call.streams.stderr.write(f"sh: 1: {call.name}: {reason}\n".encode())
    return status


async def _script(call: Call, path: str, text: str) -> int:
    """A script of the machine's owner: only shell scripts are understood."""
    if not call.files.may(path, READ):
        return call.complain("Permission denied", NOT_EXECUTABLE)
    first, _, rest = text.partition("\n")
    interpreter = shlex.split(first.removeprefix("#!")) if first.startswith("#!") else ["/bin/sh"]
    named = [posixpath.basename(word) for word in interpreter if posixpath.basename(word) != "env"]
    if not named or named[0] not in SHELLS:
        return call.complain(f"cannot execute: {named[0] if named else first}: required file not found", NOT_FOUND)
    state = ShellState.started_with(dict(call.environment), call.cwd, [path, *call.arguments])
    state.exit_on_error = any(flag.startswith("-") and "e" in flag for flag in named[1:])
    return await Shell(call.machine, call.user, state).run_text(rest if first.startswith("#!") else text, call.streams)


def _is_executable(files: Files, path: str) -> bool:
    return bool(files.stat(path).st_mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH))
