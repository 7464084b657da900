"""Gateway and worker as their images run them: a user that this machine does not know, with the images' environment.

Needs root on Linux, to become that user and to give it the images' account in a mount namespace of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from shlex import quote

import pytest
from aiohttp import web

from embedded.ports import free_port
from streaming.keys import KeyPair, ensure_key_pair
from tests.e2e.service import ROOT, SERVER, Deployment, Gateway, Process, deployment
from tests.images import image_of

UID = "65532"
_HOP_BY_HOP = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})
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
    passwd = accounts(folder / f"passwd-{stage}", image.account)
    variables = {"PATH": PATH, **image.environment, "ENVIRONMENT": "development", **environment}
    user = ["setpriv", "--reuid", UID, "--regid", UID, "--clear-groups"]
    prepare = [f"mount --bind {quote(str(passwd))} /etc/passwd", *opened(folder), 'exec "$@"']
    isolated = ["unshare", "--mount", "sh", "-c", " && ".join(prepare), "sh"]
    return [*isolated, *user, "env", "-i", *(f"{name}={value}" for name, value in variables.items()), *argv]


def accounts(path: Path, one_more: str) -> Path:
    """This machine's accounts with one more, in a file of their own."""
    known = Path("/etc/passwd").read_text()
    assert f":{UID}:" not in known, "this machine knows the user of the images"
    path.write_text(known + one_more)
    path.chmod(0o644)
    return path


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


def a_key(folder: Path) -> KeyPair:
    """Our key, which the images' user may read."""
    key = ensure_key_pair(folder / "id_ed25519")
    os.chown(key.path, int(UID), int(UID))
    return key


@asynccontextmanager
async def behind_sshd(deployed: Deployment, port: int) -> AsyncIterator[str]:
    """The simulated TensorDock, whose machines say that SSH reaches them at this port; its address.

    Below `ports` in the folder it is written where they really listen.
    """
    real = deployed.environment["TENSORDOCK_API_URL"].removesuffix("/api")
    ports = deployed.folder / "ports"
    ports.mkdir()

    async def passed_on(request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        body = await request.read()
        async with deployed.http.request(request.method, real + request.path_qs, headers=headers, data=body) as reply:
            content = await reply.read()
        if "ipAddress" in content.decode() and request.path.rpartition("/")[0].endswith("/instances"):
            content = redirected(content)
        return web.Response(body=content, status=reply.status, content_type=reply.content_type)

    def redirected(content: bytes) -> bytes:
        machine = json.loads(content)
        forwards = {each["internal_port"]: each["external_port"] for each in machine["portForwards"]}
        (ports / machine["ipAddress"]).write_text(str(forwards.get(22, 22)))
        forwards[22] = port
        machine["portForwards"] = [
            {"internal_port": inside, "external_port": outside} for inside, outside in forwards.items()
        ]
        return json.dumps(machine).encode()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", passed_on)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = free_port()
    await web.TCPSite(runner, "127.0.0.1", listening).start()
    try:
        yield f"http://127.0.0.1:{listening}/api"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def deployed_sshd(deployed: Deployment, port: int, key: KeyPair) -> AsyncIterator[Path]:
    """A real sshd at this port of every machine, which hands each command to the machine itself; its log."""
    theirs = deployed.folder / "theirs"
    theirs.write_bytes(key.path.read_bytes())
    theirs.chmod(0o600)
    onward = deployed.folder / "onward.sh"
    onward.write_text(
        "#!/bin/sh\n"
        "set -- $SSH_CONNECTION\n"
        "exec ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
        f'-o LogLevel=ERROR -i {theirs} -p "$(cat {deployed.folder}/ports/$3)" user@$3 "$SSH_ORIGINAL_COMMAND"\n'
    )
    onward.chmod(0o755)
    passwd = accounts(deployed.folder / "passwd-sshd", "user:x:0:0::/:/bin/sh\n")
    server = sshd(deployed.folder, port, key.public_key, passwd=passwd, command=onward)
    with server:
        yield server.log


def let_in(folder: Path) -> None:
    """Open what the simulator made to the images' user."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o044))


@pytest.mark.timeout(300)
@pytest.mark.skipif(SSHD is None, reason="needs a real sshd: apt-get install openssh-server")
async def test_a_launch_reaches_ready_over_a_real_sshd_with_both_images_users(deployed: Deployment) -> None:
    key = a_key(deployed.folder)
    port, sshd_port = free_port(), free_port()
    async with behind_sshd(deployed, sshd_port) as url, deployed_sshd(deployed, sshd_port, key) as log:
        process = start(deployed, "gateway", PORT=str(port), HOST="127.0.0.1", TENSORDOCK_API_URL=url)
        gateway = Gateway(f"http://127.0.0.1:{port}", deployed.http, process)
        await gateway.until_up()
        worker = start(deployed, "worker", HOST="127.0.0.1", TENSORDOCK_API_URL=url, SSH_KEY_PATH=str(key.path))

        launched = await gateway.launch(provider="TENSORDOCK")
        async with asyncio.timeout(200):
            events = [event async for event in gateway.follow(launched)]

    assert events[-1]["status"] == "READY", worker.log.read_text()
    assert "Accepted publickey for user" in log.read_text()
    providers = (await gateway.data("Providers"))["providers"]
    assert {provider["name"]: provider["healthy"] for provider in providers} == {"TENSORDOCK": True, "CLOUDYPAD": True}
    assert not list((deployed.folder / "data-gateway").rglob("id_ed25519"))


@pytest.mark.skipif(SSHD is None, reason="needs a real sshd: apt-get install openssh-server")
@pytest.mark.parametrize("stage", ["worker"])
async def test_both_ssh_clients_reach_a_real_sshd_as_the_images_user(folder: Path, stage: str) -> None:
    key = a_key(folder)
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

    def __init__(
        self, folder: Path, port: int, public_key: str, *, passwd: Path | None = None, command: Path | None = None
    ) -> None:
        """`passwd` stands for the machine's own; `command` is run whatever a client asks for."""
        (folder / "authorized_keys").write_text(public_key + "\n")
        host_key = ensure_key_pair(folder / "host_key")
        Path("/run/sshd").mkdir(exist_ok=True)
        options = (
            *(f"Port={port}", "ListenAddress=0.0.0.0", f"HostKey={host_key.path}", "PidFile=none", "UsePAM=no"),
            *(f"AuthorizedKeysFile={folder}/authorized_keys", "StrictModes=no", "PermitRootLogin=yes"),
            *("PasswordAuthentication=no", "MaxSessions=200", "MaxStartups=1000", "LogLevel=VERBOSE"),
            *(() if command is None else (f"ForceCommand={command}",)),
        )
        assert SSHD is not None
        self._command = [SSHD, "-D", "-e", "-f", "/dev/null", *(f"-o{option}" for option in options)]
        if passwd is not None:
            inside = f'mount --bind {quote(str(passwd))} /etc/passwd && exec "$@"'
            self._command = ["unshare", "--mount", "sh", "-c", inside, "sh", *self._command]
        self.log = folder / "sshd.log"

    def __enter__(self) -> None:
        with self.log.open("wb") as log:
            self._server = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        for _ in range(200):
            if b"Server listening" in self.log.read_bytes():
                return
            assert self._server.poll() is None, self.log.read_text()
            signal.sigtimedwait([], 0.05)
        raise AssertionError(self.log.read_text())

    def __exit__(self, *_: object) -> None:
        self._server.terminate()
        self._server.wait(10)


def _output(argv: list[str]) -> str:
    done = subprocess.run(argv, env={"PATH": PATH}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
