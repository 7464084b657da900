"""The SSH server of a machine."""

from __future__ import annotations

import asyncio
import contextlib

import asyncssh

from simulator.addresses import SSH
from simulator.cancellation import undo_when_cancelled
from simulator.machines import users
from simulator.machines.command import (
    Command,
    NotSimulatedError,
    Run,
    Streams,
    login_environment,
    parse_command_line,
    report_not_simulated,
)
from simulator.machines.host import Host

SSH_REFUSED = "ssh-refused"  # a fault
HOST_KEY_FILE = "/etc/ssh/ssh_host_ed25519_key"
CLOSED_BY_SIGNAL = 129


class SshServer:
    """Listens while the machine is on and no fault refuses SSH. Each exec request is one argument list."""

    def __init__(self, host: Host, run: Run) -> None:
        self._host = host
        self._run_program = run
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._connections: set[asyncssh.SSHServerConnection] = set()

    async def open(self) -> None:
        if self._acceptor or SSH_REFUSED in self._host.faults:
            return
        self._acceptor = await undo_when_cancelled(self._listen(), _close)

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

    def apply_faults(self) -> None:
        """Close or open after a fault was set or called off."""
        self._host.in_background(self.close() if SSH_REFUSED in self._host.faults else self.open())

    def add(self, connection: asyncssh.SSHServerConnection) -> None:
        """Keep a new connection; end one that was still in the queue when the server was closed."""
        self._connections.add(connection)
        if not self._acceptor:
            asyncio.get_running_loop().call_soon(connection.abort)

    def discard(self, connection: asyncssh.SSHServerConnection) -> None:
        self._connections.discard(connection)

    async def _listen(self) -> asyncssh.SSHAcceptor:
        address = self._host.address
        return await asyncssh.listen(
            address.ip,
            address.port(SSH),
            server_factory=lambda: _Login(self, self._host),
            server_host_keys=[self._host_key()],
            process_factory=self._serve,
            encoding=None,
            reuse_address=True,
            gss_host=None,
            password_auth=False,
            kbdint_auth=False,
        )

    def _host_key(self) -> asyncssh.SSHKey:
        """Return the machine's own key, generated at its first start and kept on its disk."""
        files = self._host.root_files
        if not files.exists(HOST_KEY_FILE):
            key = asyncssh.generate_private_key("ssh-ed25519", comment=f"root@{self._host.name}")
            files.write(HOST_KEY_FILE, key.export_private_key())
            files.chmod(HOST_KEY_FILE, 0o600)
            files.write(f"{HOST_KEY_FILE}.pub", key.export_public_key())
        return asyncssh.import_private_key(files.read(HOST_KEY_FILE))

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Serve one exec request. Its program ends when the client goes away."""
        work = self._host.in_background(self._run(process))
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
        try:
            argv = parse_command_line(process.command or "")
        except NotSimulatedError as error:
            process.exit(report_not_simulated(self._host.name, streams, error))
            return
        process.exit(await self._run_program(Command(argv, user, streams, user.home, login_environment(user))))

    def _user(self, channel: asyncssh.SSHServerChannel[bytes]) -> users.User:
        user = users.find(self._host.tree, str(channel.get_extra_info("username")))
        if not user:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "the user is gone")
        return user


async def _close(acceptor: asyncssh.SSHAcceptor) -> None:
    acceptor.close()
    await acceptor.wait_closed()


async def _stop_accepting(acceptor: asyncssh.SSHAcceptor) -> None:
    """Let connections that are being accepted finish; the others wait in the queue that is dropped with the socket.

    One that is accepted while its server closes would stay open and dead (Python's issue 109564).
    """
    loop = asyncio.get_running_loop()
    for listening in acceptor.sockets:
        loop.remove_reader(listening.fileno())
    for _ in range(2):
        await asyncio.sleep(0)


class _Login(asyncssh.SSHServer):
    """Accepts the keys that are in the user's authorized_keys at this moment."""

    def __init__(self, server: SshServer, host: Host) -> None:
        self._server = server
        self._host = host
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._server.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection:
            self._server.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        if self._connection:
            self._connection.set_authorized_keys(users.authorized_keys(self._host.tree, username))
        return True
