"""Command lines, as a stranger sends them."""

from __future__ import annotations

import io
import tarfile

import pytest

from tests.simulator.machines.box import Box


@pytest.mark.parametrize(
    ("command", "stdout"),
    [
        ("echo a b", "a b\n"),
        ("echo 'a  b' \"$HOME\" ~ ~/x", "a  b /home/user /home/user /home/user/x\n"),
        ("X=1 env | grep ^X=; echo [$X]", "X=1\n[]\n"),
        ("true && echo yes || echo no; false && echo yes || echo no", "yes\nno\n"),
        ("! false; echo $?", "0\n"),
        ("echo one; exit 0; echo two", "one\n"),
        ("printf '%s-%02d\\n' a 7 b 8", "a-07\nb-08\n"),
        ("for x in 1 2 3; do printf $x; done; echo", "123\n"),
        ("i=0; while [ $i -lt 3 ]; do i=$((i+1)); done; echo $i", "3\n"),
        ("if test -d /etc && [ ! -e /none ]; then echo both; else echo not; fi", "both\n"),
        ("case a.gb in *.nes) echo nes;; *.gb|*.gbc) echo gb;; esac", "gb\n"),
        ("f() { echo got $1 $#; return 3; }; f a b; echo $?", "got a 2\n3\n"),
        ('x=$(echo inner; true); echo "<$x>" ${x:-other} ${none:-other} ${x#in}', "<inner> inner other ner\n"),
        ("sh -c 'echo $0 $1' name first", "name first\n"),
        ("sudo -n whoami; sudo -n -u user whoami; sudo -n -u '#1000' id -u", "root\nuser\n1000\n"),
        ("sudo -n HOME=/x sh -c 'echo $HOME'", "/x\n"),
        ("(cd /etc; pwd); pwd", "/etc\n/home/user\n"),
        ("echo text > a; echo more >> a; cat < a; wc -l < a", "text\nmore\n2\n"),
        ("ls /none 2>&1 | grep -c 'No such file'", "1\n"),
        ("echo lost 2>/dev/null >&2; echo kept", "kept\n"),
        ("cat <<EOF\n$USER\nEOF", "user\n"),
        ("cat <<'EOF'\n$USER\nEOF", "$USER\n"),
        ("touch b1 b2 c; echo b*; echo 'b*' z*", "b1 b2\nb* z*\n"),
        ("echo b a c | tr ' ' '\\n' | sort | head -n 2 | tr '\\n' ' '", "a b "),
        ("printf 'a:1\\nb:2\\n' | cut -d: -f2 | tail -1", "2\n"),
        ("printf abc | sha256sum", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  -\n"),
        ("timeout 1 sleep 100000; echo $?; timeout 1 true; echo $?", "124\n0\n"),
        ("mkdir -p d/e; touch d/e/f; find d -type f; rm -r d; ls", "d/e/f\n"),
        ("command -v cat || echo none; command -v rclone || echo none", "/usr/bin/cat\nnone\n"),
        ("echo 'echo from a script $1' > s; chmod +x s; ./s arg", "from a script arg\n"),
        ("install -m 0600 /dev/null n; stat -c '%a %U' n", "600 user\n"),
    ],
)
async def test_a_command_line_does_what_a_shell_would_do(box: Box, command: str, stdout: str) -> None:
    assert (await box.run(command)).stdout == stdout


@pytest.mark.parametrize(
    ("command", "status", "stderr"),
    [
        ("foo", 127, "sh: 1: foo: not found\n"),
        ("/usr/bin/foo", 127, "sh: 1: /usr/bin/foo: not found\n"),
        ("touch s; ./s", 126, "sh: 1: ./s: Permission denied\n"),
        ("exit 7", 7, ""),
        ("set -e; false; true", 1, ""),
        ("cat /none", 1, "cat: /none: No such file or directory\n"),
        ("sudo -n foo", 1, "sudo: foo: command not found\n"),
        ("echo 'open", 2, "sh: 1: Unterminated quoted string\n"),
        ("if true", 2, "sh: 1: Syntax error: end of file unexpected\n"),
        ("echo x > /etc/x", 2, "sh: 1: cannot open /etc/x: Permission denied\n"),
        ("mkdir /x", 1, "mkdir: cannot create directory '/x': Permission denied\n"),
        ("cat /root/.bashrc", 1, "cat: /root/.bashrc: Permission denied\n"),
        ("rm -r /etc/ssh", 1, "rm: cannot remove '/etc/ssh': Permission denied\n"),
        ("docker ps", 127, "sh: 1: docker: not found\n"),
        ("apt-get install -y rclone", 100, None),
        ("sudo apt-get install -y no-such-thing", 100, None),
        ("systemctl is-active none.service", 3, ""),
    ],
)
async def test_what_fails_fails_as_it_does_on_a_real_machine(
    box: Box, command: str, status: int, stderr: str | None
) -> None:
    said = await box.run(command)

    assert said.status == status
    assert stderr is None or said.stderr == stderr


async def test_no_command_sees_the_host(box: Box) -> None:
    said = await box.run("cat /etc/passwd; ls /; ls ../../../..; sudo find / -maxdepth 2")

    assert "root:x:0:0:root:/root:/bin/bash\nuser:x:1000:" in said.stdout
    assert str(box.root) not in said.stdout + said.stderr
    assert "nobody" not in said.stdout


async def test_bytes_go_through_unchanged_in_both_directions(box: Box) -> None:
    content = bytes(range(256)) * 5000

    async with await box.connect() as connection:
        written = await connection.run("tee big | sha256sum > sum; cat big", input=content, encoding=None)

    assert written.stdout == content
    assert (box.root / "home/user/big").read_bytes() == content


async def test_an_archive_comes_out_as_it_went_in(box: Box) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("deep/save.srm")
        member.size, member.mtime, member.mode = 4, 1_700_000_000, 0o640
        archive.addfile(member, io.BytesIO(b"data"))

    await box.output("tar -xzf -", packed.getvalue())
    async with await box.connect() as connection:
        back = await connection.run("tar -C /home/user -czf - -- deep", encoding=None)

    assert isinstance(back.stdout, bytes)
    with tarfile.open(fileobj=io.BytesIO(back.stdout)) as archive:
        found = archive.getmember("deep/save.srm")
        content = archive.extractfile(found)
        assert content is not None
        assert (content.read(), found.mtime, found.mode & 0o700, found.uid) == (b"data", 1_700_000_000, 0o600, 1000)


@pytest.mark.parametrize("name", ["../escape", "a/../../escape", "/../../../../../../tmp/escape-of-the-simulator"])
async def test_an_archive_does_not_unpack_outside_the_machine(box: Box, name: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO(b""))

    await box.run("sudo tar -C / -xf -", packed.getvalue())

    assert not list(box.root.parent.glob("escape*"))
    assert not list(box.root.parent.parent.glob("escape*"))


async def test_a_package_brings_its_program(box: Box) -> None:
    before = await box.run("rclone version")

    await box.output("sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y rclone")
    after = await box.output("rclone version | head -1; dpkg -s rclone | head -2 | tail -1")

    assert before.status == 127
    assert after == "rclone v1.60.1-DEV\nStatus: install ok installed\n"


async def test_an_install_can_be_made_to_fail(box: Box) -> None:
    box.park.set_fault("m-1", "install-fails", True)

    failed = await box.run("sudo apt-get install -y rclone")
    box.park.set_fault("m-1", "install-fails", False)
    repeated = await box.run("sudo apt-get install -y rclone")

    assert (failed.status, repeated.status) == (100, 0)
    assert "E: Unable to fetch some archives" in failed.stderr
