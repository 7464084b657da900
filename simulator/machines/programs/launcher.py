"""The table of all programs that a simulated machine has, and how one is found and run."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from simulator.machines import packages
from simulator.machines.command import Command, NotSimulatedError, report_not_simulated
from simulator.machines.machine import Machine
from simulator.machines.programs import disk, docker, look, notices, rclone, run_as, system, wolf
from simulator.machines.programs.call import Call, Program

_FAMILIES = (disk, docker, look, notices, rclone, run_as, system, wolf)
PROGRAMS: Mapping[str, Program] = {name: program for family in _FAMILIES for name, program in family.PROGRAMS.items()}
# A new machine lacks what packages bring, and what CloudyPad and the service write.
FRESH_PROGRAMS = PROGRAMS.keys() - packages.PROGRAMS.values() - wolf.SCRIPTS.keys() - notices.SCRIPTS.keys()
NOT_FOUND = 127


async def execute(machine: Machine, command: Command) -> int:
    """Run a command, and return its exit status: 127 when its program is not there or not simulated."""
    call = Call(machine, command)
    try:
        return await _start(call)
    except NotSimulatedError as error:
        return report_not_simulated(machine.name, command.streams, error)
    except OSError as error:
        return call.complain(error.strerror or "input/output error")


async def _start(call: Call) -> int:
    name = call.command.argv[0]
    path = call.path(name) if "/" in name else name
    found = call.machine.which(path)
    if not found:
        return _refuse(call)
    program = PROGRAMS.get(posixpath.basename(found))
    if not program:
        raise NotSimulatedError(f"a program of its own: {found}")
    return await program(call)


def _refuse(call: Call) -> int:
    if call.name not in PROGRAMS:
        raise NotSimulatedError(call.command.argv[0])
    return call.say_error(f"bash: line 1: {call.command.argv[0]}: command not found", NOT_FOUND)
