"""Gateway and worker as their images run them: a user that this machine does not know, with the images' environment.

Needs root on Linux, to become that user and to give it the images' account in a mount namespace of its own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from shlex import quote

import pytest

from embedded.ports import free_port
from streaming.keys import ensure_key_pair
from tests.e2e.service import ROOT, SERVER, Deployment, Gateway, Process, deployment
from tests.images import image_of

UID = "65532"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
ONLY_WORKERS = ("CLOUDYPAD_COMMAND", "CLOUDYPAD_CONFIG_PATH", "SSH_KEY_PATH", "GCS_LIBRARY_KEY_FILE")
CONNECT = """
import asyncio, sys
from pathlib import Path
from streaming.addresses import Address
from streaming.keys import ensure_key_pair
from streaming.ssh import Ssh

async def main():
    address = Address("127.0.0.1", int(sys.argv[1]), "root", None, 1, 2, 3)
    async with Ssh(ensure_key_pair(Path(sys.argv[2]))).shell(address) as shell:
        print((await shell.run("id", "-un")).text)

asyncio.run(main())
"""


def needed() -> str | None:
    """What this machine lacks; None when nothing."""
    if os.geteuid() != 0 or sys.platform != "linux":
        return "needs root on Linux: sudo make test TESTS=tests/e2e/test_bare_uid.py"
    if not shutil.which("setpriv") or not shutil.which("unshare"):
        return "needs setpriv and unshare: apt-get install util-linux"
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode != 0:
        return "needs a mount namespace: run it where `unshare --mount true` works"
    return None


pytestmark = pytest.mark.skipif(needed() is not None, reason=needed() or "")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the user can enter; pytest's own are closed to others."""
    made = Path(tempfile.mkdtemp(prefix="bare-uid-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def as_in_image(stage: str, folder: Path, argv: list[str], environment: dict[str, str]) -> list[str]:
    """The command line that runs `argv` as the image's user, with its account and environment and nothing else."""
    image = image_of(stage)
    passwd = folder / f"passwd-{stage}"
    known = Path("/etc/passwd").read_text()
    assert f":{UID}:" not in known, "this machine knows the user of the images"
    passwd.write_text(known + image.account)
    passwd.chmod(0o644)
    variables = {"PATH": PATH, **image.environment, "ENVIRONMENT": "development", **environment}
    user = ["setpriv", "--reuid", UID, "--regid", UID, "--clear-groups"]
    prepare = [f"mount --bind {quote(str(passwd))} /etc/passwd", *opened(folder), 'exec "$@"']
    isolated = ["unshare", "--mount", "sh", "-c", " && ".join(prepare), "sh"]
    return [*isolated, *user, "env", "-i", *(f"{name}={value}" for name, value in variables.items()), *argv]


def opened(folder: Path) -> list[str]:
    """Shell commands that open the way to Python and to the project where a folder above them is closed to others."""
    wanted = {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), ROOT}
    closed = [above for each in wanted for above in each.parents if not above.stat().st_mode & 0o001]
    if not closed:
        return []
    top = min(closed, key=lambda path: len(path.parts))
    commands, back = [], []
    for number, path in enumerate(sorted(each for each in wanted if each.is_relative_to(top))):
        aside = folder / f"aside-{number}"
        aside.mkdir(exist_ok=True)
        commands.append(f"mount --bind {quote(str(path))} {quote(str(aside))}")
        back += [f"mkdir -p {quote(str(path))}", f"mount --bind {quote(str(aside))} {quote(str(path))}"]
    return [*commands, f"mount -t tmpfs -o mode=0755 none {quote(str(top))}", *back]


def start(deployed: Deployment, stage: str, **more: str) -> Process:
    """One process of this role. It has a folder of its own to write to, as /tmp is in its image."""
    data = deployed.folder / f"data-{stage}"
    data.mkdir()
    os.chown(data, int(UID), int(UID))
    given = {**deployed.environment, "DATA_DIR": str(data), **more}
    if stage == "gateway":
        given = {name: value for name, value in given.items() if name not in ONLY_WORKERS}
    argv = as_in_image(stage, deployed.folder, [sys.executable, str(SERVER), "--role", stage], given)
    log = deployed.folder / f"{stage}.log"
    with log.open("wb") as file:
        popen = subprocess.Popen(argv, cwd=data, env={"PATH": PATH}, stdout=file, stderr=subprocess.STDOUT)
    process = Process(popen, log)
    deployed.processes.append(process)
    return process


@pytest.fixture
async def deployed(folder: Path, mongodb_uri: str, temporal_address: str) -> AsyncIterator[Deployment]:
    async with deployment(folder, mongodb_uri, temporal_address) as deployed:
        let_in(folder)
        yield deployed


def let_in(folder: Path) -> None:
    """Open what the simulator made to the images' user."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o044))


async def test_a_launch_reaches_ready_with_both_images_users(deployed: Deployment) -> None:
    port = free_port()
    gateway = Gateway(
        f"http://127.0.0.1:{port}", deployed.http, start(deployed, "gateway", PORT=str(port), HOST="127.0.0.1")
    )
    await gateway.until_up()
    worker = start(deployed, "worker", HOST="127.0.0.1")

    events = await gateway.until_over(await gateway.launch())

    assert events[-1]["status"] == "READY", worker.log.read_text()
    providers = (await gateway.data("Providers"))["providers"]
    assert {provider["name"]: provider["healthy"] for provider in providers} == {"TENSORDOCK": True, "CLOUDYPAD": True}
    assert not list((deployed.folder / "data-gateway").rglob("id_ed25519"))


@pytest.mark.skipif(SSHD is None, reason="needs a real sshd: apt-get install openssh-server")
@pytest.mark.parametrize("stage", ["worker"])
async def test_both_ssh_clients_reach_a_real_sshd_as_the_images_user(folder: Path, stage: str) -> None:
    key = ensure_key_pair(folder / "id_ed25519")
    os.chown(key.path, int(UID), int(UID))
    port = free_port()
    with sshd(folder, port, key.public_key):
        ours = [sys.executable, "-c", CONNECT, str(port), str(key.path)]
        options = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
        theirs = ["ssh", *(f"-o{option}" for option in options), "-i", str(key.path), "-p", str(port)]

        said = [
            await asyncio.to_thread(_output, as_in_image(stage, folder, argv, {"PYTHONPATH": str(ROOT)}))
            for argv in (ours, [*theirs, "root@127.0.0.1", "id", "-un"])
        ]

    assert said == ["root\n", "root\n"]


class sshd:  # noqa: N801 - used as a context
    """Debian's OpenSSH server on loopback, which lets one key in as root."""

    def __init__(self, folder: Path, port: int, public_key: str) -> None:
        (folder / "authorized_keys").write_text(public_key + "\n")
        host_key = ensure_key_pair(folder / "host_key")
        Path("/run/sshd").mkdir(exist_ok=True)
        options = (
            *(f"Port={port}", "ListenAddress=127.0.0.1", f"HostKey={host_key.path}", "PidFile=none", "UsePAM=no"),
            *(f"AuthorizedKeysFile={folder}/authorized_keys", "StrictModes=no", "PermitRootLogin=prohibit-password"),
        )
        assert SSHD is not None
        self._command = [SSHD, "-D", "-e", "-f", "/dev/null", *(f"-o{option}" for option in options)]
        self._port = port
        self._log = folder / "sshd.log"

    def __enter__(self) -> None:
        with self._log.open("wb") as log:
            self._server = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        for _ in range(200):
            if b"Server listening" in self._log.read_bytes():
                return
            assert self._server.poll() is None, self._log.read_text()
            signal.sigtimedwait([], 0.05)
        raise AssertionError(self._log.read_text())

    def __exit__(self, *_: object) -> None:
        self._server.terminate()
        self._server.wait(10)


def _output(argv: list[str]) -> str:
    done = subprocess.run(argv, env={"PATH": PATH}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
