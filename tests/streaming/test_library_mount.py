from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from errors import ProviderBusyError, ProviderRefusedError
from streaming.keys import KeyPair
from streaming.library_mount import LibrarySource, mount
from streaming.ssh import Shell, Ssh
from tests.streaming.box import Box, Said, running_box

SOURCE = LibrarySource("gamer-library")
ENVIRONMENT = "/etc/gamer/library.env"
UNIT = "/etc/systemd/system/gamer-library.service"


class Machine:
    """A box with the programs that a mount needs, which mount as systemd would be told to."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.installed = {"rclone", "fusermount3"}
        self.mounted = False
        self.options = "ro,nosuid,nodev,relatime,user_id=0,group_id=0,allow_other"
        self.propagation = "shared"
        self.hangs = False
        self.games = "gb\nswitch\n"
        box.path("/etc/systemd/system").mkdir(parents=True)
        box.path("/mnt/games/.library").mkdir(parents=True)
        box.programs |= {
            "rclone": self._installed("rclone"),
            "fusermount3": self._fusermount,
            "env": self._apt,
            "apt-get": lambda argv, given: (0, ""),
            "systemctl": self._systemctl,
            "findmnt": self._findmnt,
            "mount": lambda argv, given: (0, ""),
            "timeout": lambda argv, given: (124, "") if self.hangs else (0, self.games),
        }

    def ran(self, program: str) -> list[str]:
        return [command for command in self.box.commands if command.split()[0] == program]

    def _installed(self, program: str) -> Callable[[list[str], bytes], Said]:
        return lambda argv, given: (0 if program in self.installed else 127, "")

    def _findmnt(self, argv: list[str], given: bytes) -> Said:
        if "PROPAGATION" in argv:
            return 0, f"{self.propagation}\n"
        return (0, f"fuse.rclone {self.options}\n") if self.mounted else (1, "")

    def _fusermount(self, argv: list[str], given: bytes) -> Said:
        if argv[0] == "-uz":
            self.hangs = self.mounted = False
        return (0 if "fusermount3" in self.installed else 127, "")

    def _apt(self, argv: list[str], given: bytes) -> Said:
        self.installed |= {"rclone", "fusermount3"}
        return 0, ""

    def _systemctl(self, argv: list[str], given: bytes) -> Said:
        self.mounted = self.mounted or argv[0] == "restart"
        return 0, ""


@pytest.fixture
async def machine(tmp_path: Path, key: KeyPair) -> AsyncIterator[Machine]:
    async with running_box(tmp_path, key) as box:
        yield Machine(box)


@pytest.fixture
async def shell(machine: Machine, ssh: Ssh) -> AsyncIterator[Shell]:
    async with ssh.shell(machine.box.address) as shell:
        yield shell


async def test_the_library_is_mounted_read_only_by_a_service(machine: Machine, shell: Shell) -> None:
    await mount(shell, SOURCE)

    unit = machine.box.path(UNIT).read_text()
    assert "Type=notify" in unit
    assert "rclone mount gcs:gamer-library/roms /mnt/games/.library --read-only --allow-other " in unit
    assert machine.box.path(ENVIRONMENT).read_text() == (
        'RCLONE_CONFIG_GCS_TYPE="google cloud storage"\n'
        "RCLONE_CONFIG_GCS_BUCKET_POLICY_ONLY=true\n"
        "RCLONE_CONFIG_GCS_NO_CHECK_BUCKET=true\n"
        "RCLONE_CONFIG_GCS_ANONYMOUS=true\n"
    )
    assert machine.ran("systemctl") == [
        "systemctl daemon-reload",
        "systemctl enable gamer-library.service",
        "systemctl restart gamer-library.service",
    ]


async def test_the_key_lies_on_the_machine_for_root_alone(machine: Machine, shell: Shell) -> None:
    await mount(shell, LibrarySource("gamer-library", key=b'{"private_key": "secret"}'))

    file = machine.box.path("/etc/gamer/library-key.json")
    assert file.read_bytes() == b'{"private_key": "secret"}'
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(machine.box.path(ENVIRONMENT).stat().st_mode) == 0o600
    assert stat.S_IMODE(machine.box.path("/etc/gamer").stat().st_mode) == 0o700
    assert "RCLONE_CONFIG_GCS_SERVICE_ACCOUNT_FILE=/etc/gamer/library-key.json" in (
        machine.box.path(ENVIRONMENT).read_text()
    )
    assert not [command for command in machine.box.commands if "secret" in command]


async def test_another_endpoint_is_told_to_rclone(machine: Machine, shell: Shell) -> None:
    await mount(shell, LibrarySource("gamer-library", "http://127.0.0.1:4443/"))

    assert 'RCLONE_CONFIG_GCS_ENDPOINT="http://127.0.0.1:4443/storage/v1/"\n' in (
        machine.box.path(ENVIRONMENT).read_text()
    )


async def test_a_library_that_is_mounted_is_left_alone(machine: Machine, shell: Shell) -> None:
    await mount(shell, SOURCE)
    machine.box.commands.clear()

    await mount(shell, SOURCE)

    assert machine.ran("systemctl") == machine.ran("dd") == []


async def test_another_key_is_mounted_anew(machine: Machine, shell: Shell) -> None:
    await mount(shell, LibrarySource("gamer-library", key=b"old"))
    machine.box.commands.clear()

    await mount(shell, LibrarySource("gamer-library", key=b"new"))

    assert "systemctl restart gamer-library.service" in machine.ran("systemctl")


async def test_missing_programs_are_not_installed_while_others_use_the_package_manager(
    machine: Machine, shell: Shell
) -> None:
    machine.installed.discard("rclone")

    with pytest.raises(ProviderBusyError, match="rclone can be installed once the set-up is over"):
        await mount(shell, SOURCE, may_install=False)

    assert [command for command in machine.ran("env") if "apt-get" in command] == []


async def test_missing_programs_are_installed_and_present_ones_are_not(machine: Machine, shell: Shell) -> None:
    machine.installed.discard("rclone")

    await mount(shell, SOURCE)

    assert machine.ran("env")[1:] == [
        "env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -o DPkg::Lock::Timeout=300 "
        "install -y --no-install-recommends rclone"
    ]


async def test_a_hung_mount_is_taken_down_and_mounted_again(machine: Machine, shell: Shell) -> None:
    await mount(shell, SOURCE)
    machine.hangs = True

    await mount(shell, SOURCE)

    assert "fusermount3 -uz /mnt/games/.library" in machine.ran("fusermount3")
    assert machine.mounted


async def test_everything_at_the_top_of_the_library_is_linked_where_containers_look(
    machine: Machine, shell: Shell
) -> None:
    machine.games = "gb\nswitch\nfirmware\n-rf\na b\n$(x)\n"

    await mount(shell, SOURCE)
    machine.box.commands.clear()
    await mount(shell, SOURCE)

    games = machine.box.path("/mnt/games")
    links = {link.name: str(link.readlink()) for link in games.iterdir() if link.is_symlink()}
    assert links == {"gb": ".library/gb", "switch": ".library/switch", "firmware": ".library/firmware"}
    assert machine.ran("ln") == []


async def test_containers_may_follow_the_mounts_of_every_machine(machine: Machine, shell: Shell) -> None:
    await mount(shell, SOURCE)
    left_alone = machine.ran("mount")
    machine.propagation = "private"

    await mount(shell, SOURCE)

    assert left_alone == []
    assert machine.ran("mount") == ["mount --make-rshared /"]


async def test_a_mount_that_could_be_written_is_none(machine: Machine, shell: Shell) -> None:
    machine.options = "rw,nosuid,nodev"

    with pytest.raises(ProviderBusyError, match="did not mount"):
        await mount(shell, SOURCE)


async def test_a_service_that_does_not_start_says_why(machine: Machine, shell: Shell) -> None:
    machine.box.programs["systemctl"] = lambda argv, given: (1 if argv[0] == "restart" else 0, "Job failed\n")
    machine.box.programs["journalctl"] = lambda argv, given: (0, "Fatal error: googleapi: Error 403: no access\n")

    with pytest.raises(ProviderBusyError, match="did not mount: Fatal error: googleapi: Error 403: no access"):
        await mount(shell, SOURCE)


async def test_an_empty_library_is_an_operators_matter(machine: Machine, shell: Shell) -> None:
    machine.games = ""

    with pytest.raises(ProviderRefusedError, match="bucket gamer-library has nothing under roms/"):
        await mount(shell, SOURCE)


@pytest.mark.parametrize(
    ("bucket", "url"),
    [
        ("x y", "https://a"),
        ("games\nExecStart=/bin/sh", "https://a"),
        ("games", 'https://a"\nX=1'),
        ("games", "file:///"),
    ],
)
def test_what_would_not_be_one_line_of_a_unit_is_refused(bucket: str, url: str) -> None:
    with pytest.raises(ProviderRefusedError):
        LibrarySource(bucket, url)


def test_the_key_never_prints() -> None:
    assert "secret" not in repr(LibrarySource("gamer-library", key=b"secret"))
