"""Packages on a machine that is busy with its own updates."""

from __future__ import annotations

from pathlib import Path

import pytest

from streaming.keys import KeyPair
from streaming.packages import install
from streaming.ssh import CommandFailedError, Ssh
from tests.streaming.box import Said, running_box

LOCKED = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 812 (apt-get)\n"


async def test_an_update_waits_until_the_package_lists_are_free(tmp_path: Path, key: KeyPair, ssh: Ssh) -> None:
    commands: list[str] = []

    def env(argv: list[str], given: bytes) -> Said:
        commands.append(argv[-1])
        return (100, LOCKED) if commands == ["update"] * len(commands) and len(commands) < 3 else (0, "")

    async with running_box(tmp_path, key) as box, ssh.shell(box.address) as shell:
        box.programs["env"] = env
        await install(shell, "rclone", pause_s=0)

    assert commands == ["update", "update", "update", "rclone"]


@pytest.mark.parametrize(("said", "asked"), [(LOCKED, 2), ("E: Failed to fetch http://archive\n", 1)])
async def test_a_lock_that_stays_and_another_failure_are_reported_as_they_are(
    tmp_path: Path, key: KeyPair, ssh: Ssh, said: str, asked: int
) -> None:
    commands: list[str] = []

    def env(argv: list[str], given: bytes) -> Said:
        commands.append(argv[-1])
        return 100, said

    async with running_box(tmp_path, key) as box, ssh.shell(box.address) as shell:
        box.programs["env"] = env
        with pytest.raises(CommandFailedError, match=said[:20]):
            await install(shell, "rclone", wait_s=0.05, pause_s=0.06)

    assert commands == ["update"] * asked
