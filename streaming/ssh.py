"""SSH to machines: one pinned host key, one key of ours, argument lists, and a time limit on everything.

Nothing of this host is used: no agent, no configuration file, no known_hosts, no password.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import hashlib
import os
import shlex
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import asyncssh

from errors import ProviderBusyError, ProviderRefusedError
from providers.redaction import clean_line
from streaming.addresses import Address
from streaming.keys import KeyPair
from tracing import spans

_HOST_KEY_ALGORITHMS: Final = (
    "ssh-ed25519",
    *("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("rsa-sha2-512", "rsa-sha2-256"),
)
_NAMELESS: Final = "gamer"
_OUTPUT_LIMIT_BYTES: Final = 4 * 1024 * 1024
_CHUNK_BYTES: Final = 256 * 1024
ANY_STATUS: Final = range(256)  # for commands that may fail because there is another way
_OK: Final = (0,)
_PLAIN_WORDS: Final = ("env", "LC_ALL=C")  # English output, regardless of the machine's language
_TARS_LAST_WORDS: Final = ("due to previous errors", "exiting now")
_SLOWEST_BYTES_PER_S: Final = 256 * 1024
_USER_FLAGS: Final = ("--clear-groups", "env", "-C", "/")


@dataclass(frozen=True, slots=True)
class Answer:
    """Output and exit status of a command."""

    exit_status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace").strip()

    @property
    def complaint(self) -> str:
        """Return the last informative line of output, safe to show."""
        lines = (self.stderr or self.stdout).decode(errors="replace").strip().splitlines()
        telling = [line for line in lines if not line.endswith(_TARS_LAST_WORDS)] or lines
        return clean_line(telling[-1]) if telling else "no output"


class CommandFailedError(ProviderBusyError):
    """A command on the machine ended with an unexpected status."""

    def __init__(self, program: str, answer: Answer) -> None:
        super().__init__(f"{program} failed on the machine with status {answer.exit_status}: {answer.complaint}")
        self.answer = answer


class Shell:
    """One open connection. Commands are argument lists; nothing is pasted into a command line."""

    def __init__(self, connection: asyncssh.SSHClientConnection, user: str) -> None:
        self._connection = connection
        self._sudo = () if user == "root" else ("sudo", "-n")

    @property
    def host_key(self) -> str:
        """Return the machine's host key as OpenSSH public key text."""
        key = self._connection.get_server_host_key()
        if key is None:
            raise ProviderBusyError("the SSH connection has ended")
        return " ".join(key.export_public_key().decode().split()[:2])

    async def run(
        self,
        *argv: str,
        input: bytes | None = None,
        timeout_s: float = 60,
        expected: Collection[int] = _OK,
        limit_bytes: int = _OUTPUT_LIMIT_BYTES,
        each_line: Callable[[str], None] | None = None,
    ) -> Answer:
        """Run one program to its end.

        Raises CommandFailedError for a status that is not `expected`; callers that expect others than 0 must know what
        each of them proves. `each_line` is called with every line of standard output as it arrives.
        """
        program = _program(argv)
        described = {"process.executable.name": program}
        with _translate_errors(f"{program} on the machine"), spans.call(f"SSH {program}", described) as span:
            async with asyncio.timeout(timeout_s):
                answer = await self._execute(_command_line(argv), input, limit_bytes, each_line)
            span.note("process.exit.code", answer.exit_status)
        if answer.exit_status not in expected:
            raise CommandFailedError(program, answer)
        return answer

    async def sudo(
        self,
        *argv: str,
        input: bytes | None = None,
        timeout_s: float = 60,
        expected: Collection[int] = _OK,
        limit_bytes: int = _OUTPUT_LIMIT_BYTES,
        each_line: Callable[[str], None] | None = None,
    ) -> Answer:
        """Run a program as root.

        Never prompts for a password. sudo's own failures have status 1, so an expected 1 proves nothing until the
        output was checked.
        """
        return await self.run(
            *(*self._sudo, *argv),
            input=input,
            timeout_s=timeout_s,
            expected=expected,
            limit_bytes=limit_bytes,
            each_line=each_line,
        )

    async def run_as_user(
        self,
        user_id: int,
        *argv: str,
        input: bytes | None = None,
        timeout_s: float = 60,
        expected: Collection[int] = _OK,
        limit_bytes: int = _OUTPUT_LIMIT_BYTES,
    ) -> Answer:
        """Run a program as the user and group with this number, which need not have an account.

        It runs in a folder that is open to all users, because the login user's home folder may be closed to it.
        """
        become = ("setpriv", f"--reuid={user_id}", f"--regid={user_id}", *_USER_FLAGS)
        return await self.sudo(
            *become, *argv, input=input, timeout_s=timeout_s, expected=expected, limit_bytes=limit_bytes
        )

    async def write_file(self, path: str, content: bytes, mode: int, *, in_place: bool = False) -> None:
        """Write a file as root, completely or not at all, and never readable beyond `mode`.

        `in_place` keeps the inode, for a file that a container has mounted by itself. A failure removes the draft.
        """
        draft = f"{path}.new"
        try:
            await self._write_draft(draft, content, mode)
            if in_place:
                await self.sudo("cp", draft, path)
                await self.sudo("rm", "-f", draft)
            else:
                await self.sudo("mv", "-f", draft, path)
        except ProviderBusyError:
            with contextlib.suppress(ProviderBusyError):  # the first failure is reported
                await self.sudo("rm", "-f", draft)
            raise

    async def _write_draft(self, draft: str, content: bytes, mode: int) -> None:
        await self.sudo("install", "-m", f"{mode:04o}", "/dev/null", draft)
        timeout_s = 60 + len(content) / _SLOWEST_BYTES_PER_S
        await self.sudo("dd", f"of={draft}", "bs=64K", "status=none", input=content, timeout_s=timeout_s)
        arrived = (await self.sudo("sha256sum", draft, timeout_s=timeout_s)).text.split(" ")[0]
        if arrived.lstrip("\\") != hashlib.sha256(content).hexdigest():
            raise ProviderBusyError("a file did not arrive completely on the machine")

    async def read_file(self, path: str, limit_bytes: int = _OUTPUT_LIMIT_BYTES) -> bytes | None:
        """Return a file's content, read as root; None if `cat` itself states that there is no such file."""
        answer = await self.sudo(*_PLAIN_WORDS, "cat", path, expected=(0, 1), limit_bytes=limit_bytes)
        if answer.exit_status == 0:
            return answer.stdout
        if _says_missing(answer, path):
            return None
        raise CommandFailedError("cat", answer)

    async def _execute(
        self,
        command: bytes,
        input: bytes | None,
        limit_bytes: int,
        each_line: Callable[[str], None] | None,
    ) -> Answer:
        process = await self._connection.create_process(command, encoding=None)
        try:
            _, stdout, stderr = await asyncio.gather(
                _feed(process.stdin, input),
                _collect(process.stdout, limit_bytes, each_line),
                _collect(process.stderr, limit_bytes),
            )
            await process.wait_closed()
        finally:
            process.close()
        if process.exit_status is None:
            raise ProviderBusyError("the SSH connection ended in the middle of a command")
        return Answer(process.exit_status, stdout, stderr)


class Ssh:
    """Opens connections with our key."""

    def __init__(self, key: KeyPair, *, connect_timeout_s: float = 20, keepalive_s: float = 15) -> None:
        _ensure_user_name()
        self._key = key
        self._connect_timeout_s = connect_timeout_s
        self._keepalive_s = keepalive_s

    @property
    def key(self) -> KeyPair:
        return self._key

    @contextlib.asynccontextmanager
    async def shell(self, address: Address) -> AsyncIterator[Shell]:
        """Open a connection for the length of the block.

        An address without a host key accepts the key that the machine offers; the caller reads it from `Shell.host_key`
        and pins it. An address with one accepts no other and raises ProviderRefusedError, which repeating does not
        resolve. A machine that is unreachable or rejects our key raises ProviderBusyError, because cloud-init opens the
        SSH port before it has written authorized_keys.
        """
        connection = await self._connect(address)
        try:
            yield Shell(connection, address.ssh_user)
        finally:
            connection.abort()
            await connection.wait_closed()

    async def _connect(self, address: Address) -> asyncssh.SSHClientConnection:
        pinned = _pinned(address)
        with _translate_errors(f"SSH to {address.host}"), spans.call("SSH connect", {}):
            async with asyncio.timeout(self._connect_timeout_s):
                return await asyncssh.connect(
                    address.host,
                    address.ssh_port,
                    username=address.ssh_user,
                    client_factory=_Pinning if pinned else _Learning,
                    known_hosts=([pinned] if pinned else [], [], []),
                    server_host_key_algs=_HOST_KEY_ALGORITHMS,
                    client_keys=[self._key.private_key],
                    preferred_auth="publickey",
                    config=None,
                    agent_path=None,
                    x509_trusted_certs=None,
                    gss_auth=False,
                    gss_kex=False,
                    password_auth=False,
                    kbdint_auth=False,
                    host_based_auth=False,
                    login_timeout=self._connect_timeout_s,
                    keepalive_interval=self._keepalive_s,
                )


def _ensure_user_name() -> None:
    """Set a user name for this process if its user has no account, as in containers.

    asyncssh requires one, but it is not used here.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = _NAMELESS


class _Pinning(asyncssh.SSHClient):
    """Accepts only the pinned key."""


class _Learning(asyncssh.SSHClient):
    """Accepts the key that the server offers, at the first contact."""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        return True


def _pinned(address: Address) -> asyncssh.SSHKey | None:
    if address.ssh_host_key is None:
        return None
    try:
        return asyncssh.import_public_key(address.ssh_host_key)
    except asyncssh.KeyImportError as error:
        raise ProviderRefusedError(f"the host key pinned for {address.host} cannot be read") from error


@contextlib.contextmanager
def _translate_errors(what: str) -> Iterator[None]:
    try:
        yield
    except asyncssh.HostKeyNotVerifiable as error:
        raise ProviderRefusedError(f"{what}: the machine's host key differs from the pinned one") from error
    except asyncssh.KeyExchangeFailed as error:
        raise ProviderRefusedError(f"{what}: the machine offers no host key of a supported kind") from error
    except asyncssh.PermissionDenied as error:
        raise ProviderBusyError(f"{what}: the machine does not accept our key (yet)") from error
    except TimeoutError as error:
        raise ProviderBusyError(f"{what}: no response in time") from error
    except (asyncssh.Error, OSError) as error:
        raise ProviderBusyError(f"{what}: {clean_line(str(error)) or type(error).__name__}") from error


def _command_line(argv: Sequence[str]) -> bytes:
    """Join the arguments to the line that OpenSSH passes to the user's shell.

    File names are bytes: those that are not UTF-8 are kept as surrogates.
    """
    return shlex.join(argv).encode(errors="surrogateescape")


def _program(argv: Sequence[str]) -> str:
    """Return the program, without the words that only change its user and environment."""
    words = list(argv)
    for prefix, length in ((("sudo",), 2), (("setpriv",), 3 + len(_USER_FLAGS)), (_PLAIN_WORDS, len(_PLAIN_WORDS))):
        if tuple(words[: len(prefix)]) == prefix:
            words = words[length:]
    return words[0]


def _says_missing(answer: Answer, path: str) -> bool:
    """Return whether `cat` itself reports a missing file; sudo and shells report missing programs alike."""
    said = answer.stderr.decode(errors="replace").strip()
    return said in {f"cat: {shown}: No such file or directory" for shown in (path, f"'{path}'", f'"{path}"')}


async def _feed(stdin: asyncssh.SSHWriter[bytes], content: bytes | None) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a program may end before it has read everything
        for start in range(0, len(content or b""), _CHUNK_BYTES):
            stdin.write((content or b"")[start : start + _CHUNK_BYTES])
            await stdin.drain()
        stdin.write_eof()


async def _collect(
    reader: asyncssh.SSHReader[bytes], limit_bytes: int, each_line: Callable[[str], None] | None = None
) -> bytes:
    chunks: list[bytes] = []
    size, unfinished = 0, b""
    while chunk := await reader.read(_CHUNK_BYTES):
        size += len(chunk)
        if size > limit_bytes:
            raise ProviderBusyError(f"the machine sent more than {limit_bytes} bytes")
        chunks.append(chunk)
        if each_line is not None:
            *lines, unfinished = (unfinished + chunk).split(b"\n")
            for line in lines:
                each_line(line.decode(errors="replace"))
    return b"".join(chunks)
