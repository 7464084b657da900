"""The SSH server of a machine."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import asyncssh

from simulator.machines import users
from simulator.machines.addresses import SSH
from simulator.machines.faults import SSH_REFUSED
from simulator.machines.programs.call import User
from simulator.machines.sftp import TreeSftp
from simulator.machines.shell.streams import Streams
from simulator.machines.uncut import uncut

if TYPE_CHECKING:
    from simulator.machines.machine import Machine

HOST_KEY_FILE = "/etc/ssh/ssh_host_ed25519_key"
CLOSED_BY_SIGNAL = 129


class Door:
    """Open while the machine is on and nothing refuses SSH."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._connections: set[asyncssh.SSHServerConnection] = set()

    async def open(self) -> None:
        if self._acceptor or SSH_REFUSED in self._machine.faults:
            return
        self._acceptor = await uncut(self._listen(), _close)

    async def close(self) -> None:
        acceptor, self._acceptor = self._acceptor, None
        if acceptor:
            await _stop_accepting(acceptor)
            acceptor.close()
        connections = list(self._connections)
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.wait_closed()
        if acceptor:
            await acceptor.wait_closed()

    def reconsider(self) -> None:
        """A fault was set or called off."""
        self._machine.in_background(self.close() if SSH_REFUSED in self._machine.faults else self.open())

    def came(self, connection: asyncssh.SSHServerConnection) -> None:
        """One that was still in the queue when the door was closed is sent away."""
        self._connections.add(connection)
        if not self._acceptor:
            asyncio.get_running_loop().call_soon(connection.abort)

    def went(self, connection: asyncssh.SSHServerConnection) -> None:
        self._connections.discard(connection)

    async def _listen(self) -> asyncssh.SSHAcceptor:
        address = self._machine.address
        return await asyncssh.listen(
            address.ip,
            address.port(SSH),
            server_factory=self._server,
            server_host_keys=[self._host_key()],
            process_factory=self._serve,
            sftp_factory=self._sftp,
            allow_scp=True,
            encoding=None,
            reuse_address=True,
            gss_host=None,
            password_auth=False,
            kbdint_auth=False,
        )

    def _server(self) -> asyncssh.SSHServer:
        return _Login(self, self._machine)

    def _host_key(self) -> asyncssh.SSHKey:
        """Of the machine alone, made at its first start and kept on its disk."""
        files = self._machine.root_files
        if not files.exists(HOST_KEY_FILE):
            key = asyncssh.generate_private_key("ssh-ed25519", comment=f"root@{self._machine.name}")
            files.write(HOST_KEY_FILE, key.export_private_key())
            files.chmod(HOST_KEY_FILE, 0o600)
            files.write(f"{HOST_KEY_FILE}.pub", key.export_public_key())
        return asyncssh.import_private_key(files.read(HOST_KEY_FILE))

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """One exec request; its work ends when the client goes away."""
        work = self._machine.in_background(self._run(process))
        gone = asyncio.create_task(process.channel.wait_closed())
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            work.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
            with contextlib.suppress(OSError):
                process.exit(CLOSED_BY_SIGNAL)

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        user = self._user(process.channel)
        streams = Streams(process.stdin, process.stdout, process.stderr)
        command = process.command
        if command is None:
            command = (await process.stdin.read()).decode(errors="replace")
        status = await self._machine.shell(user).run_text(command, streams)
        process.exit(status)

    def _sftp(self, channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        return TreeSftp(channel, self._machine.tree, self._user(channel))

    def _user(self, channel: asyncssh.SSHServerChannel[bytes]) -> User:
        user = users.find(self._machine.tree, str(channel.get_extra_info("username")))
        if not user:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "the user is gone")
        return user


async def _close(acceptor: asyncssh.SSHAcceptor) -> None:
    acceptor.close()
    await acceptor.wait_closed()


async def _stop_accepting(acceptor: asyncssh.SSHAcceptor) -> None:
    """A connection that is just being accepted when its server closes would stay open and dead (Python's issue 109564):
    let those that have begun finish first, and the others wait in the queue that is dropped with the socket."""
    loop = asyncio.get_running_loop()
    for listening in acceptor.sockets:
        loop.remove_reader(listening.fileno())
    for _ in range(2):
        await asyncio.sleep(0)


class _Login(asyncssh.SSHServer):
    """Lets in who has a key in the user's authorized_keys at this moment."""

    def __init__(self, door: Door, machine: Machine) -> None:
        self._door = door
        self._machine = machine
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._door.came(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection:
            self._door.went(self._connection)

    def begin_auth(self, username: str) -> bool:
        if self._connection:
            self._connection.set_authorized_keys(users.authorized_keys(self._machine.tree, username))
        return True
