"""Build `.venv` from `requirements-dev.lock`, or find that it is built. Run by `make`, with any Python we support.

Standard library only: nothing is installed yet when this runs. Two of these at once wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Final, NoReturn

ROOT: Final = Path(__file__).resolve().parents[1]
VENV: Final = ROOT / ".venv"
LOCK: Final = ROOT / "requirements-dev.lock"
STAMP: Final = VENV / "built-from"
LOG: Final = ROOT / ".venv-install.log"
INSTALL: Final = (
    *("-m", "pip", "install", "--require-hashes", "--requirement", str(LOCK)),
    *("--compile", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"),
)
SILENCE_S: Final = 5.0


def main() -> None:
    """Build .venv unless it is current."""
    if _is_built():
        return
    # The folder itself is the lock, so that no lock file is left behind.
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say("another `make` is installing the packages; waiting for it ...")
        fcntl.flock(folder, fcntl.LOCK_EX)
    if not _is_built():
        _build()


def _is_built() -> bool:
    try:
        return STAMP.read_text() == _wanted() and (VENV / "bin" / "python").exists()
    except OSError:
        return False


def _wanted() -> str:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()


def _build() -> None:
    started = time.monotonic()
    try:
        if not _can_be_reused():
            _say(f"making .venv with Python {sys.version.split()[0]} (the first start only; about a minute) ...")
            venv.create(VENV, clear=True, with_pip=True, symlinks=True)
        _install()
        STAMP.write_text(_wanted())
    except OSError as error:
        _fail(f"cannot write {error.filename or VENV}: {error.strerror}")
    except subprocess.CalledProcessError as error:
        _fail(f"cannot make .venv: {' '.join(map(str, error.cmd))[:200]} failed")
    _say(f"installed in {time.monotonic() - started:.0f} s")


def _can_be_reused() -> bool:
    """Return whether .venv belongs to this Python and has a working pip. An incomplete one is created again."""
    python = VENV / "bin" / "python"
    if not (VENV / "pyvenv.cfg").exists() or not python.exists():
        return False
    probe = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
    answer = subprocess.run([python, "-c", probe], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    return answer.stdout.strip() == f"{sys.version_info.major}.{sys.version_info.minor}"


def _install() -> None:
    progress = Progress(total=len(re.findall(r"^[\w.-]+==", LOCK.read_text(), re.MULTILINE)))
    command = [str(VENV / "bin" / "python"), *INSTALL]
    with (
        LOG.open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip,  # noqa: S603 - ours
    ):
        assert pip.stdout is not None
        for line in pip.stdout:
            log.write(line)
            progress.follow(line)
    if pip.returncode:
        _fail(f"cannot install the packages: {progress.fault} (all of it: {LOG})")
    LOG.unlink()


class Progress:
    """How far pip is: one line that changes in a terminal, elsewhere a line every few seconds."""

    def __init__(self, total: int) -> None:
        self.fault = "pip does not say why"
        self._total = total
        self._seen = 0
        self._shown_at = 0.0

    def follow(self, line: str) -> None:
        if line.startswith("ERROR: "):
            self.fault = line.removeprefix("ERROR: ").strip()[:300]
        elif name := re.match(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)", line):
            self._seen += 1
            self._show(f"fetching {self._seen} of {self._total}: {name[1]}")
        elif line.startswith("Installing collected packages"):
            self._show("unpacking and compiling them ...", last=True)

    def _show(self, words: str, *, last: bool = False) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{words}" + ("\n" if last else ""))
            sys.stderr.flush()
        elif last or time.monotonic() - self._shown_at > SILENCE_S:
            self._shown_at = time.monotonic()
            _say(words)


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


def _fail(words: str) -> NoReturn:
    _say(words)
    sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
