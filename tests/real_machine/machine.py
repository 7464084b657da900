"""One real machine: systemd as process 1 of a container, with an address of its own on the loopback interface.

The disk is an overlay over the built one, mounted in a mount namespace that ends with the machine. Everything runs in
a PID namespace whose first process is killed by the kernel when the process that asked for the machine dies, so that
a killed test run leaves no process and no mount behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

SSH_PORT: Final = 22
_BOOT_S: Final = 90
_MOUNT_AND_BOOT: Final = """
mount --types tmpfs tmpfs /run
mount --types overlay overlay --options "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_LOCK=0
exec systemd-nspawn --quiet --directory "$2/root" --machine "$3" --register=no --keep-unit --capability=all \
  --bind=/dev/fuse --system-call-filter="bpf keyctl add_key request_key @keyring" --console=pipe --boot
"""


@dataclass
class RealMachine:
    """`folder` holds what the machine changes on its disk; it survives a power-off, as a disk does."""

    name: str
    ip: str
    folder: Path
    disk: Path
    ports: Mapping[int, int] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def make(self, user: str, authorized_keys: Sequence[str], cloud_init: Mapping[str, Any] | None) -> None:
        """Prepare the disk as a cloud does: the key of the order, and the user-data for the first boot."""
        for part in ("upper", "work", "root"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        self._write("etc/hostname", f"{self.name[:60]}\n")
        self._write("etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {self.name[:60]}\n")
        self._write("etc/ssh/sshd_config.d/10-address.conf", f"ListenAddress {self.ip}:{SSH_PORT}\n")
        self._write(f"home/{user}/.ssh/authorized_keys", "\n".join([*authorized_keys, ""]), owner=1000, mode=0o600)
        seed = "var/lib/cloud/seed/nocloud"
        # YAML reads JSON, so the mapping arrives unchanged.
        self._write(f"{seed}/user-data", f"#cloud-config\n{json.dumps(dict(cloud_init or {}))}\n")
        self._write(f"{seed}/meta-data", f"instance-id: {self.name}\n")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def power_on(self) -> None:
        """Boot, and return when SSH answers. Raises TimeoutError with the end of the console otherwise."""
        if self.running:
            return
        argv = [
            *("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"),
            *("--pid", "--fork", "--kill-child=KILL", "--mount-proc", "sh", "-euc", _MOUNT_AND_BOOT, "sh"),
            *(str(self.disk), str(self.folder), self.name[:60]),
        ]
        self._start(argv)
        try:
            async with asyncio.timeout(_BOOT_S):
                await self._answers()
        except TimeoutError as error:
            raise TimeoutError(f"the machine does not respond: {self.console()[-2000:]}") from error

    def _start(self, argv: Sequence[str]) -> None:
        """Start in the main thread: the kernel ties the machine's life to the thread that asked for it."""
        with (self.folder / "console.log").open("ab") as console:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=console, stderr=console)

    async def power_off(self) -> None:
        """End at once, like a power cut."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            self._process = None

    async def wait_until_off(self, within_s: float = 60) -> None:
        """Wait for a machine that switches itself off."""
        assert self._process is not None
        await asyncio.to_thread(self._process.wait, within_s)
        self._process = None

    async def discard(self) -> None:
        await self.power_off()
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    def console(self) -> str:
        file = self.folder / "console.log"
        return file.read_text(errors="replace") if file.exists() else ""

    async def _answers(self) -> None:
        while True:
            assert self.running, f"the machine ended: {self.console()[-2000:]}"
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(self.ip, SSH_PORT)
                try:
                    if (await reader.read(4)) == b"SSH-":
                        return
                finally:
                    writer.close()
            await asyncio.sleep(0.1)

    def _write(self, path: str, text: str, *, owner: int = 0, mode: int = 0o644) -> None:
        file = self.folder / "upper" / path
        missing = [folder for folder in file.parents if not folder.exists()]
        file.parent.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            original = self.disk / folder.relative_to(self.folder / "upper")
            if original.exists():
                stat = original.stat()
                folder.chmod(stat.st_mode & 0o7777)
                shutil.chown(folder, stat.st_uid, stat.st_gid)
            else:
                folder.chmod(0o700 if owner else 0o755)
                shutil.chown(folder, owner, owner)
        file.write_text(text)
        file.chmod(mode)
        shutil.chown(file, owner, owner)


@dataclass(frozen=True, slots=True)
class Ran:
    status: int
    stdout: str
    stderr: str


async def run_on(machine: RealMachine, key: Path, *argv: str, user: str = "user", stdin: bytes = b"") -> Ran:
    """Run a command through OpenSSH's own client, as an administrator would."""
    process = await asyncio.create_subprocess_exec(
        *("ssh", "-i", str(key), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"),
        *("-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", f"{user}@{machine.ip}", shlex.join(argv)),
        stdin=-1,
        stdout=-1,
        stderr=-1,
    )
    stdout, stderr = await process.communicate(stdin)
    return Ran(process.returncode or 0, stdout.decode(errors="replace"), stderr.decode(errors="replace"))
