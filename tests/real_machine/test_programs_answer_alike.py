"""The argument lists that the service sends to machines, run on a real machine and on a simulated one.

Status and output must be the same. The output is left out of the comparison where it differs between two real machines
as well (ids, versions, where an error points at).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from streaming.addresses import Address
from streaming.keys import KeyPair
from streaming.ssh import ANY_STATUS, Answer, Shell, Ssh
from tests.real_machine.machine import RealMachine
from tests.real_machine.world import address_of
from tests.streaming.simulated import Simulated, machine_with_wolf

pytestmark = pytest.mark.timeout(300)
FOLDER = "/var/lib/gamer/compare"
HOME = "/var/lib/cloudypad/wolf/player-1/GB-tetris"
UNIT = "[Unit]\nDescription=A unit of the comparison\n[Service]\nType=oneshot\nExecStart=/bin/true\n"
ROOT, LOGIN, PLAYER = "root", "login", "player"


@dataclass(frozen=True)
class Ask:
    """`who`: as root through sudo, as the log-in user, or as the player's uid. `text`: compare the output too."""

    argv: tuple[str, ...]
    who: str = ROOT
    stdin: bytes | None = None
    text: bool = True


def ask(*argv: str, who: str = ROOT, stdin: bytes | None = None, text: bool = True) -> Ask:
    return Ask(argv, who, stdin, text)


# In this order: later ones look at what earlier ones made.
ASKS = (
    ask("true", who=LOGIN),
    ask("test", "-f", "/nowhere", who=LOGIN),
    ask("env", "LC_ALL=C", "cat", "/nowhere/file", text=False),
    ask("install", "-d", "-m", "0700", FOLDER),
    ask("install", "-m", "0600", "/dev/null", f"{FOLDER}/draft"),
    ask("dd", f"of={FOLDER}/draft", "bs=64K", "status=none", stdin=b"some content\n"),
    ask("sha256sum", f"{FOLDER}/draft"),
    ask("mv", "-f", f"{FOLDER}/draft", f"{FOLDER}/file"),
    ask("env", "LC_ALL=C", "cat", f"{FOLDER}/file"),
    ask("cp", f"{FOLDER}/file", f"{FOLDER}/copy"),
    ask("cp", f"{FOLDER}/missing", f"{FOLDER}/copy"),
    ask("rm", "-f", f"{FOLDER}/missing"),
    ask("touch", f"{FOLDER}/touched"),
    ask("ls", "-A", FOLDER),
    ask("ls", "-A", FOLDER, who=LOGIN, text=False),
    ask("install", "-d", "-o", "1000", "-g", "1000", "-m", "0755", "/var/lib/cloudypad/wolf/player-1", HOME),
    ask("env", "-C", "/", "mkdir", "-p", f"{HOME}/saves", who=PLAYER),
    ask("env", "-C", "/", "dd", f"of={HOME}/saves/tetris.srm", "status=none", who=PLAYER, stdin=b"level 7"),
    ask("env", "-C", "/", "ln", "-sfn", "--", "saves", f"{HOME}/link", who=PLAYER),
    ask("find", "-H", HOME, "-ignore_readdir_race", "-printf", r"%y %U %m %s %l %p\0"),
    ask("find", "-H", "/nowhere", "-printf", r"%p\0"),
    ask("env", "-C", "/", "rm", "-rf", "--", f"{HOME}/saves", who=PLAYER),
    ask("findmnt", "-n", "-o", "FSTYPE,OPTIONS", "/var/lib/gamer", who=LOGIN),
    ask("timeout", "20", "ls", "-A", FOLDER),
    ask("timeout", "20", "ls", "-A", "/nowhere"),
    ask("dd", "of=/etc/systemd/system/compare.service", "status=none", stdin=UNIT.encode()),
    ask("systemctl", "daemon-reload"),
    ask("systemctl", "restart", "compare.service"),
    ask("systemctl", "is-active", "compare.service"),
    ask("systemctl", "restart", "missing.service", text=False),
    ask("docker", "ps", "--filter", "status=paused", "--format", "{{.Names}}"),
    ask("docker", "stop", "-t", "1", "missing"),
    ask("docker", "unpause", "missing"),
    ask("cloud-init", "status", "--wait", text=False),
    ask("fusermount3", "-uz", "/var/lib/gamer", text=False),
    ask("curl", "-sS", "--unix-socket", "/nowhere.sock", "http://localhost/", text=False),
    ask("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "nftables", text=False),
    ask("nft", "-j", "list", "table", "inet", "absent", text=False),
    ask("cat", "/proc/sys/kernel/random/boot_id", who=LOGIN, text=False),
    ask("no-such-program", who=LOGIN, text=False),
)


@pytest.fixture
async def simulated(tmp_path: Path, key: KeyPair) -> AsyncIterator[Simulated]:
    async with machine_with_wolf(tmp_path / "park", key) as simulated:
        yield simulated


async def test_a_simulated_machine_answers_as_a_real_one(
    machine: RealMachine, simulated: Simulated, key: KeyPair
) -> None:
    real = await answers(Ssh(key), address_of(machine))
    imitated = await answers(simulated.ssh, simulated.address)

    different = [
        f"{' '.join(one.argv)}\n  real:      {left}\n  simulated: {right}"
        for one, left, right in zip(ASKS, real, imitated, strict=True)
        if left != right
    ]
    assert different == [], "\n".join(different)


async def answers(ssh: Ssh, address: Address) -> list[str]:
    async with ssh.shell(address) as shell:
        return [described(one, await _answer(shell, one)) for one in ASKS]


async def _answer(shell: Shell, one: Ask) -> Answer:
    if one.who == PLAYER:
        return await shell.run_as_user(1000, *one.argv, input=one.stdin, expected=ANY_STATUS)
    send = shell.run if one.who == LOGIN else shell.sudo
    return await send(*one.argv, input=one.stdin, expected=ANY_STATUS)


def described(one: Ask, answer: Answer) -> str:
    text = f" {sorted(answer.stdout.decode(errors='replace').split(chr(0)))} {answer.stderr!r}" if one.text else ""
    return f"status {answer.exit_status}{text}"
