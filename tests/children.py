"""What a test run starts ends with the run, however that ends: a process of its own sees to it.

Every process of a run has TEST_RUN, the run's folder, in its environment; those of a worker of pytest-xdist have its
name beside it. usage, as a script: python -I -S tests/children.py FOLDER, which ends them all and deletes the folder
as soon as nothing holds the other end of its standard input: when pytest ends, or is killed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

RUN = "TEST_RUN"
WORKER = "PYTEST_XDIST_WORKER"  # as pytest-xdist names it, in the environment of what a worker starts
CLEANER = "TEST_RUN_CLEANER"  # clears up after its own run: no other run ends it
GRACE_S = 1.0
PROCESSES = Path("/proc")


class Run:
    """One run of pytest: a folder that its workers share, and the process that clears up."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="test-run-"))
        os.environ[RUN] = str(self.folder)
        # In a session of its own, for Ctrl-C is not meant for it.
        self._cleaner = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(self.folder)],
            env={**os.environ, CLEANER: "yes"},
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def end(self) -> None:
        assert self._cleaner.stdin is not None
        self._cleaner.stdin.close()
        self._cleaner.wait(30)


def end_all(folder: Path, worker: str | None = None) -> None:
    """End every process of the run, or those that a worker has started and left: politely at first. Those that are
    born while we look are found in the next round."""
    deadline = time.monotonic() + GRACE_S
    asked: set[int] = set()
    while found := processes_of(folder, worker):
        late = time.monotonic() > deadline
        for process in found if late else found - asked:
            with suppress(OSError):
                os.kill(process, signal.SIGKILL if late else signal.SIGTERM)
        asked |= found
        time.sleep(0.02)


def processes_of(folder: Path, worker: str | None = None) -> set[int]:
    """Those of the run, or of one of its workers, and all that descend from them: a child may have an environment of
    its own."""
    ours = {RUN: str(folder)} if worker is None else {RUN: str(folder), WORKER: worker}
    parents, found = {}, set()
    for entry in PROCESSES.glob("[0-9]*"):
        with suppress(OSError):
            state, parent = (entry / "stat").read_text().rpartition(") ")[2].split()[:2]
            variables = _variables((entry / "environ").read_bytes())
            if state in "ZX" or CLEANER in variables:
                continue
            parents[int(entry.name)] = int(parent)
            if ours.items() <= variables.items():
                found.add(int(entry.name))
    while born := {process for process, parent in parents.items() if parent in found} - found:
        found |= born
    return found


def _variables(environment: bytes) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in environment.decode(errors="replace").split("\0"))
    return {name: value for name, _, value in pairs}


def _end_servers(folder: Path) -> None:
    """By the process ids in their locks: a system without /proc has them too."""
    for lock in folder.glob("*.alive"):
        with lock.open("r+") as file, suppress(OSError, ValueError):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.kill(int(file.read()), signal.SIGTERM)


def main() -> None:
    folder = Path(sys.argv[1])
    sys.stdin.buffer.read()
    _end_servers(folder)
    end_all(folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
