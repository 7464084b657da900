"""The disk of a machine: everything inside its tree, nothing outside, and each user with its own rights."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import asyncssh
import pytest

from simulator.addresses import SSH
from tests.simulator.machines.box import Box

needs_openssh = pytest.mark.skipif(
    not shutil.which("ssh"), reason="OpenSSH's client is missing: apt-get install openssh-client"
)


async def test_dots_do_not_lead_out_of_the_tree(box: Box) -> None:
    assert await box.output("cat ../../../../../../etc/hostname") == "m-1\n"


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../../etc/passwd"])
async def test_a_link_to_the_host_leads_into_the_tree(box: Box, target: str) -> None:
    await box.output(f"ln -sfn -- {target} link")

    assert box.machine.root_files.readlink("/home/user/link") == target
    assert await box.output("cat link") == (box.root / "etc/passwd").read_text()


async def test_a_link_to_what_only_the_host_has_leads_nowhere(box: Box) -> None:
    await box.output("ln -sfn -- /proc/self/environ link")

    said = await box.run("cat link")

    assert (said.status, said.stderr) == (1, "cat: link: No such file or directory\n")


async def test_writing_through_a_link_stays_in_the_tree(box: Box, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    await box.output(f"ln -sfn -- {outside} out")
    said = await box.run("touch out/file")

    assert said.status == 1
    assert list(outside.iterdir()) == []


async def test_a_user_writes_only_where_it_may(box: Box) -> None:
    refused = [await box.run(command) for command in ("touch /etc/cron.d", "mkdir -p /mnt/mine")]
    allowed = await box.run("mkdir -p /tmp/mine")

    assert [said.status for said in (*refused, allowed)] == [1, 1, 0]
    assert all("Permission denied" in said.stderr for said in refused)
    assert (box.root / "tmp/mine").is_dir()


async def test_secrets_of_root_are_closed_to_others(box: Box) -> None:
    await box.output("sudo install -d -m 0700 /etc/gamer")
    await box.output("sudo dd of=/etc/gamer/key status=none", b"key\n")

    as_user = await box.run("cat /etc/gamer/key")
    as_root = await box.run("sudo cat /etc/gamer/key")

    assert (as_user.status, as_root.stdout) == (1, "key\n")


async def test_sftp_is_refused(box: Box) -> None:
    async with await box.connect() as connection:
        with pytest.raises(asyncssh.Error):
            await connection.start_sftp_client()


@needs_openssh
async def test_the_real_ssh_runs_a_command(box: Box, tmp_path: Path) -> None:
    identity = tmp_path / "identity"
    identity.write_bytes(box.key.export_private_key())
    identity.chmod(0o600)
    options = (
        "StrictHostKeyChecking=no",
        f"UserKnownHostsFile={tmp_path}/known",
        "IdentitiesOnly=yes",
        "LogLevel=ERROR",
    )
    process = await asyncio.create_subprocess_exec(
        *("ssh", "-F", "none", "-i", str(identity), "-p", str(box.address.port(SSH))),
        *(word for option in options for word in ("-o", option)),
        *(f"user@{box.address.ip}", "dd of=there status=none"),
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    stdout, _ = await process.communicate(b"through\n")

    assert (process.returncode, stdout) == (0, b"")
    assert box.read("/home/user/there") == "through\n"
