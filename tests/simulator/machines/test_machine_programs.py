"""Argument lists, as the service sends them to a machine."""

from __future__ import annotations

import asyncio
import hashlib
import io
import tarfile

import pytest

from simulator.cloudypad.templates import autostop
from tests.simulator.machines.box import Box

PACK = "tar -C /home/user --null --verbatim-files-from --no-recursion --hard-dereference -czf - -T -"
AS_PLAYER = "sudo -n setpriv --reuid=1000 --regid=1000 --clear-groups env -C /"
HASH = hashlib.sha256(b"m-1\n").hexdigest()


@pytest.mark.parametrize(
    ("command", "stdout"),
    [
        ("cat /etc/hostname", "m-1\n"),
        ("sudo -n cat /etc/hostname /etc/hostname", "m-1\nm-1\n"),
        ("env LC_ALL=C ls -A /etc/ssh", "ssh_host_ed25519_key\nssh_host_ed25519_key.pub\n"),
        ("env -C /etc cat hostname", "m-1\n"),
        (f"{AS_PLAYER} cat etc/hostname", "m-1\n"),
        ("timeout 20 ls /home", "user\n"),
        ("sha256sum /etc/hostname", f"{HASH}  /etc/hostname\n"),
        ("find -H /etc/hostname -printf '%y %m %s %p\\0'", "f 644 4 /etc/hostname\0"),
        ("findmnt -n -o FSTYPE,SOURCE /", "ext4 /dev/vda1\n"),
    ],
)
async def test_a_program_prints_what_it_prints_on_a_real_machine(box: Box, command: str, stdout: str) -> None:
    assert await box.output(command) == stdout


@pytest.mark.parametrize(
    ("command", "status", "stderr"),
    [
        ("cat /none", 1, "cat: /none: No such file or directory\n"),
        ("mkdir -p /x", 1, "mkdir: cannot create directory '/x': Permission denied\n"),
        ("rm -rf /etc/ssh", 1, "rm: cannot remove '/etc/ssh': Permission denied\n"),
        ("rm -f /none", 0, ""),
        ("ls -A /none", 2, "ls: cannot access '/none': No such file or directory\n"),
        ("env -C /none cat x", 125, "env: cannot change directory to '/none': No such file or directory\n"),
        (
            "setpriv --reuid=0 --regid=0 --clear-groups true",
            127,
            "setpriv: setresuid failed: Operation not permitted\n",
        ),
        ("rclone version", 127, "bash: line 1: rclone: command not found\n"),
        ("sudo -n docker ps", 1, "sudo: docker: command not found\n"),
        ("findmnt -n -o FSTYPE /mnt", 1, ""),
        ("systemctl is-active none.service", 3, ""),
        ("nft -j list table inet t", 1, "nft: Permission denied (are you root?)\n"),
    ],
)
async def test_what_fails_fails_as_it_does_on_a_real_machine(box: Box, command: str, status: int, stderr: str) -> None:
    said = await box.run(command)

    assert (said.status, said.stderr) == (status, stderr)


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("foo", "foo"),
        ("/usr/bin/foo", "/usr/bin/foo"),
        ("sudo -n foo", "foo"),
        ("ls --color /", "ls: option --color not recognized"),
        ("systemctl mask ssh", "systemctl: mask ssh"),
        ("find / -delete", "find: / -delete"),
        ("find -H / -printf %k", "find: -printf %k"),
        ("tar -cf - /etc", "tar: -cf - /etc"),
        ("dd if=/dev/zero of=x", "dd: if=/dev/zero of=x"),
        ("sudo -u user true", "sudo: option -u"),
        ("xargs rm", "xargs: a call without -0, -r or a program"),
        ("curl http://localhost/", "curl: http://localhost/"),
    ],
)
async def test_what_is_not_simulated_is_reported_on_stderr_and_in_the_log(
    box: Box, caplog: pytest.LogCaptureFixture, command: str, missing: str
) -> None:
    said = await box.run(command)

    assert (said.status, said.stdout, said.stderr) == (127, "", f"not simulated: {missing}\n")
    logged = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert logged == [f"not simulated on m-1: {missing!r}"]


@pytest.mark.parametrize(
    "command",
    [
        "cat /etc/hostname; touch x",
        "cat /etc/hostname | cat",
        "true && touch x",
        "cat < /etc/hostname",
        "cat $HOME/x",
        "cat `touch x`",
        "cat ~/x",
        "ls *",
        'cat "/etc/hostname"',
        "X=1 touch x",
        "cat 'open",
        "true &",
        "",
    ],
)
async def test_a_command_line_that_needs_a_shell_is_refused(box: Box, command: str) -> None:
    said = await box.run(command)

    assert (said.status, said.stdout) == (127, "")
    assert said.stderr.startswith("not simulated: a shell")
    assert not (box.root / "home/user/x").exists()


async def test_quoted_arguments_arrive_as_they_are(box: Box) -> None:
    await box.output("touch 'a; rm -rf $HOME' 'it'\"'\"'s'")

    assert box.machine.root_files.listdir("/home/user") == [".ssh", "a; rm -rf $HOME", "it's"]


async def test_a_program_that_its_owner_brought_is_not_run(box: Box) -> None:
    box.write("/usr/local/bin/mine", "#!/bin/sh\ntouch /root/ran\n")
    before = await box.run("/usr/local/bin/mine")
    box.machine.root_files.chmod("/usr/local/bin/mine", 0o755)

    said = await box.run("/usr/local/bin/mine")

    assert (before.status, said.status) == (127, 127)
    assert said.stderr == "not simulated: a program of its own: /usr/local/bin/mine\n"


async def test_no_program_sees_the_host(box: Box) -> None:
    said = await box.run("cat /etc/passwd ../../../../etc/hostname")
    found = await box.run("sudo find -H / -printf '%p\\0'")

    assert said.stdout.startswith("root:x:0:0:root:/root:/bin/bash\nuser:x:1000:")
    assert said.stdout.endswith("\nm-1\n")
    assert str(box.root) not in said.stdout + said.stderr + found.stdout + found.stderr


async def test_bytes_arrive_unchanged(box: Box) -> None:
    content = bytes(range(256)) * 5000

    await box.output("dd of=/home/user/big bs=64K status=none", content)
    async with await box.connect() as connection:
        back = await connection.run("cat big", encoding=None)

    assert back.stdout == content
    assert (box.root / "home/user/big").read_bytes() == content


async def test_a_timeout_ends_what_takes_too_long(box: Box) -> None:
    assert (await box.run(f"timeout 1 {box.install_long_program()}")).status == 124


async def test_the_autostop_script_switches_an_idle_machine_off(box: Box) -> None:
    off = asyncio.get_running_loop().create_future()
    box.park.on_power_off = off.set_result
    box.write("/usr/local/bin/autostop.sh", autostop(30))
    box.machine.root_files.chmod("/usr/local/bin/autostop.sh", 0o755)

    await box.run("autostop.sh")

    assert await asyncio.wait_for(off, 10) == "m-1"


async def test_names_from_stdin_are_arguments(box: Box) -> None:
    await box.output("touch a 'b c' d")

    await box.output("xargs -0 -r rm -f --", b"a\0b c\0")
    await box.output("xargs -0 -r rm -f --", b"\0")

    assert box.machine.root_files.listdir("/home/user") == [".ssh", "d"]


async def test_find_enters_only_what_matches(box: Box) -> None:
    for folder in ("top/in/deep", "top/out/deep"):
        box.machine.root_files.mkdir(f"/mnt/{folder}", parents=True)
    tests = "'(' -path /mnt/top -o -path /mnt/top/in -o -path '/mnt/top/in/*' ')'"

    found = await box.output(f"find -H /mnt/top -ignore_readdir_race {tests} -printf '%P\\0' -o -prune")

    assert found.split("\0") == ["", "in", "in/deep", ""]


async def test_an_archive_comes_out_as_it_went_in(box: Box) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("deep/save.srm")
        member.size, member.mtime, member.mode = 4, 1_700_000_000, 0o640
        archive.addfile(member, io.BytesIO(b"data"))

    await box.output("tar -C /home/user -xzf -", packed.getvalue())
    async with await box.connect() as connection:
        back = await connection.run(PACK, input=b"deep/save.srm\0", encoding=None)

    assert isinstance(back.stdout, bytes)
    with tarfile.open(fileobj=io.BytesIO(back.stdout)) as archive:
        found = archive.getmember("deep/save.srm")
        content = archive.extractfile(found)
        assert content is not None
        assert (content.read(), found.mtime, found.mode & 0o700, found.uid) == (b"data", 1_700_000_000, 0o600, 1000)


async def test_a_file_that_is_gone_is_missing_in_the_archive_and_reported(box: Box) -> None:
    async with await box.connect() as connection:
        said = await connection.run(PACK, input=b"none\0", encoding=None)

    assert (said.exit_status, said.stderr) == (2, b"tar: none: Cannot stat: No such file or directory\n")


@pytest.mark.parametrize("name", ["../escape", "a/../../escape", "/../../../../../../tmp/escape-of-the-simulator"])
async def test_an_archive_does_not_unpack_outside_the_machine(box: Box, name: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO(b""))

    await box.run("sudo tar -C / -xzf -", packed.getvalue())

    assert not list(box.root.parent.glob("escape*"))
    assert not list(box.root.parent.parent.glob("escape*"))


async def test_a_package_brings_its_program(box: Box) -> None:
    before = await box.run("rclone version")

    await box.output("sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y rclone")
    after = await box.output("rclone version")

    assert before.status == 127
    assert after.startswith("rclone v1.60.1-DEV\n")


@pytest.mark.parametrize(
    ("command", "stderr"),
    [
        ("apt-get install -y rclone", "E: Could not open lock file"),
        ("sudo apt-get install -y no-such-thing", "E: Unable to locate package no-such-thing\n"),
    ],
)
async def test_an_install_that_cannot_be_fails(box: Box, command: str, stderr: str) -> None:
    said = await box.run(command)

    assert said.status == 100
    assert said.stderr.startswith(stderr)


async def test_an_install_can_be_made_to_fail(box: Box) -> None:
    box.park.set_fault("m-1", "install-fails", True)

    failed = await box.run("sudo apt-get install -y rclone")
    box.park.set_fault("m-1", "install-fails", False)
    repeated = await box.run("sudo apt-get install -y rclone")

    assert (failed.status, repeated.status) == (100, 0)
    assert "E: Unable to fetch some archives" in failed.stderr
