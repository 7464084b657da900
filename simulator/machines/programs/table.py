"""Every program that a simulated machine has, by its name. Anything else is refused as not simulated."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.machines import packages
from simulator.machines.programs import (
    archive,
    cloudypad,
    disk,
    docker,
    find,
    look,
    mounting,
    network,
    rclone,
    run_as,
    services,
    system,
)
from simulator.machines.programs.call import Program

_FAMILIES = (*(archive, cloudypad, disk, docker, find, look, mounting, network, rclone, run_as, services, system),)
PROGRAMS: Mapping[str, Program] = {name: program for family in _FAMILIES for name, program in family.PROGRAMS.items()}
# A new machine lacks what packages bring and what CloudyPad writes.
FRESH_PROGRAMS = PROGRAMS.keys() - packages.PROGRAMS.values() - cloudypad.PROGRAMS.keys()
