"""rclone's mount on a machine, against a bucket."""

from __future__ import annotations

import pytest

from simulator.bucket.store import ObjectStore
from tests.simulator.machines.box import Box

Bucket = tuple[ObjectStore, str]
UNIT = """[Service]
Type=notify
EnvironmentFile=/etc/gamer/library.env
ExecStart=/usr/bin/rclone mount gcs:games/roms /mnt/games --read-only --allow-other --dir-cache-time 1m --uid 1000
ExecStop=/bin/fusermount3 -u /mnt/games
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""


@pytest.fixture
async def library(box: Box, bucket: Bucket) -> Box:
    """A machine with a unit that mounts the bucket at /mnt/games."""
    await box.machine.packages.install(["rclone", "fuse3"])
    for folder in ("/etc/gamer", "/mnt/games"):
        box.machine.root_files.mkdir(folder)
    box.write("/etc/gamer/library.env", "".join(f"{line}\n" for line in _variables(bucket[1])))
    box.write("/etc/systemd/system/library.service", UNIT)
    return box


async def test_a_mount_shows_the_library_and_lets_nobody_write(library: Box) -> None:
    await library.output("sudo systemctl start library")

    touched = await library.run("sudo touch /mnt/games/x")

    assert (await library.output("findmnt -n -o FSTYPE,OPTIONS /mnt/games")).startswith("fuse.rclone ro,")
    assert await library.output("ls /mnt/games") == "gb\nswitch\n"
    assert await library.output("cat /mnt/games/gb/tiny.gb") == "tiny"
    assert await library.output("find -H '/mnt/games/switch/big game.nsp' -printf '%s %U'") == "2000000 1000"
    assert touched.stderr == "touch: cannot touch '/mnt/games/x': Read-only file system\n"
    assert (library.root / "mnt/games/gb/tiny.gb").read_bytes() == b"tiny"


async def test_unmounting_leaves_an_empty_folder(library: Box) -> None:
    await library.output("sudo systemctl start library")

    await library.output("sudo fusermount3 -uz /mnt/games")

    assert await library.output("ls -A /mnt/games") == ""
    assert (await library.run("findmnt -n -o FSTYPE /mnt/games")).status == 1


async def test_a_mount_as_a_service_is_there_once_started_and_after_a_boot(library: Box) -> None:
    await library.output("sudo systemctl enable library")
    await library.output("sudo systemctl start library")
    shown = await library.output("ls /mnt/games")
    await library.output("sudo systemctl stop library")
    stopped = await library.output("ls -A /mnt/games")
    await library.output("sudo systemctl start library")

    await library.park.power_off("m-1")
    off = list((library.root / "mnt/games").iterdir())
    await library.park.power_on("m-1")
    await library.output("sudo systemctl start library")

    assert (shown, stopped, off) == ("gb\nswitch\n", "", [])
    assert await library.output("ls /mnt/games") == "gb\nswitch\n"


async def test_a_new_object_appears_when_the_folder_cache_is_over(library: Box, bucket: Bucket) -> None:
    await library.output("sudo systemctl start library")
    bucket[0].write("games", "roms/gb/later.gb", b"later")

    while not library.machine.root_files.exists("/mnt/games/gb/later.gb"):
        await library.machine.clock.sleep(60)

    assert await library.output("cat /mnt/games/gb/later.gb") == "later"


@pytest.mark.parametrize(
    ("prepare", "point", "message"),
    [
        ("true", "/mnt/none", "mountpoint does not exist"),
        ("touch /mnt/games/x", "/mnt/games", "directory is not empty"),
        ("rm /usr/bin/fusermount3", "/mnt/games", 'exec: "fusermount3": not found'),
    ],
)
async def test_a_mount_that_cannot_be_fails(
    library: Box, bucket: Bucket, prepare: str, point: str, message: str
) -> None:
    await library.output(f"sudo {prepare}")

    said = await library.run(_command(_variables(bucket[1]), f"mount gcs:games/roms {point}"))

    assert said.status == 1
    assert message in said.stderr


@pytest.mark.parametrize(
    ("changed", "status", "message"),
    [
        ("RCLONE_CONFIG_GCS_ENDPOINT=", 5, "no such host"),
        ("RCLONE_CONFIG_GCS_SERVICE_ACCOUNT_FILE=/none", 1, "error opening service account credentials file"),
        ("RCLONE_CONFIG_GCS_ANONYMOUS=", 1, "empty token found"),
        ("RCLONE_CONFIG_GCS_TYPE=s3", 1, "didn't find section in config file"),
    ],
)
async def test_a_configuration_that_cannot_work_is_reported(
    library: Box, bucket: Bucket, changed: str, status: int, message: str
) -> None:
    said = await library.run(_command([*_variables(bucket[1]), changed], "mount gcs:games/roms /mnt/games"))

    assert said.status == status
    assert message in said.stderr


@pytest.mark.parametrize(
    ("arguments", "missing"), [("copy a b", "copy a b"), ("mount a b --daemon", "option --daemon")]
)
async def test_other_commands_and_flags_are_not_simulated(library: Box, arguments: str, missing: str) -> None:
    said = await library.run(f"rclone {arguments}")

    assert said.status == 127
    assert said.stderr.startswith(f"not simulated: rclone: {missing}")


def _command(variables: list[str], arguments: str) -> str:
    quoted = " ".join(f"'{one}'" if " " in one else one for one in variables)
    return f"sudo env {quoted} rclone {arguments}"


def _variables(url: str) -> list[str]:
    start = "RCLONE_CONFIG_GCS_"
    return [
        f"{start}TYPE=google cloud storage",
        f"{start}ANONYMOUS=true",
        f"{start}ENDPOINT={url}/storage/v1/",
    ]
