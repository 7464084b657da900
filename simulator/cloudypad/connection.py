"""SSH as the tool uses it: any host key is accepted, commands follow each other."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncssh

from simulator.cloudypad import world

CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Login:
    """The way to an instance's machine, from its state."""

    host: str
    name: str
    user: str
    options: Mapping[str, Any]

    @classmethod
    def of(cls, host: str, name: str, ssh: Mapping[str, Any]) -> Login:
        options: dict[str, Any] = {}
        if ssh.get("privateKeyPath"):
            options["client_keys"] = [ssh["privateKeyPath"]]
        elif ssh.get("privateKeyContentBase64"):
            key = asyncssh.import_private_key(base64.b64decode(ssh["privateKeyContentBase64"]))
            options["client_keys"] = [key]
        else:
            options |= {"client_keys": None, "password": base64.b64decode(ssh.get("passwordBase64", "")).decode()}
        return cls(host, name, ssh["user"], options)

    async def connect(self) -> asyncssh.SSHClientConnection:
        """Open a connection. Raises OSError or asyncssh.Error when the machine is not reached or refuses us."""
        return await asyncssh.connect(
            self.host,
            world.ssh_port(self.host, self.name),
            username=self.user,
            known_hosts=None,
            config=None,
            agent_path=None,
            connect_timeout=CONNECT_TIMEOUT_S,
            **self.options,
        )

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """Open a connection for a block."""
        connection = await self.connect()
        async with connection:
            yield connection


async def is_ready(login: Login) -> bool:
    """Return whether the machine lets us in and its readiness check succeeds."""
    try:
        async with login.connected() as connection:
            return (await connection.run("cloudypad-check-readiness")).exit_status == 0
    except (OSError, asyncssh.Error):
        return False
