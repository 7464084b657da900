"""A simulated machine: from outside by its address and a key, and from inside by its object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import asyncssh

from simulator.addresses import SSH, MachineAddress
from simulator.cloudypad.templates import autostop
from simulator.machines.machine import Machine
from simulator.machines.pool import MachinePark

CONFIG = """hostname = "gamer"
uuid = "6d0f4f0e-6a55-4f0b-9a3d-2f6a7c1b9e10"
config_version = 6
paired_clients = []

[[profiles]]
id = "moonlight-profile-id"
name = "Moonlight"

[[profiles.apps]]
title = "SWITCH-mario-odyssey"
[profiles.apps.runner]
type = "docker"
name = "WolfSwitch"
image = "ghcr.io/games-on-whales/pegasus:edge"
mounts = ["/mnt/games:/ROMs:ro"]
env = ["RUN_SWAY=true"]
"""


@dataclass(frozen=True, slots=True)
class Said:
    status: int
    stdout: str
    stderr: str


class Box:
    """`run` and `output` send a command over SSH; `machine`, `write` and `read` go past it."""

    def __init__(self, park: MachinePark, id: str, key: asyncssh.SSHKey, folder: Path) -> None:
        self.park = park
        self.id = id
        self.key = key
        self.root = folder / "machines" / id / "root"

    @property
    def machine(self) -> Machine:
        return self.park.machine(self.id)

    def write(self, path: str, content: str) -> None:
        """Write a file as root."""
        self.machine.root_files.write(path, content)

    def read(self, path: str) -> str:
        return self.machine.root_files.read_text(path)

    def install_long_program(self) -> str:
        """Write a program that runs for days, and return its name."""
        self.write("/usr/local/bin/autostop.sh", autostop(10**9))
        self.machine.root_files.chmod("/usr/local/bin/autostop.sh", 0o755)
        return "autostop.sh"

    @property
    def address(self) -> MachineAddress:
        return self.park.address(self.id)

    async def connect(self, user: str = "user", key: asyncssh.SSHKey | None = None) -> asyncssh.SSHClientConnection:
        return await asyncssh.connect(
            self.address.ip,
            self.address.port(SSH),
            username=user,
            client_keys=[key or self.key],
            known_hosts=None,
            config=None,
            agent_path=None,
        )

    async def run(self, command: str, given: bytes = b"", user: str = "user") -> Said:
        async with await self.connect(user) as connection:
            done = await connection.run(command, input=given, encoding=None)
        assert done.exit_status is not None
        assert isinstance(done.stdout, bytes)
        assert isinstance(done.stderr, bytes)
        return Said(done.exit_status, done.stdout.decode(), done.stderr.decode())

    async def output(self, command: str, given: bytes = b"") -> str:
        """Return what it prints; it must succeed."""
        said = await self.run(command, given)
        assert said.status == 0, said
        return said.stdout
