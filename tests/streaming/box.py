"""A machine whose programs are real but whose disk is a folder, behind a real SSH protocol.

Commands arrive as a machine gets them; `sudo` is taken off, and paths of a machine lead into the folder. Programs
that this machine must not run (docker, systemctl, ...) are answered by functions of the test.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from streaming.addresses import Address
from streaming.keys import KeyPair

Said = tuple[int, str | bytes]
Program = Callable[[list[str], bytes], Said]
ROOTS = ("/var/lib/", "/etc/", "/mnt/", "/usr/local/")


@dataclass
class Box:
    """`commands` is what was run, as users of the machine would see it."""

    root: Path
    programs: dict[str, Program] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    address: Address = field(init=False)

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def write(self, path: str, content: str | bytes) -> Path:
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    async def serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        given = await process.stdin.read()
        argv = _without_sudo(shlex.split(process.command or ""))
        self.commands.append(shlex.join(argv))
        if argv[0] in self.programs:
            status, text = self.programs[argv[0]](argv[1:], given)
            process.stdout.write(text.encode() if isinstance(text, str) else text)
            process.exit(status)
            return
        await self._run(process, argv, given)

    async def _run(self, process: asyncssh.SSHServerProcess[bytes], argv: list[str], given: bytes) -> None:
        home = self.path("/home/user")
        home.mkdir(parents=True, exist_ok=True)
        try:
            child = await asyncio.create_subprocess_exec(
                *(self._inside(word) for word in argv), stdin=-1, stdout=-1, stderr=-1, cwd=home
            )
        except FileNotFoundError:
            process.stderr.write(f"bash: {argv[0]}: command not found\n".encode())
            process.exit(127)
            return
        stdout, stderr = await child.communicate(given)
        process.stdout.write(stdout.replace(str(self.root).encode(), b""))
        process.stderr.write(stderr.replace(str(self.root).encode(), b""))
        process.exit(child.returncode or 0)

    def _inside(self, word: str) -> str:
        operand = "of=" if word.startswith("of=") else ""
        return f"{operand}{self.root}{word[len(operand) :]}" if word[len(operand) :].startswith(ROOTS) else word


def _without_sudo(argv: list[str]) -> list[str]:
    """Take off what only changes who runs a program and how, which this machine cannot do for every tester."""
    argv = argv[2:] if argv[:2] == ["sudo", "-n"] else argv
    if argv[0] == "setpriv":
        assert argv[1:4] == ["--reuid=1000", "--regid=1000", "--clear-groups"]
        argv = argv[4:]
    argv = argv[3:] if argv[:2] == ["env", "-C"] else argv
    return argv[2:] if argv[:2] == ["env", "LC_ALL=C"] else argv


@asynccontextmanager
async def running_box(root: Path, key: KeyPair) -> AsyncIterator[Box]:
    box = Box(root)
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        authorized_client_keys=asyncssh.import_authorized_keys(key.public_key),
        process_factory=box.serve,
        encoding=None,
    )
    async with server:
        box.address = Address("127.0.0.1", server.get_port(), "user", None, 47984, 47989, 48010)
        yield box
