"""`make real-machine`: builds each disk, then runs the tests on it in a network of their own.

The tests run in a network namespace that has the loopback interface alone, so that addresses and firewall rules of the
machines end with it, and in a PID namespace, so that a killed run leaves no process and no mount.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.real_machine.root_file_system import build, distributions

ROOT: Final = Path(__file__).resolve().parents[2]
CACHE: Final = ROOT / ".real-machine"
# Each program with the Debian package that has it.
PROGRAMS: Final = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "ssh": "openssh-client",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "ip": "iproute2",
}
_IN_A_NETWORK: Final = 'ip link set lo up; exec "$@"'


def main() -> int:
    if reason := _reason_to_skip():
        _say(f"SKIPPED: the tests on a real machine did not run: {reason}")
        return 0
    status = 0
    for distribution in distributions():
        _say(f"building the disk of a machine with {distribution.name}; a few minutes the first time")
        disk = build(distribution, CACHE)
        _say(f"running the tests on {distribution.name}")
        status = max(status, _run_tests(disk, sys.argv[1:]))
    return status


def _reason_to_skip() -> str | None:
    if sys.platform != "linux":
        return "they need Linux"
    if os.geteuid() != 0:
        return "they need root: sudo make real-machine"
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if missing:
        return f"programs are missing: apt-get install {' '.join(missing)}"
    if not Path("/dev/fuse").exists():
        return "this system has no /dev/fuse"
    return None


def _run_tests(disk: Path, arguments: list[str]) -> int:
    pytest = [sys.executable, "-m", "pytest", "-p", "no:xdist", "tests/real_machine", *arguments]
    command = [
        *("setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"),
        *("sh", "-euc", _IN_A_NETWORK, "sh", *pytest),
    ]
    environment = {**os.environ, "REAL_MACHINE_DISK": str(disk)}
    with subprocess.Popen(command, cwd=ROOT, env=environment) as tests:
        signal.signal(signal.SIGTERM, lambda *_: tests.kill())
        try:
            return tests.wait()
        except KeyboardInterrupt:
            tests.kill()
            return 130


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
