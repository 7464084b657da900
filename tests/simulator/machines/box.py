"""A machine as somebody sees it who has nothing but its address and a key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import asyncssh

from simulator.machines.addresses import SSH
from simulator.machines.pool import MachineAddress, MachinePark


@dataclass(frozen=True, slots=True)
class Said:
    status: int
    stdout: str
    stderr: str


class Box:
    """A machine as somebody sees it who has nothing but its address and a key."""

    def __init__(self, park: MachinePark, id: str, key: asyncssh.SSHKey, folder: Path) -> None:
        self.park = park
        self.id = id
        self.key = key
        self.root = folder / "machines" / id / "root"

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
        """What it prints; it must succeed."""
        said = await self.run(command, given)
        assert said.status == 0, said
        return said.stdout
