"""The two scripts that CloudyPad puts on a machine."""

from __future__ import annotations

import re
from collections.abc import Mapping

from simulator.machines.programs.call import Call, Program

READINESS = "cloudypad-check-readiness"
AUTOSTOP = "autostop.sh"
IDLE_LIMIT = re.compile(rb"-ge (\d+) \]")
LOOK_EVERY_S = 30


async def check_readiness(call: Call) -> int:
    """Exit with 0 when Wolf's HTTP port is open."""
    return await call.run(["nc", "-z", "localhost", "47989"])


async def autostop(call: Call) -> int:
    """Switch the machine off when nothing has streamed for as long as the script says."""
    limit = IDLE_LIMIT.search(call.machine.root_files.read(call.machine.which(call.command.argv[0]) or ""))
    idle_s = 0
    while limit and idle_s < int(limit[1]):
        await call.machine.clock.sleep(LOOK_EVERY_S)
        idle_s = 0 if _streams(call) else idle_s + LOOK_EVERY_S
    call.machine.shut_down()
    return 0


def _streams(call: Call) -> bool:
    try:
        return bool(call.machine.containers.wolf().sessions)
    except LookupError:
        return False


PROGRAMS: Mapping[str, Program] = {READINESS: check_readiness, AUTOSTOP: autostop}
