"""What we order for a machine's first boot, carried out on a machine."""

from __future__ import annotations

from pathlib import Path

import asyncssh

from providers.tensordock.cloud_init import cloud_init
from simulator.machines.pool import MachinePark
from tests.simulator.machines.box import Box


async def test_the_first_boot_lets_us_in_and_lets_us_become_root(
    park: MachinePark, key: asyncssh.SSHKey, tmp_path: Path
) -> None:
    public_key = key.export_public_key().decode().strip()
    await park.create("m-1", user="user", authorized_keys=[], cloud_init=cloud_init(public_key))
    await park.power_on("m-1")
    machine = park.machine("m-1")
    await machine.cloud_init.finished()
    box = Box(park, "m-1", key, tmp_path)

    rule = await box.output("sudo cat /etc/sudoers.d/zz-gamer")
    drafts = await box.output("ls /etc/sudoers.d")

    assert rule == "user ALL=(ALL) NOPASSWD:ALL\n"
    assert drafts == "zz-gamer\n"
    assert not machine.cloud_init.failed


async def test_rules_for_sudo_that_are_broken_are_told(box: Box) -> None:
    broken = await box.output("echo 'user ALL=(ALL NOPASSWD' > r; sudo visudo -cf r 2>&1 || true")
    missing = await box.output("sudo visudo -cf s 2>&1 || true")

    assert broken == "visudo: r: syntax error near 'user ALL=(ALL NOPASSWD'\n"
    assert missing == "visudo: unable to open s: No such file or directory\n"
