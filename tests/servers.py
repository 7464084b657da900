"""The databases and the engines of a test run: each is started when a test first asks for it, a database for each
worker and the engines once for all.

They end with the run (tests/children.py). Tests tell themselves apart by the names of their databases and task queues.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from embedded.child import HOLDER
from embedded.ports import free_port
from embedded.temporal import SHORT_TIMERS
from tests.children import RUN, WORKER

BIN = Path(sys.executable).parent
START_S = 30.0


@dataclass(frozen=True)
class Server:
    """`command` takes a port and a folder of the server's own; `ready` waits until it does more than accept."""

    name: str
    command: Callable[[int, Path], Sequence[str]]
    ready: Callable[[int], None] = lambda _: None


def own_port(server: Server) -> int:
    """Return the port of this worker's server. SecantusDB works on one core, and reads the changes of all databases for
    each change stream: one server for all workers would be what they all wait for."""
    return shared_port(replace(server, name=f"{server.name}-{os.environ.get('PYTEST_XDIST_WORKER', 'only')}"))


def shared_port(server: Server) -> int:
    """Return the port of the run's server, started if it is not there. It outlives the worker that started it."""
    folder = Path(os.environ[RUN])
    written = folder / f"{server.name}.port"
    with _alone(folder / f"{server.name}.starting"):
        if not written.exists() or not accepts(int(written.read_text())):
            written.write_text(str(_started(server, folder)))
    return int(written.read_text())


def _started(server: Server, folder: Path) -> int:
    port, own = free_port(), folder / server.name
    own.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != WORKER}
    with (folder / f"{server.name}.alive").open("w") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        command = [sys.executable, "-I", "-S", str(HOLDER), str(alive.fileno()), *server.command(port, own)]
        subprocess.run(
            command,
            env=environment,
            cwd=own,
            pass_fds=[alive.fileno()],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    await_port(port)
    server.ready(port)
    return port


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """While no other worker is there."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def await_port(port: int, server: subprocess.Popen[bytes] | None = None, within_s: float = START_S) -> None:
    """Until a child accepts connections; AssertionError when it ended or took too long."""
    deadline = time.monotonic() + within_s
    while not accepts(port):
        assert server is None or server.poll() is None, f"the server on port {port} ended with {server.returncode}"
        assert time.monotonic() < deadline, f"nothing listens on port {port} after {within_s} s"
        time.sleep(0.05)


def _temporal() -> str:
    return shutil.which("temporal") or str(BIN / "temporal")


def _await_namespace(port: int) -> None:
    """An engine accepts connections before it knows its namespace, and refuses all work until then."""
    address = f"127.0.0.1:{port}"
    question = [_temporal(), "operator", "namespace", "describe", "--address", address, "--namespace", "default"]
    deadline = time.monotonic() + START_S
    while subprocess.run(question, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode:
        assert time.monotonic() < deadline, f"the engine at {address} does not know its namespace after {START_S} s"
        time.sleep(0.05)


MONGODB = Server(
    "mongodb",
    lambda port, folder: [
        str(BIN / "secantusd-py"),
        *("--host", "127.0.0.1", "--port", str(port), "--storage-path", str(folder), "--log-level", "WARNING"),
    ],
)
TEMPORAL = Server(
    "temporal",
    lambda port, _: [
        *("/usr/bin/env", "GOGC=400"),  # it collects garbage for a fifth of its time otherwise
        *(_temporal(), "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)),
        *SHORT_TIMERS,
        *("--log-level", "never", "--http-port", str(free_port())),
    ],
    _await_namespace,
)
# Carries launches out in memory, for a third of the work. Updates (commands to machines) and cancellations it answers
# otherwise. It skips no time: a machine's workflow would look at its machine without end.
TEMPORAL_TEST = Server("temporal-test", lambda port, _: [str(BIN / "temporal-test-server"), str(port)])
