"""Processes of the service that begin where importing has ended: to start a Python program costs two seconds of a core,
most of them for imports. Each is forked from a process that has imported everything and done nothing, and runs the
program from its first line as `python PROGRAM` does, with a folder, an environment and signals of its own.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import connection, forkserver
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAMS: Final = {"server": ROOT / "server.py", "simulator": ROOT / "simulator" / "__main__.py"}
_IMPORTED: Final = "tests.e2e.imported"
_CONTEXT: Final = multiprocessing.get_context("forkserver")


class Fork:
    """One process, in the words of subprocess.Popen. Its output goes into a file."""

    def __init__(
        self, program: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], output: Path
    ) -> None:
        _ensure_forkserver()
        self._process = _CONTEXT.Process(
            target=_run, args=(PROGRAMS[program], [*arguments], folder, {**environment}, output), daemon=True
        )
        self._process.start()
        self._one_at_a_time = threading.Lock()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        with self._one_at_a_time:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        connection.wait([self._process.sentinel], timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return code

    def send_signal(self, sign: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sign)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _ensure_forkserver() -> None:
    _CONTEXT.set_forkserver_preload([_IMPORTED])
    with contextlib.chdir(ROOT):  # where it looks for what it imports
        forkserver.ensure_running()


def _run(program: Path, arguments: list[str], folder: Path, environment: dict[str, str], output: Path) -> None:
    with output.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [str(program), *arguments]
    runpy.run_path(str(program), run_name="__main__")
