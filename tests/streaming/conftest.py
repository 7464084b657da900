"""Real and faulty SSH servers on loopback."""

from __future__ import annotations

import getpass
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from embedded.ports import free_port
from streaming.addresses import Address
from streaming.keys import KeyPair, ensure_key_pair
from streaming.ssh import Ssh
from tests.servers import await_port

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@dataclass(frozen=True)
class Sshd:
    """An OpenSSH server that lets the given key in as the user who runs the tests."""

    port: int
    folder: Path

    def address(self, host_key: str | None = None) -> Address:
        return Address("127.0.0.1", self.port, getpass.getuser(), host_key, 47984, 47989, 48010)


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return ensure_key_pair(tmp_path_factory.mktemp("keys") / "id_ed25519")


@pytest.fixture
def ssh(key: KeyPair) -> Ssh:
    return Ssh(key, connect_timeout_s=5)


@pytest.fixture
def sshd(tmp_path: Path, key: KeyPair) -> Iterator[Sshd]:
    yield from running_sshd(tmp_path / "sshd", key.public_key)


def running_sshd(folder: Path, authorized_key: str) -> Iterator[Sshd]:
    """sshd from its start to its end, with a host key of its own in `folder`."""
    if not Path(SSHD).exists():
        pytest.skip("OpenSSH's server is missing: apt-get install openssh-server")
    folder.mkdir(parents=True)
    server = Sshd(free_port(), folder)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host_key"], check=True)
    (folder / "authorized_keys").write_text(f"{authorized_key}\n")
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{server.port}\n"
        f"HostKey {folder}/host_key\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\n"
        f"PidFile {folder}/pid\n"
        "PermitRootLogin yes\nPasswordAuthentication no\nStrictModes no\nUsePAM no\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)  # its folder for separating privileges; only root needs and makes it
    command = [SSHD, "-D", "-f", str(folder / "sshd_config"), "-E", str(folder / "log")]
    with subprocess.Popen(command) as process:
        try:
            await_port(server.port, process)
            yield server
        finally:
            process.terminate()
