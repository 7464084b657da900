"""The bucket as the real rclone finds it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from simulator.bucket.store import ObjectStore

RCLONE = shutil.which("rclone")
pytestmark = pytest.mark.skipif(RCLONE is None, reason="the real rclone is not installed: apt-get install rclone")


class Rclone:
    def __init__(self, bucket_url: str, home: Path) -> None:
        self._environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "RCLONE_CONFIG_GCS_TYPE": "google cloud storage",
            "RCLONE_CONFIG_GCS_ANONYMOUS": "true",
            "RCLONE_CONFIG_GCS_BUCKET_POLICY_ONLY": "true",
            "RCLONE_CONFIG_GCS_NO_CHECK_BUCKET": "true",
            "RCLONE_CONFIG_GCS_ENDPOINT": f"{bucket_url}/storage/v1/",
        }

    async def run(self, *argv: str) -> tuple[int, str]:
        assert RCLONE is not None
        process = await asyncio.create_subprocess_exec(
            *(RCLONE, *argv, "--retries", "1", "--low-level-retries", "1"),
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        stdout, stderr = await process.communicate()
        assert process.returncode is not None
        return process.returncode, stdout.decode() if process.returncode == 0 else stderr.decode()


@pytest.fixture
def rclone(bucket_url: str, tmp_path: Path) -> Rclone:
    return Rclone(bucket_url, tmp_path)


@pytest.fixture
def saves(tmp_path: Path) -> Path:
    folder = tmp_path / "local"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.srm").write_bytes(b"first")
    (folder / "deep" / "b c.state").write_bytes(b"second")
    return folder


async def test_what_goes_up_comes_down_the_same(rclone: Rclone, saves: Path, tmp_path: Path) -> None:
    up = await rclone.run("copy", str(saves), "gcs:games/saves/current", "--checksum")

    down = await rclone.run("copy", "gcs:games/saves/current", str(tmp_path / "back"), "--checksum")

    assert (up[0], down[0]) == (0, 0), (up, down)
    assert (tmp_path / "back/a.srm").read_bytes() == b"first"
    assert (tmp_path / "back/deep/b c.state").read_bytes() == b"second"
    assert int((tmp_path / "back/a.srm").stat().st_mtime) == int((saves / "a.srm").stat().st_mtime)


async def test_a_file_bigger_than_a_chunk_goes_up_in_pieces(rclone: Rclone, store: ObjectStore, tmp_path: Path) -> None:
    big = tmp_path / "big.iso"
    big.write_bytes(bytes(range(256)) * 4096 * 17)  # 17 MiB; rclone's chunks have 16

    code, said = await rclone.run("copy", str(big), "gcs:games/roms")

    assert code == 0, said
    stored = store.get("games", "roms/big.iso")
    assert store.content_path(stored).read_bytes() == big.read_bytes()


async def test_it_lists_as_json(rclone: Rclone, saves: Path) -> None:
    await rclone.run("copy", str(saves), "gcs:games/saves")

    code, listed = await rclone.run("lsjson", "gcs:games/saves", "--recursive", "--files-only")

    assert code == 0, listed
    assert [(row["Path"], row["Size"]) for row in json.loads(listed)] == [("a.srm", 5), ("deep/b c.state", 6)]


async def test_a_sync_moves_what_it_replaces_into_the_backup_folder(
    rclone: Rclone, saves: Path, store: ObjectStore
) -> None:
    await rclone.run("copy", str(saves), "gcs:games/current")
    (saves / "a.srm").write_bytes(b"changed")
    (saves / "deep" / "b c.state").unlink()

    code, said = await rclone.run("sync", str(saves), "gcs:games/current", "--backup-dir", "gcs:games/history/1")

    assert code == 0, said
    contents = {one.name: store.content_path(one).read_bytes() for one in store.list("games", "")}
    assert contents == {
        "current/a.srm": b"changed",
        "history/1/a.srm": b"first",
        "history/1/deep/b c.state": b"second",
    }


async def test_a_check_tells_equal_from_different(rclone: Rclone, saves: Path) -> None:
    await rclone.run("copy", str(saves), "gcs:games/current")

    same = await rclone.run("check", str(saves), "gcs:games/current")
    (saves / "a.srm").write_bytes(b"FIRST")
    different = await rclone.run("check", str(saves), "gcs:games/current")

    assert (same[0], different[0]) == (0, 1)


async def test_exit_codes_are_those_of_google(rclone: Rclone, tmp_path: Path) -> None:
    missing_prefix = await rclone.run("copy", "gcs:games/none", str(tmp_path / "back"))
    missing_bucket = await rclone.run("copy", "gcs:no-such-bucket/x", str(tmp_path / "back"))
    nothing_new = await rclone.run("copy", "gcs:games/none", str(tmp_path / "back"), "--error-on-no-transfer")

    assert (missing_prefix[0], missing_bucket[0], nothing_new[0]) == (0, 3, 9)
