"""What somebody sees on a machine where something is missing, before anything of ours is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.environment import Progress

CHOOSER = Path("deploy/python").absolute()


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder to be PATH: a machine with a shell and no Python."""
    for tool in ("sh", "uname"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    return tmp_path


def install(machine: Path, name: str, *, answers: str) -> None:
    """A stand-in for an interpreter: `answers` is what its shell script does with the code that it is given in $2."""
    (machine / name).write_text(f"#!{shutil.which('sh')}\n{answers}\n")
    (machine / name).chmod(0o755)


def choose(machine: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [machine / "sh", CHOOSER, "-c", "print('chosen')"],
        env={"PATH": str(machine)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_machine_without_python_is_told_how_to_get_it(machine: Path) -> None:
    chosen = choose(machine)

    assert (chosen.returncode, chosen.stdout) == (1, "")
    assert chosen.stderr.startswith("No Python 3.11, 3.12 or 3.13 found. To get one: ")
    assert len(chosen.stderr.splitlines()) == 1


def test_a_python_that_is_too_old_is_passed_over(machine: Path) -> None:
    install(machine, "python3", answers="exit 1")
    install(machine, "python3.12", answers=f'exec {sys.executable} "$@"')

    chosen = choose(machine)

    assert (chosen.returncode, chosen.stdout) == (0, "chosen\n")


def test_a_python_without_venv_is_told_which_package_has_it(machine: Path) -> None:
    lacking = f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"'
    install(machine, "python3", answers=lacking)

    chosen = choose(machine)

    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert (chosen.returncode, chosen.stdout) == (1, "")
    assert chosen.stderr == (
        f"Python {version} is here without venv. To get it: sudo apt-get install python{version}-venv\n"
    )


def test_progress_counts_the_packages_and_keeps_what_went_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(total=90)

    progress.follow("Collecting aiohttp==3.14.5 (from -r requirements-dev.lock (line 9))\n")
    progress.follow("ERROR: No matching distribution found for aiohttp==3.14.5\n")

    assert capsys.readouterr().err == "fetching 1 of 90: aiohttp\n"
    assert progress.fault == "No matching distribution found for aiohttp==3.14.5"
