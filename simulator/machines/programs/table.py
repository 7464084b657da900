"""Every program that a simulated machine can run, by its name."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.machines.programs import (
    apt,
    archive,
    basic,
    become,
    conditions,
    disk,
    docker,
    find,
    firewall,
    hardware,
    look,
    mounting,
    network,
    power,
    rclone,
    services,
    text,
    transient,
)
from simulator.machines.programs.call import Program

_FAMILIES = (
    *(apt, archive, basic, become, conditions, disk, docker, find, firewall, hardware),
    *(look, mounting, network, power, rclone, services, text, transient),
)
PROGRAMS: Mapping[str, Program] = {name: program for family in _FAMILIES for name, program in family.PROGRAMS.items()}
