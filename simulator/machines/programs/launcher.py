"""Find a program by its name or path and run it."""

from __future__ import annotations

import posixpath

from simulator.machines.command import Command, NotSimulatedError, report_not_simulated
from simulator.machines.machine import Machine
from simulator.machines.programs.call import Call, UsageError
from simulator.machines.programs.table import PROGRAMS

NOT_FOUND, NOT_EXECUTABLE = 127, 126


async def execute(machine: Machine, command: Command) -> int:
    """Run a command: 127 when its program is not there or not simulated, 126 when it may not be run."""
    call = Call(machine, command)
    try:
        return await _start(call)
    except UsageError as error:
        return call.complain(str(error), error.status)
    except NotSimulatedError as error:
        return report_not_simulated(machine.name, command.streams, error)
    except BrokenPipeError:
        raise
    except OSError as error:
        return call.complain(error.strerror or "input/output error")


async def _start(call: Call) -> int:
    name = call.command.argv[0]
    path = call.path(name) if "/" in name else name
    found = call.machine.which(path)
    if not found:
        return _refuse(call, path)
    program = PROGRAMS.get(posixpath.basename(found))
    if not program:
        raise NotSimulatedError(f"a program of its own: {found}")
    return await program(call)


def _refuse(call: Call, path: str) -> int:
    if call.name not in PROGRAMS:
        raise NotSimulatedError(call.command.argv[0])
    if "/" in path and call.machine.root_files.is_file(path):
        return call.say_error(f"bash: line 1: {path}: Permission denied", NOT_EXECUTABLE)
    return call.say_error(f"bash: line 1: {call.command.argv[0]}: command not found", NOT_FOUND)
