"""Nothing that a test run has started outlives it, nor what a worker has started the worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.children import PROCESSES, processes_of

ROOT = Path(__file__).parents[1]
ALONE = "alone"
# A child, one in a session of its own, and the child of that one, which has nothing of our environment.
TESTS = """
import os, subprocess, sys, time
from pathlib import Path
import pytest

CHILD = "import subprocess, time; print(subprocess.Popen(['sleep', '300'], env={}).pid, flush=True); time.sleep(300)"

@pytest.mark.parametrize("n", [0, 1])
def test_that_lasts(mongodb_uri, n):
    child = subprocess.Popen(["sleep", "300"])
    parent = subprocess.Popen([sys.executable, "-I", "-S", "-c", CHILD], stdout=-1, start_new_session=True)
    started = [os.getpid(), child.pid, parent.pid, int(parent.stdout.readline())]
    file = Path("started", os.environ.get("PYTEST_XDIST_WORKER", "alone"))
    file.with_suffix(".new").write_text(" ".join(map(str, started)))
    file.with_suffix(".new").rename(file)
    time.sleep(300)
"""


@dataclass
class LastingRun:
    """A run whose tests last longer than anybody waits, once each worker is at its test."""

    process: subprocess.Popen[bytes]
    folder: Path
    workers: dict[str, list[int]]  # each one's processes, itself first

    def left(self) -> set[int]:
        """The processes that there are still."""
        known = {each for processes in self.workers.values() for each in processes}
        return {each for each in known if alive(each)} | processes_of(self.folder)


@contextmanager
def lasting(place: Path, *workers: str, options: list[str]) -> Iterator[LastingRun]:
    (place / "started").mkdir()
    (place / "pytest.ini").touch()
    (place / "test_lasting.py").write_text(TESTS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", *options, "test_lasting.py"],
        env={**environment, "PYTHONPATH": str(ROOT), "TMPDIR": str(place)},
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        files = [place / "started" / name for name in workers]
        until(lambda: all(file.exists() for file in files), within_s=40)
        (folder,) = place.glob("test-run-*")
        yield LastingRun(process, folder, {file.name: [*map(int, file.read_text().split())] for file in files})
    finally:
        process.kill()
        process.wait()


def until(so: Callable[[], bool], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        return (PROCESSES / str(process) / "stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(not PROCESSES.is_dir(), reason="processes are found in /proc")
class TestWhatARunStarted:
    @pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
    def test_it_ends_with_the_run(self, tmp_path: Path, sign: signal.Signals) -> None:
        with lasting(tmp_path, ALONE, options=[]) as run:
            assert len(run.left()) == 5, "the run, three children and the database"
            run.process.send_signal(sign)

            until(lambda: not run.left())
            until(lambda: not run.folder.exists())

    def test_it_ends_with_its_worker_and_with_the_run_that_has_workers(self, tmp_path: Path) -> None:
        with lasting(tmp_path, "gw0", "gw1", options=["-n", "2"]) as run:
            before, killed = run.left(), {*run.workers["gw1"]}
            assert len(before) == 10, "two workers, three children and a database of each"
            os.kill(run.workers["gw1"][0], signal.SIGKILL)

            until(lambda: not any(map(alive, killed)))
            assert run.left() >= before - killed
            run.process.kill()

            until(lambda: not run.left())
            until(lambda: not run.folder.exists())
