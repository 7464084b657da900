"""Executes the steps of deploy/Dockerfile in an empty root, for tests on machines without a container engine.

This machine's /usr and Python stand for the base image, read-only. Everything else of the root comes from the steps:
accounts, the virtual environment, the files that `.dockerignore` lets through, bytecode. Steps run in mount and PID
namespaces of their own, so that nothing is left behind. Packages are those of this environment unless they are to be
installed from the lock file, which takes minutes.
"""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.images import image_of

ROOT: Final = Path(__file__).parents[1]
_PATH: Final = "/opt/base/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ACCOUNTS: Final = {"passwd": "root:x:0:0::/root:/bin/sh\n", "group": "root:x:0:\n", "shadow": "", "gshadow": ""}
_INSTALL: Final = re.compile(r"/venv/bin/pip install [^&]*requirements\.lock")
# What only the worker's own base image has, or only a network: this machine's Python stands for Debian's.
_OF_THE_BASE: Final = re.compile(r"apt-get|pulumi")


@dataclass
class BuiltImage:
    """The root that the steps of one stage made."""

    stage: str
    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "0"
    folder: str = "/"

    def run(self, *command: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as the image does: its user, its variables and nothing else, on a root that is read-only."""
        variables = {"PATH": _PATH, **self.environment, **(environment or {})}
        ids = self.user.partition(":")[0]
        as_user = ["setpriv", "--reuid", ids, "--regid", ids, "--clear-groups", "env", "-i"]
        words = [*as_user, *(f"{name}={value}" for name, value in variables.items()), *command]
        return self._isolated(["sh", "-euc", f'cd {self.folder} && exec "$@"', "sh", *words], read_only=True)

    def step(self, command: str) -> None:
        """Run one step as root."""
        done = self._isolated(["sh", "-euc", f"cd {self.folder}\n{command}"])
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

    def _isolated(self, command: Sequence[str], *, read_only: bool = False) -> subprocess.CompletedProcess[str]:
        root, prefix = str(self.root), str(Path(sys.base_prefix).resolve())
        mounts = [
            f"mount --bind {root} {root}",
            *(
                f"mount --bind {path} {root}{path} && mount -o remount,ro,bind {root}{path}"
                for path in ("/usr", prefix)
            ),
            f"mount --bind {packages()} {root}/packages",
            f"mount -t proc proc {root}/proc",
            *(f"touch {root}/dev/{name} && mount --bind /dev/{name} {root}/dev/{name}" for name in ("null", "urandom")),
            f"mount -t tmpfs -o mode=1777 none {root}/tmp",
            *([f"mount -o remount,ro,bind {root}"] if read_only else []),
            f'exec chroot {root} "$@"',
        ]
        isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", "\n".join(mounts), "sh"]
        environment = {"PATH": _PATH}
        return subprocess.run([*isolated, *command], env=environment, capture_output=True, text=True, check=False)


def build(stage: str, root: Path, *, install: bool = False) -> BuiltImage:
    """Execute the steps of a stage. `install` installs the packages of the lock file instead of lending ours."""
    _prepare(root)
    built = BuiltImage(stage, root)
    for instruction, words in _instructions(stage):
        if instruction == "WORKDIR":
            built.folder = words
            built.step(f"mkdir -p {words}") if words == "/" else (root / words[1:]).mkdir(parents=True, exist_ok=True)
        elif instruction == "COPY":
            _copy(words, root / built.folder[1:])
        elif instruction == "USER":
            built.user = words
        elif instruction == "RUN" and not _OF_THE_BASE.search(words):
            built.step(words if install else _with_our_packages(words))
    built.environment = image_of(stage).environment
    return built


def _with_our_packages(command: str) -> str:
    """Return the step with an environment that finds our packages instead of installing some."""
    lent = f"echo /packages > /venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages/lent.pth"
    return _INSTALL.sub(lent, command.replace("-m venv ", "-m venv --without-pip "))


def entry_point(stage: str) -> list[str]:
    """Return the command that the image runs."""
    (words,) = re.findall(r"^ENTRYPOINT \[(.*)\]$", image_of(stage).text, re.MULTILINE)
    return [word.strip().strip('"') for word in words.split(",")]


def packages() -> Path:
    """Return where the packages of this environment are."""
    (found,) = Path(sys.prefix).resolve().glob("lib/python3.*/site-packages")
    return found


def is_copied(name: str, patterns: Sequence[str]) -> bool:
    """Return whether `COPY . .` copies a file: the last pattern that fits it or a folder above it decides."""
    copied = True
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        places = [name, *(str(above) for above in Path(name).parents)]
        if any(_fits(place, wanted) for place in places):
            copied = pattern.startswith("!")
    return copied


def _fits(place: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch.fnmatchcase(Path(place).name, pattern[3:])
    # A star does not pass a slash.
    return place.count("/") == pattern.count("/") and fnmatch.fnmatchcase(place, pattern)


def _instructions(stage: str) -> list[tuple[str, str]]:
    lines = [line for line in image_of(stage).text.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], " ".join(line.split()[1:])) for line in lines if line.split()[0].isupper()]


def _prepare(root: Path) -> None:
    for name in ("usr", "etc", "proc", "dev", "tmp", "root", "packages", "opt/base/bin"):
        (root / name).mkdir(parents=True)
    (root / str(Path(sys.base_prefix).resolve())[1:]).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for name in ("python", "python3"):
        (root / "opt/base/bin" / name).symlink_to(Path(sys.base_prefix).resolve() / "bin" / "python3")
    for name, text in _ACCOUNTS.items():
        (root / "etc" / name).write_text(text)
    shutil.copy("/etc/ld.so.cache", root / "etc" / "ld.so.cache")


def _copy(words: str, folder: Path) -> None:
    source = words.split(maxsplit=1)[0]
    if source != ".":
        shutil.copy(ROOT / source, folder / source)
        return
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in (name for name in listed if is_copied(name, patterns) and (ROOT / name).is_file()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
