"""A machine whose OpenSSH, shell, sudo and coreutils are this system's own, in a mount namespace of its own.

The account that is logged in to, what sudo lets it do, /home, /run and /var/lib exist in that namespace alone; /var/lib
is a folder of the test, which sees what is done there. It needs root on Linux.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from embedded.ports import free_port
from streaming.addresses import Address
from tests.servers import await_port

PROGRAMS = ("sshd", "sudo", "unshare", "setpriv", "ssh-keygen")
LOGIN = "gamer-login"
LOGIN_ID = 1001
SET_UP = """\
set -e
cd "$1"
mount --bind passwd /etc/passwd
mount --bind shadow /etc/shadow
mount --bind group /etc/group
mount --bind sudoers /etc/sudoers
mount -t tmpfs tmpfs /home
mount -t tmpfs -o mode=755 tmpfs /run
mount --bind var-lib /var/lib
cp authorized_keys /run/authorized_keys
chmod 0644 /run/authorized_keys
mkdir -p /run/sshd /home/{login}
chown {uid}:{uid} /home/{login}
chmod 0750 /home/{login}
exec "$2" -D -e -f "$1/sshd_config" 2>"$1/log"
"""


@dataclass(frozen=True)
class RealMachine:
    """`user` is LOGIN, whose home is closed to everybody else, or root."""

    folder: Path
    port: int

    def address(self, user: str) -> Address:
        return Address("127.0.0.1", self.port, user, None, 47984, 47989, 48010)

    def path(self, path: str) -> Path:
        """Where the test sees a path of the machine below /var/lib."""
        return self.folder / "var-lib" / path.removeprefix("/var/lib/")


@contextmanager
def running_real_machine(folder: Path, authorized_key: str) -> Iterator[RealMachine]:
    _skip_where_it_cannot_run()
    folder.mkdir(parents=True)
    machine = RealMachine(folder, free_port())
    _write_files(machine, authorized_key)
    script = SET_UP.format(login=LOGIN, uid=LOGIN_ID)
    sshd = shutil.which("sshd") or ""
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(folder), sshd]
    with subprocess.Popen(command) as process:
        try:
            await_port(machine.port, process)
            yield machine
        finally:
            process.terminate()


def _skip_where_it_cannot_run() -> None:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} missing: apt-get install openssh-server openssh-client sudo util-linux")
    if os.geteuid() != 0:
        pytest.skip("only root can give a machine accounts and folders of its own: run the tests as root")
    probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"mount namespaces cannot be made here: {probe.stderr.decode().strip()}")


def _write_files(machine: RealMachine, authorized_key: str) -> None:
    folder = machine.folder
    (folder / "var-lib").mkdir()
    account = f"{LOGIN}:x:{LOGIN_ID}:{LOGIN_ID}::/home/{LOGIN}:/bin/bash\n"
    # No account has the number that games run as, as on a machine whose only user is another one.
    kept = [line for line in Path("/etc/passwd").read_text().splitlines(True) if line.split(":")[2] != "1000"]
    (folder / "passwd").write_text("".join(kept) + account)
    (folder / "shadow").write_text(f"root:*:19000:0:99999:7:::\n{LOGIN}:*:19000:0:99999:7:::\n")
    (folder / "group").write_text(Path("/etc/group").read_text() + f"{LOGIN}:x:{LOGIN_ID}:\n")
    (folder / "sudoers").write_text(f"Defaults env_reset\nroot ALL=(ALL) ALL\n{LOGIN} ALL=(ALL) NOPASSWD: ALL\n")
    (folder / "sudoers").chmod(0o440)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host_key"], check=True)
    (folder / "authorized_keys").write_text(f"{authorized_key}\n")
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{machine.port}\nHostKey {folder}/host_key\nPidFile none\n"
        f"AuthorizedKeysFile /run/authorized_keys\nStrictModes no\nUsePAM no\n"
        "PermitRootLogin yes\nPasswordAuthentication no\n"
    )
