"""Files over SFTP and scp: everything inside the machine's tree, nothing outside."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import asyncssh
import pytest

from simulator.machines.addresses import SSH
from tests.simulator.machines.box import Box

needs_openssh = pytest.mark.skipif(
    not (shutil.which("sftp") and shutil.which("ssh")),
    reason="OpenSSH's clients are missing: apt-get install openssh-client",
)


async def test_a_file_goes_up_and_comes_down(box: Box) -> None:
    async with await box.connect() as connection, connection.start_sftp_client() as sftp:
        await _write(sftp, "save.srm", b"progress")
        await sftp.mkdir("deep")
        await sftp.rename("save.srm", "deep/save.srm")
        content = await _read(sftp, "/home/user/deep/save.srm")
        names = sorted(str(name) for name in await sftp.listdir("deep"))

    assert content == b"progress"
    assert names == [".", "..", "save.srm"]
    assert (box.root / "home/user/deep/save.srm").read_bytes() == b"progress"


async def test_dots_do_not_lead_out_of_the_tree(box: Box) -> None:
    async with await box.connect() as connection, connection.start_sftp_client() as sftp:
        content = await _read(sftp, "../../../../../../etc/hostname")
        top = await sftp.realpath("/../..")

    assert (content, top) == (b"m-1\n", "/")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../../etc/passwd"])
async def test_a_link_to_the_host_leads_into_the_tree(box: Box, target: str) -> None:
    async with await box.connect() as connection, connection.start_sftp_client() as sftp:
        await sftp.symlink(target, "link")
        told = await sftp.readlink("link")
        content = await _read(sftp, "link")

    assert told == target
    assert content == (box.root / "etc/passwd").read_bytes()


async def test_a_link_to_what_only_the_host_has_leads_nowhere(box: Box) -> None:
    async with await box.connect() as connection, connection.start_sftp_client() as sftp:
        await sftp.symlink("/proc/self/environ", "link")
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await _read(sftp, "link")


async def test_writing_through_a_link_stays_in_the_tree(box: Box, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    await box.run(f"ln -s {outside} out; echo caught > out/file")
    async with await box.connect() as connection, connection.start_sftp_client() as sftp:
        with pytest.raises(asyncssh.SFTPError):
            await _write(sftp, "out/file", b"caught")

    assert list(outside.iterdir()) == []


async def test_a_user_writes_only_where_it_may(box: Box) -> None:
    async with await box.connect() as connection, connection.start_sftp_client() as sftp:
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await _write(sftp, "/etc/cron.d", b"x")
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await sftp.mkdir("/mnt/mine")
        await sftp.mkdir("/tmp/mine")

    assert (box.root / "tmp/mine").is_dir()


async def test_root_owned_secrets_are_root_s(box: Box) -> None:
    await box.output("sudo install -d -m 0700 /etc/gamer && echo key | sudo tee /etc/gamer/key >/dev/null")

    as_user = await box.run("cat /etc/gamer/key")
    as_root = await box.run("sudo cat /etc/gamer/key")

    assert (as_user.status, as_root.stdout) == (1, "key\n")


async def _write(sftp: asyncssh.SFTPClient, path: str, content: bytes) -> None:
    async with sftp.open(path, "wb", encoding=None) as file:
        await file.write(content)


async def _read(sftp: asyncssh.SFTPClient, path: str) -> bytes:
    async with sftp.open(path, "rb", encoding=None) as file:
        content: object = await file.read()
    assert isinstance(content, bytes)
    return content


@needs_openssh
async def test_the_real_ssh_runs_a_command(box: Box, tmp_path: Path) -> None:
    code, said = await _openssh(box, tmp_path, "ssh", "user@" + box.address.ip, "echo $HOME; cat", given=b"through\n")

    assert (code, said) == (0, "/home/user\nthrough\n")


@needs_openssh
async def test_the_real_sftp_moves_files(box: Box, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"up" * 100_000)
    batch = f"put {tmp_path}/up there\nls -l there\nget there {tmp_path}/down\nrm there\n"

    code, said = await _openssh(box, tmp_path, "sftp", "-b", "-", f"user@{box.address.ip}", given=batch.encode())

    assert code == 0, said
    assert (tmp_path / "down").read_bytes() == b"up" * 100_000
    assert not (box.root / "home/user/there").exists()


@needs_openssh
async def test_the_real_scp_copies(box: Box, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"content")

    code, said = await _openssh(box, tmp_path, "scp", "-O", str(tmp_path / "up"), f"user@{box.address.ip}:copied")

    assert code == 0, said
    assert (box.root / "home/user/copied").read_bytes() == b"content"


async def _openssh(box: Box, folder: Path, program: str, *argv: str, given: bytes = b"") -> tuple[int, str]:
    identity = folder / "identity"
    identity.write_bytes(box.key.export_private_key())
    identity.chmod(0o600)
    flag = "-p" if program == "ssh" else "-P"
    options = ("StrictHostKeyChecking=no", f"UserKnownHostsFile={folder}/known", "IdentitiesOnly=yes", "LogLevel=ERROR")
    process = await asyncio.create_subprocess_exec(
        *(program, "-F", "none", "-i", str(identity), flag, str(box.address.port(SSH))),
        *(word for option in options for word in ("-o", option)),
        *argv,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    stdout, _ = await process.communicate(given)
    assert process.returncode is not None
    return process.returncode, stdout.decode()
