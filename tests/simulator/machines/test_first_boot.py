"""What we order for a machine's first boot, carried out on a machine."""

from __future__ import annotations

from pathlib import Path

import asyncssh
import pytest

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
    await machine.cloud_init.wait_until_done()
    box = Box(park, "m-1", key, tmp_path)

    rule = await box.output("sudo cat /etc/sudoers.d/zz-gamer")
    names = await box.output("ls /etc/sudoers.d")

    assert rule == "user ALL=(ALL) NOPASSWD:ALL\n"
    assert names == "zz-gamer\n"
    assert not machine.packages.upgrade_themselves
    assert not machine.cloud_init.failed


async def test_a_key_of_the_user_data_that_is_not_known_is_reported(park: MachinePark) -> None:
    await park.create("m-1", user="user", authorized_keys=[], cloud_init={"bootcmd": ["true"]})
    await park.power_on("m-1")
    machine = park.machine("m-1")
    await machine.cloud_init.wait_until_done()

    assert machine.cloud_init.failed
    assert machine.root_files.read_text("/var/log/cloud-init-output.log") == "not simulated: user-data: bootcmd\n"


@pytest.mark.parametrize("command", ["echo once >> /root/runs", "rm -rf / &"])
async def test_a_shell_line_that_is_not_known_is_reported_and_fails_the_first_boot(
    park: MachinePark, caplog: pytest.LogCaptureFixture, command: str
) -> None:
    await park.create("m-1", user="user", authorized_keys=[], cloud_init={"runcmd": [command]})
    await park.power_on("m-1")
    machine = park.machine("m-1")
    await machine.cloud_init.wait_until_done()

    assert machine.cloud_init.failed
    assert machine.root_files.read_text("/var/log/cloud-init-output.log") == f"not simulated: a shell: {command}\n"
    assert [record.getMessage() for record in caplog.records] == [f"not simulated on m-1: 'a shell: {command}'"]
