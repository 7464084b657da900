"""The shell lines of a first boot, run by the real /bin/sh with their paths below a folder of the test.

Real programs do the work, but for those that need accounts or root: `id`, `chown` and `visudo` are stubs.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from providers.tensordock.cloud_init import cloud_init

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJustAKey"
RULE = "user ALL=(ALL) NOPASSWD:ALL\n"


@dataclass(frozen=True)
class FirstBoot:
    """`calls` holds the stubs' calls, one a line."""

    root: Path

    @property
    def calls(self) -> list[str]:
        return (self.root / "calls").read_text().splitlines()

    @property
    def keys(self) -> Path:
        return self.root / "home/user/.ssh/authorized_keys"

    @property
    def rule(self) -> Path:
        return self.root / "etc/sudoers.d/zz-gamer"

    def stub(self, program: str, status: int = 0) -> None:
        file = self.root / "bin" / program
        file.write_text(f'#!/bin/sh\necho {program} "$@" >> {self.root}/calls\nexit {status}\n')
        file.chmod(0o755)

    def run(self) -> list[int]:
        """Run the lines one by one, and return their exit statuses."""
        commands = cloud_init(KEY)["runcmd"]
        assert isinstance(commands, list)
        return [self._run(command) for command in commands]

    def _run(self, command: str) -> int:
        for folder in ("/root/", "/home/", "/etc/"):
            command = command.replace(f" {folder}", f" {self.root}{folder}")
        environment = {"PATH": f"{self.root}/bin:/usr/bin:/bin"}
        return subprocess.run(["/bin/sh", "-c", command], env=environment, check=False).returncode


@pytest.fixture
def first_boot(tmp_path: Path) -> FirstBoot:
    for folder in ("bin", "root", "home/user", "etc/sudoers.d"):
        (tmp_path / folder).mkdir(parents=True)
    boot = FirstBoot(tmp_path)
    for program in ("id", "chown", "visudo"):
        boot.stub(program)
    return boot


def test_the_lines_let_the_key_in_and_allow_sudo(first_boot: FirstBoot) -> None:
    assert first_boot.run() == [0, 0, 0]

    assert first_boot.keys.read_text() == f"{KEY}\n"
    assert (first_boot.root / "root/.ssh/authorized_keys").read_text() == f"{KEY}\n"
    assert [first_boot.keys.stat().st_mode & 0o777, first_boot.keys.parent.stat().st_mode & 0o777] == [0o600, 0o700]
    assert first_boot.rule.read_text() == RULE
    assert first_boot.rule.stat().st_mode & 0o777 == 0o440
    assert [path.name for path in first_boot.rule.parent.iterdir()] == ["zz-gamer"]
    assert first_boot.calls == [
        "id root",
        f"chown -R root: {first_boot.root}/root/.ssh",
        "id user",
        f"chown -R user: {first_boot.root}/home/user/.ssh",
        "id user",
        f"visudo -cqf {first_boot.root}/etc/sudoers.d/zz-gamer.draft",
    ]


def test_repeated_lines_add_no_second_key_and_keep_those_of_others(first_boot: FirstBoot) -> None:
    first_boot.keys.parent.mkdir()
    first_boot.keys.write_text("ssh-ed25519 AAAAothers\n")

    assert [first_boot.run(), first_boot.run()] == [[0, 0, 0]] * 2

    assert first_boot.keys.read_text() == f"ssh-ed25519 AAAAothers\n{KEY}\n"


def test_a_login_that_is_not_there_gets_nothing(first_boot: FirstBoot) -> None:
    first_boot.stub("id", status=1)

    assert 0 not in first_boot.run()

    assert not first_boot.keys.exists()
    assert not first_boot.rule.exists()


def test_a_rule_that_sudo_would_not_take_is_not_put_in_force(first_boot: FirstBoot) -> None:
    first_boot.stub("visudo", status=1)

    assert first_boot.run()[2] == 1

    assert not first_boot.rule.exists()
