"""What somebody sees on a machine where something is missing, before anything of ours is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
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


def of_version(machine: Path, name: str, version: str) -> None:
    """An interpreter that says it is of this version, which is newer than all that fit."""
    lies = f"import sys; sys.version_info = ({version.replace('.', ', ')}, 0)"
    install(machine, name, answers=f'shift; exec {sys.executable} -c "{lies}; $*"')


def test_a_machine_with_only_a_newer_python_is_told_so_and_how_to_get_one_that_fits(machine: Path) -> None:
    of_version(machine, "python3", "3.14")

    chosen = choose(machine)

    assert (chosen.returncode, chosen.stdout) == (1, "")
    assert chosen.stderr == (
        "Python 3.14 is too new: the embedded database has packages for 3.11, 3.12 and 3.13. To get one: "
        "python3 -m venv ~/.uv && ~/.uv/bin/pip install uv && ~/.uv/bin/uv python install 3.13\n"
    )


@pytest.mark.parametrize(
    ("tool", "answers", "cure"),
    [
        ("uv", "exit 2", "uv python install 3.13"),
        ("dnf", "exit 1", "sudo dnf install python3.13"),
        ("apt-cache", '[ "$2" = python3.12-venv ]', "sudo apt-get install python3.12-venv"),
    ],
)
def test_the_cure_is_one_that_works_on_the_machine(machine: Path, tool: str, answers: str, cure: str) -> None:
    of_version(machine, "python3", "3.15")
    install(machine, tool, answers=answers)

    chosen = choose(machine)

    assert chosen.stderr.endswith(f" To get one: {cure}\n")


def test_an_older_python_beside_a_newer_one_is_taken(machine: Path) -> None:
    of_version(machine, "python3", "3.14")
    install(machine, "python3.11", answers=f'exec {sys.executable} "$@"')

    assert choose(machine).stdout == "chosen\n"


def test_a_python_that_only_uv_knows_is_taken(machine: Path) -> None:
    of_version(machine, "python3", "3.14")
    install(machine, "uv", answers=f"echo {sys.executable}")

    assert choose(machine).stdout == "chosen\n"


def test_the_project_asks_for_what_the_chooser_takes() -> None:
    asked = tomllib.loads(Path("pyproject.toml").read_text())["project"]["requires-python"]

    assert asked == ">=3.11,<3.14"
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in CHOOSER.read_text()


def test_what_gateways_and_workers_need_is_not_bound_to_older_pythons() -> None:
    """Without embedded parts they run on any later Python for which the locked packages exist."""
    markers = re.findall(r"^[\w.-]+==\S+ ; (.*?)(?: \\\\)?$", Path("requirements.lock").read_text(), re.MULTILINE)

    assert [marker for marker in markers if re.search(r"python_(full_)?version <=? '3\.1[3-9]", marker)] == []
    assert "secantusdb" not in Path("requirements.lock").read_text()


def test_progress_counts_the_packages_and_keeps_what_went_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(total=90)

    progress.follow("Collecting aiohttp==3.14.5 (from -r requirements-dev.lock (line 9))\n")
    progress.follow("ERROR: No matching distribution found for aiohttp==3.14.5\n")

    assert capsys.readouterr().err == "fetching 1 of 90: aiohttp\n"
    assert progress.fault == "No matching distribution found for aiohttp==3.14.5"
