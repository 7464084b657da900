from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import asyncssh
import pytest

from errors import ProviderRefusedError
from streaming.keys import ensure_key_pair


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "ssh" / "id_ed25519"

    first = ensure_key_pair(path)
    second = ensure_key_pair(path)

    assert first.public_key == second.public_key
    assert first.public_key.startswith("ssh-ed25519 AAAA")
    assert first.public_key.endswith(" gamer-provisioner")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["id_ed25519"]


def test_openssh_reads_the_same_public_key_from_the_file(tmp_path: Path) -> None:
    pair = ensure_key_pair(tmp_path / "id_ed25519")

    read = subprocess.run(["ssh-keygen", "-y", "-f", pair.path], check=True, capture_output=True, text=True).stdout

    assert read.strip() == pair.public_key


def test_processes_that_start_together_end_up_with_one_key(tmp_path: Path) -> None:
    path, gate = tmp_path / "id_ed25519", tmp_path / "gate"
    code = (
        "import pathlib, sys, streaming.keys as k\n"
        "print('ready', flush=True)\n"
        "while not pathlib.Path(sys.argv[2]).exists(): pass\n"
        "print(k.ensure_key_pair(pathlib.Path(sys.argv[1])).public_key)"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, path, gate], stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
        for _ in range(4)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"

    gate.touch()
    printed = {child.communicate()[0].strip() for child in children}

    assert printed == {ensure_key_pair(path).public_key}
    assert [child.returncode for child in children] == [0, 0, 0, 0]


def test_an_existing_key_without_a_comment_is_used_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "id_rsa"
    made = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    path.write_bytes(made.export_private_key())

    pair = ensure_key_pair(path)

    assert pair.public_key.split(" ")[:2] == made.export_public_key().decode().split()[:2]


@pytest.mark.parametrize("content", [b"", b"not a key", b"-----BEGIN OPENSSH PRIVATE KEY-----\n"])
def test_a_file_that_is_no_key_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "id_ed25519"
    path.write_bytes(content)

    with pytest.raises(ProviderRefusedError, match="cannot be used"):
        ensure_key_pair(path)

    assert path.read_bytes() == content


def test_a_key_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", path], check=True)

    with pytest.raises(ProviderRefusedError, match="cannot be used"):
        ensure_key_pair(path)


def test_the_private_half_never_prints(tmp_path: Path) -> None:
    pair = ensure_key_pair(tmp_path / "id_ed25519")

    assert repr(pair) == f"KeyPair(path={pair.path!r}, public_key={pair.public_key!r})"
