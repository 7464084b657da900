"""rclone on a machine: the same commands as the real one takes, against the same bucket."""

from __future__ import annotations

import json

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
async def environment(box: Box, bucket: Bucket) -> str:
    """Variables in front of a command; rclone and fuse3 are there."""
    await box.output("sudo apt-get install -y rclone fuse3")
    return " ".join(f"RCLONE_CONFIG_GCS_{line}" for line in _variables(bucket[1]))


async def test_a_mount_shows_the_library_and_lets_nobody_write(box: Box, environment: str) -> None:
    await box.output("sudo mkdir -p /mnt/games")

    await box.output(f"sudo {environment} rclone mount gcs:games/roms /mnt/games --read-only --allow-other --daemon")

    assert await box.output("findmnt -n -o FSTYPE,OPTIONS /mnt/games | cut -d, -f1") == "fuse.rclone ro\n"
    assert await box.output("ls /mnt/games; cat /mnt/games/gb/tiny.gb") == "gb\nswitch\ntiny"
    assert await box.output("stat -c %s '/mnt/games/switch/big game.nsp'") == "2000000\n"
    assert (
        await box.run("sudo touch /mnt/games/x")
    ).stderr == "touch: cannot touch '/mnt/games/x': Read-only file system\n"
    assert await box.output("mount | grep -c 'type fuse.rclone (ro'; mountpoint -q /mnt/games; echo $?") == "1\n0\n"
    assert (box.root / "mnt/games/gb/tiny.gb").read_bytes() == b"tiny"


async def test_unmounting_leaves_an_empty_folder(box: Box, environment: str) -> None:
    await box.output("sudo mkdir -p /mnt/games")
    await box.output(f"sudo {environment} rclone mount gcs:games/roms /mnt/games --read-only --daemon")

    await box.output("sudo fusermount3 -uz /mnt/games")

    assert await box.output("ls -A /mnt/games; findmnt /mnt/games || echo gone") == "gone\n"


async def test_a_mount_as_a_service_is_there_once_started_and_after_a_boot(
    box: Box, environment: str, bucket: Bucket
) -> None:
    await _install_unit(box, bucket[1])

    await box.output("sudo systemctl enable --now library")
    shown = await box.output("ls /mnt/games; systemctl is-active library")
    await box.output("sudo systemctl stop library; ls -A /mnt/games")
    await box.park.power_off("m-1")
    assert list((box.root / "mnt/games").iterdir()) == []
    await box.park.power_on("m-1")
    await box.output("cloud-init status --wait; sudo systemctl start library")

    assert shown == "gb\nswitch\nactive\n"
    assert await box.output("ls /mnt/games") == "gb\nswitch\n"


async def test_a_new_object_appears_when_the_folder_cache_is_over(box: Box, environment: str, bucket: Bucket) -> None:
    await _install_unit(box, bucket[1])
    await box.output("sudo systemctl start library")
    bucket[0].write("games", "roms/gb/later.gb", b"later")

    await box.output("while ! cat /mnt/games/gb/later.gb; do sleep 60; done")

    assert await box.output("cat /mnt/games/gb/later.gb") == "later"


@pytest.mark.parametrize(
    ("prepare", "arguments", "message"),
    [
        ("true", "/mnt/none --daemon", "mountpoint does not exist"),
        ("sudo touch /mnt/x", "/mnt --daemon", "directory is not empty"),
        ("sudo rm /usr/bin/fusermount3", "/mnt --daemon", 'exec: "fusermount3": not found'),
    ],
)
async def test_a_mount_that_cannot_be_fails(
    box: Box, environment: str, prepare: str, arguments: str, message: str
) -> None:
    await box.output(prepare)

    said = await box.run(f"sudo {environment} rclone mount gcs:games/roms {arguments}")

    assert said.status == 1
    assert message in said.stderr


async def test_others_are_let_in_by_a_user_only_if_fuse_is_told(box: Box, environment: str) -> None:
    await box.output("mkdir library")
    order = f"{environment} rclone mount gcs:games/roms library --read-only --allow-other --daemon"

    refused = await box.run(order)
    await box.output("echo user_allow_other | sudo tee -a /etc/fuse.conf")

    assert "user_allow_other" in refused.stderr
    assert (await box.run(order)).status == 0


async def test_files_are_copied_up_and_down(box: Box, environment: str, bucket: Bucket) -> None:
    await box.output("mkdir -p saves/deep; echo one > saves/a.srm; echo two > saves/deep/b.state")

    await box.output(f"{environment} rclone copy saves gcs:games/users/u/current --checksum")
    await box.output(f"{environment} rclone copy gcs:games/users/u/current back --checksum")
    listed = json.loads(await box.output(f"{environment} rclone lsjson gcs:games/users/u --recursive --files-only"))

    assert await box.output("cat back/a.srm back/deep/b.state") == "one\ntwo\n"
    assert [(row["Path"], row["Size"]) for row in listed] == [("current/a.srm", 4), ("current/deep/b.state", 4)]
    assert (await box.run(f"{environment} rclone check saves gcs:games/users/u/current")).status == 0
    assert bucket[0].get("games", "users/u/current/a.srm").size == 4


async def test_a_sync_moves_what_it_replaces_aside(box: Box, environment: str, bucket: Bucket) -> None:
    await box.output("mkdir s; echo old > s/a; echo gone > s/b")
    await box.output(f"{environment} rclone copy s gcs:games/current")

    await box.output("echo newer > s/a; rm s/b")
    await box.output(f"{environment} rclone sync s gcs:games/current --backup-dir gcs:games/history/1")

    names = [one.name for one in bucket[0].list("games", "") if not one.name.startswith("roms/")]
    assert names == ["current/a", "history/1/a", "history/1/b"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("copy gcs:games/none back", 0),
        ("copy gcs:no-such-bucket/x back", 3),
        ("copy none gcs:games/x", 3),
        ("copy gcs:games/none back --error-on-no-transfer", 9),
        ("copy gcs:games/none back --no-such-flag", 1),
        ("copy other:games/none back", 1),
        ("lsjson gcs:no-such-bucket", 3),
    ],
)
async def test_exit_codes_are_those_of_the_real_one(box: Box, environment: str, arguments: str, status: int) -> None:
    assert (await box.run(f"{environment} rclone {arguments}")).status == status


async def test_a_machine_reaches_nothing_but_loopback(box: Box, environment: str) -> None:
    said = await box.run(f"{environment} RCLONE_CONFIG_GCS_ENDPOINT= rclone lsjson gcs:games")

    assert said.status == 5
    assert "no such host" in said.stderr


async def test_a_key_file_that_is_missing_is_told(box: Box, environment: str) -> None:
    said = await box.run(f"{environment} RCLONE_CONFIG_GCS_SERVICE_ACCOUNT_FILE=/none rclone lsjson gcs:games")

    assert said.status == 1
    assert "error opening service account credentials file" in said.stderr


async def _install_unit(box: Box, url: str) -> None:
    lines = "".join(f"RCLONE_CONFIG_GCS_{line}\n" for line in _variables(url))
    await box.output("sudo mkdir -p /etc/gamer /mnt/games && sudo tee /etc/gamer/library.env", lines.encode())
    await box.output("sudo tee /etc/systemd/system/library.service", UNIT.encode())
    await box.output("sudo systemctl daemon-reload")


def _variables(url: str) -> list[str]:
    return ["TYPE='google cloud storage'", "ANONYMOUS=true", f"ENDPOINT='{url}/storage/v1/'"]
