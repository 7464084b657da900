"""Against a real OpenSSH server, and against one that breaks in the ways machines do."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from errors import ProviderBusyError, ProviderRefusedError
from streaming.addresses import Address
from streaming.keys import KeyPair, ensure_key_pair
from streaming.ssh import CommandFailedError, Ssh
from tests.streaming.conftest import Sshd

Handler = Callable[[asyncssh.SSHServerProcess[bytes]], Awaitable[None]]


async def test_the_first_contact_learns_the_key_and_later_ones_accept_it(ssh: Ssh, sshd: Sshd) -> None:
    offered = " ".join((sshd.folder / "host_key.pub").read_text().split()[:2])

    async with ssh.shell(sshd.address()) as shell:
        learned = shell.host_key
    async with ssh.shell(sshd.address(learned)) as shell:
        answer = await shell.run("echo", "hello")

    assert learned == offered
    assert answer.text == "hello"


async def test_another_host_key_than_the_pinned_one_is_refused(ssh: Ssh, sshd: Sshd) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()

    with pytest.raises(ProviderRefusedError, match="differs from the pinned one"):
        async with ssh.shell(sshd.address(other)):
            pytest.fail("connected to a machine with another key")


async def test_a_host_key_of_another_kind_than_the_pinned_one_is_refused(ssh: Ssh, sshd: Sshd) -> None:
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode().strip()

    with pytest.raises(ProviderRefusedError):
        async with ssh.shell(sshd.address(other)):
            pytest.fail("connected to a machine with another key")


async def test_a_pinned_key_that_cannot_be_read_is_refused(ssh: Ssh, sshd: Sshd) -> None:
    with pytest.raises(ProviderRefusedError, match="cannot be read"):
        async with ssh.shell(sshd.address("ssh-ed25519 nonsense")):
            pytest.fail("connected")


async def test_a_machine_that_does_not_know_our_key_yet_may_be_asked_again(sshd: Sshd, tmp_path: Path) -> None:
    stranger = Ssh(ensure_key_pair(tmp_path / "stranger"), connect_timeout_s=5)

    with pytest.raises(ProviderBusyError, match="does not accept our key"):
        async with stranger.shell(sshd.address()):
            pytest.fail("connected with a key that nobody knows")


async def test_agent_configuration_and_known_hosts_of_this_machine_take_no_part(
    sshd: Sshd, key: KeyPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home" / ".ssh"
    home.mkdir(parents=True)
    (home / "id_ed25519").write_bytes(key.private_key.export_private_key())
    (home / "known_hosts").write_text(f"[127.0.0.1]:{sshd.port} {(sshd.folder / 'host_key.pub').read_text()}")
    (home / "config").write_text(f"Host *\n  IdentityFile {home}/id_ed25519\n  User nobody\n")
    monkeypatch.setenv("HOME", str(home.parent))
    stranger = Ssh(ensure_key_pair(tmp_path / "stranger"), connect_timeout_s=5)
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()

    with pytest.raises(ProviderBusyError, match="does not accept our key"):
        async with stranger.shell(sshd.address()):
            pytest.fail("connected with another key than ours")
    with pytest.raises(ProviderRefusedError, match="differs from the pinned one"):
        async with Ssh(key).shell(sshd.address(other)):
            pytest.fail("accepted a key from known_hosts")


async def test_no_agent_is_asked(ssh: Ssh, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def agent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append("asked")
        writer.close()

    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    async with await asyncio.start_unix_server(agent, tmp_path / "agent"), ssh.shell(sshd.address()) as shell:
        await shell.run("true")

    assert asked == []


async def test_a_closed_port_may_be_asked_again(ssh: Ssh, sshd: Sshd) -> None:
    closed = replace(sshd.address(), ssh_port=1)

    with pytest.raises(ProviderBusyError, match="SSH to 127"):
        async with ssh.shell(closed):
            pytest.fail("connected to a closed port")


HOSTILE = ["$(touch {0})", "; touch {0}", "`touch {0}`", "a b", "'", '"', "\n", "*", "~", "-n", "|| touch {0}", "é"]


@pytest.mark.parametrize("text", HOSTILE)
async def test_arguments_arrive_as_they_are_and_run_nothing(ssh: Ssh, sshd: Sshd, tmp_path: Path, text: str) -> None:
    trap = tmp_path / "trap"
    argument = text.format(trap)

    async with ssh.shell(sshd.address()) as shell:
        answer = (
            await shell.run("printf", "%s", argument) if argument != "-n" else await shell.run("printf", "%s", "-n")
        )

    assert answer.stdout.decode() == argument
    assert not trap.exists()


async def test_a_failing_command_says_what_it_said(ssh: Ssh, sshd: Sshd) -> None:
    async with ssh.shell(sshd.address()) as shell:
        with pytest.raises(CommandFailedError, match="cat failed on the machine with status 1: cat: /nowhere"):
            await shell.run("cat", "/nowhere")
        quiet = await shell.run("false", expected=(0, 1))

    assert quiet.exit_status == 1


async def test_input_and_output_of_megabytes_pass_unharmed(ssh: Ssh, sshd: Sshd) -> None:
    content = os.urandom(3_000_000)

    async with ssh.shell(sshd.address()) as shell:
        answer = await shell.run("cat", input=content)

    assert answer.stdout == content


async def test_a_program_that_reads_nothing_of_its_input_ends_well(ssh: Ssh, sshd: Sshd) -> None:
    async with ssh.shell(sshd.address()) as shell:
        answer = await shell.run("true", input=bytes(3_000_000))

    assert answer.exit_status == 0


async def test_more_output_than_allowed_ends_the_command(ssh: Ssh, sshd: Sshd) -> None:
    async with ssh.shell(sshd.address()) as shell:
        with pytest.raises(ProviderBusyError, match="more than 1000 bytes"):
            await shell.run("cat", "/dev/zero", limit_bytes=1000)


async def test_a_command_that_takes_too_long_is_given_up(ssh: Ssh, sshd: Sshd) -> None:
    async with ssh.shell(sshd.address()) as shell:
        with pytest.raises(ProviderBusyError, match="sleep on the machine: no response in time"):
            await shell.run("sleep", "60", timeout_s=0.2)


@pytest.mark.parametrize("name", ["plain.txt", "it's a file; with $(traps).txt"])
async def test_a_written_file_is_whole_and_has_its_mode(ssh: Ssh, sshd: Sshd, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content = os.urandom(100_000)

    async with ssh.shell(sshd.address()) as shell:
        await shell.write_file(str(path), content, 0o600)
        read = await shell.read_file(str(path))

    assert path.read_bytes() == content == read
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.with_name(f"{name}.new").exists()


async def test_a_file_written_in_place_keeps_its_inode(ssh: Ssh, sshd: Sshd, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("old")
    before = path.stat().st_ino

    async with ssh.shell(sshd.address()) as shell:
        await shell.write_file(str(path), b"new", 0o644, in_place=True)

    assert path.read_text() == "new"
    assert path.stat().st_ino == before


async def test_a_missing_file_reads_as_none_and_a_folder_is_an_error(ssh: Ssh, sshd: Sshd, tmp_path: Path) -> None:
    async with ssh.shell(sshd.address()) as shell:
        missing = await shell.read_file(str(tmp_path / "missing"))
        with pytest.raises(CommandFailedError):
            await shell.read_file(str(tmp_path))

    assert missing is None


async def test_a_user_that_is_not_root_becomes_it_without_a_password(ssh: Ssh, key: KeyPair) -> None:
    commands: list[str] = []

    async def remember(process: asyncssh.SSHServerProcess[bytes]) -> None:
        commands.append(process.command or "")
        process.exit(0)

    async with faulty_server(key, remember) as address, ssh.shell(address) as shell:
        await shell.sudo("docker", "restart", "wolf")

    assert commands == ["sudo -n docker restart wolf"]


async def test_a_refused_sudo_names_the_program_that_failed(ssh: Ssh, key: KeyPair) -> None:
    async def refuse(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stderr.write(b"sudo: a password is required\n")
        process.exit(1)

    async with faulty_server(key, refuse) as address, ssh.shell(address) as shell:
        with pytest.raises(CommandFailedError, match="docker failed on the machine with status 1: sudo: a password"):
            await shell.sudo("docker", "ps")


async def test_a_connection_that_drops_in_the_middle_of_a_command_may_be_asked_again(ssh: Ssh, key: KeyPair) -> None:
    async def drop(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"half an ans")
        process.channel.get_connection().abort()

    async with faulty_server(key, drop) as address, ssh.shell(address) as shell:
        with pytest.raises(ProviderBusyError):
            await shell.run("tar", "-czf", "-", ".")


async def test_a_file_that_arrives_changed_does_not_replace_the_old_one(ssh: Ssh, key: KeyPair) -> None:
    commands: list[str] = []

    async def lose_a_byte(process: asyncssh.SSHServerProcess[bytes]) -> None:
        commands.append(process.command or "")
        process.stdout.write(b"0" * 64 + b"  file\n")
        process.exit(0)

    async with faulty_server(key, lose_a_byte) as address, ssh.shell(address) as shell:
        with pytest.raises(ProviderBusyError, match="did not arrive completely"):
            await shell.write_file("/etc/file", b"content", 0o600)

    assert not [command for command in commands if " mv " in command or " cp " in command]


async def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up(key: KeyPair) -> None:
    held: list[asyncio.StreamWriter] = []

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(ProviderBusyError, match="no response in time"):
            async with Ssh(key, connect_timeout_s=0.2).shell(Address("127.0.0.1", port, "user", None, 0, 0, 0)):
                pytest.fail("connected to silence")
    for writer in held:
        writer.close()


async def test_a_key_refused_at_first_is_accepted_once_the_machine_has_it(sshd: Sshd, key: KeyPair, ssh: Ssh) -> None:
    keys = sshd.folder / "authorized_keys"
    keys.write_text("")

    with pytest.raises(ProviderBusyError):
        async with ssh.shell(sshd.address()):
            pytest.fail("connected before the key was installed")
    keys.write_text(key.public_key)
    async with ssh.shell(sshd.address()) as shell:
        answer = await shell.run("true")

    assert answer.exit_status == 0


@asynccontextmanager
async def faulty_server(key: KeyPair, handler: Handler) -> AsyncIterator[Address]:
    """A server that lets our key in and answers every command by `handler`."""
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        authorized_client_keys=asyncssh.import_authorized_keys(key.public_key),
        process_factory=handler,
        encoding=None,
    )
    async with server:
        yield Address("127.0.0.1", server.get_port(), "user", None, 47984, 47989, 48010)
