"""The bucket over HTTP, byte for byte as a client of Google's sees it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from simulator.bucket import library
from simulator.bucket.checksums import crc32c
from simulator.bucket.store import ObjectStore


async def test_an_uploaded_object_can_be_read_described_and_listed(
    bucket_url: str, http: aiohttp.ClientSession
) -> None:
    made = await _put(http, bucket_url, "saves/a b.sav", b"123456789")

    described = await _json(http, f"{bucket_url}/storage/v1/b/games/o/saves%2Fa%20b.sav")
    content = await _bytes(http, described["mediaLink"])
    listed = await _json(http, f"{bucket_url}/storage/v1/b/games/o?prefix=saves/")

    assert described == made
    assert described["size"] == "9"
    assert described["md5Hash"] == "JfnnlDI7RTiF9RgfG2JNCw=="
    assert described["crc32c"] == "4waSgw=="  # the published check value of CRC-32C
    assert content == b"123456789"
    assert [item["name"] for item in listed["items"]] == ["saves/a b.sav"]


@pytest.mark.parametrize(
    ("header", "status", "content"),
    [
        ("bytes=0-3", 206, b"0123"),
        ("bytes=8-", 206, b"89"),
        ("bytes=-2", 206, b"89"),
        ("bytes=10-", 416, None),
        ("bytes=0-99", 200, b"0123456789"),
    ],
)
async def test_a_range_gives_just_those_bytes(
    bucket_url: str, http: aiohttp.ClientSession, header: str, status: int, content: bytes | None
) -> None:
    await _put(http, bucket_url, "a", b"0123456789")

    async with http.get(f"{bucket_url}/storage/v1/b/games/o/a?alt=media", headers={"Range": header}) as answer:
        body = await answer.read()

    assert answer.status == status
    assert content is None or body == content


async def test_a_write_over_another_generation_is_refused_and_changes_nothing(
    bucket_url: str, http: aiohttp.ClientSession
) -> None:
    first = await _put(http, bucket_url, "a", b"one")

    refused = await _upload(http, bucket_url, "a", b"two", "&ifGenerationMatch=0")
    taken = await _upload(http, bucket_url, "a", b"three", f"&ifGenerationMatch={first['generation']}")

    assert refused[0] == 412
    assert refused[1]["error"]["errors"][0]["reason"] == "conditionNotMet"
    assert taken[0] == 200
    assert int(taken[1]["generation"]) > int(first["generation"])
    assert await _bytes(http, f"{bucket_url}/storage/v1/b/games/o/a?alt=media") == b"three"


async def test_what_was_overwritten_or_deleted_is_kept_as_a_version(
    bucket_url: str, http: aiohttp.ClientSession
) -> None:
    first = await _put(http, bucket_url, "a", b"one")
    await _put(http, bucket_url, "a", b"two")

    async with http.delete(f"{bucket_url}/storage/v1/b/games/o/a") as deleted:
        pass

    listed = await _json(http, f"{bucket_url}/storage/v1/b/games/o")
    versions = await _json(http, f"{bucket_url}/storage/v1/b/games/o?versions=true")
    old = await _bytes(http, f"{bucket_url}/storage/v1/b/games/o/a?alt=media&generation={first['generation']}")
    assert deleted.status == 204
    assert "items" not in listed
    assert [item["size"] for item in versions["items"]] == ["3", "3"]
    assert old == b"one"


async def test_what_is_deleted_by_its_generation_is_gone_for_good(bucket_url: str, http: aiohttp.ClientSession) -> None:
    first = await _put(http, bucket_url, "games/a", b"one")
    live = await _put(http, bucket_url, "games/a", b"two")

    for stored in (live, first):
        name = f"{bucket_url}/storage/v1/b/games/o/games%2Fa?generation={stored['generation']}"
        async with http.delete(name) as deleted:
            assert deleted.status == 204

    assert "items" not in await _json(http, f"{bucket_url}/storage/v1/b/games/o?versions=true")


async def test_lists_fold_at_a_delimiter_and_come_in_pages(bucket_url: str, http: aiohttp.ClientSession) -> None:
    for name in ("a", "roms/gb/x.gb", "roms/nes/y.nes", "roms/z", "tail"):
        await _put(http, bucket_url, name, b"")

    folded = await _json(http, f"{bucket_url}/storage/v1/b/games/o?prefix=roms/&delimiter=/")
    first = await _json(http, f"{bucket_url}/storage/v1/b/games/o?maxResults=3")
    second = await _json(http, f"{bucket_url}/storage/v1/b/games/o?maxResults=3&pageToken={first['nextPageToken']}")

    assert folded["prefixes"] == ["roms/gb/", "roms/nes/"]
    assert [item["name"] for item in folded["items"]] == ["roms/z"]
    assert [item["name"] for item in first["items"] + second["items"]] == [
        *("a", "roms/gb/x.gb", "roms/nes/y.nes", "roms/z", "tail")
    ]
    assert "nextPageToken" not in second


async def test_a_resumable_upload_arrives_in_pieces(bucket_url: str, http: aiohttp.ClientSession) -> None:
    begun = f"{bucket_url}/upload/storage/v1/b/games/o?uploadType=resumable&name=big"
    async with http.post(begun, json={"metadata": {"mtime": "now"}}) as opened:
        where = URL(opened.headers["Location"], encoded=True)

    async with http.put(where, data=b"0123", headers={"Content-Range": "bytes 0-3/*"}) as first:
        assert (first.status, first.headers["Range"]) == (308, "bytes=0-3")
    async with http.put(where, headers={"Content-Range": "bytes */*"}) as asked:
        assert (asked.status, asked.headers["Range"]) == (308, "bytes=0-3")
    async with http.put(where, data=b"45", headers={"Content-Range": "bytes 4-5/6"}) as last:
        stored = await last.json()

    assert stored["metadata"] == {"mtime": "now"}
    assert await _bytes(http, f"{bucket_url}/storage/v1/b/games/o/big?alt=media") == b"012345"


async def test_an_object_is_copied_and_described_anew(bucket_url: str, http: aiohttp.ClientSession) -> None:
    await _put(http, bucket_url, "a/b", b"content")

    async with http.post(
        URL(f"{bucket_url}/storage/v1/b/games/o/a%2Fb/rewriteTo/b/games/o/c%2Fd", encoded=True)
    ) as copied:
        rewritten = await copied.json()
    async with http.patch(
        URL(f"{bucket_url}/storage/v1/b/games/o/c%2Fd", encoded=True), json={"metadata": {"k": "v"}}
    ) as patched:
        described = await patched.json()

    assert rewritten["done"] is True
    assert rewritten["resource"]["name"] == "c/d"
    assert (described["metadata"], described["metageneration"]) == ({"k": "v"}, "2")
    assert described["generation"] == rewritten["resource"]["generation"]


@pytest.mark.parametrize("name", ["..%2F..%2Fetc%2Fpasswd", "a%2F..%2Fb", "%2Fabsolute", "a%00b", "x" * 1025])
async def test_a_name_that_would_leave_the_folder_is_refused(
    bucket_url: str, http: aiohttp.ClientSession, name: str, tmp_path: Path
) -> None:
    before = _everything_in(tmp_path)

    async with http.post(
        URL(f"{bucket_url}/upload/storage/v1/b/games/o?uploadType=media&name={name}", encoded=True), data=b"x"
    ) as answer:
        pass

    assert answer.status == 400
    assert _everything_in(tmp_path) == before


async def test_what_does_not_exist_is_404_in_googles_words(bucket_url: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{bucket_url}/storage/v1/b/games/o/none") as no_object:
        words = await no_object.json()
    async with http.get(f"{bucket_url}/storage/v1/b/other/o") as no_bucket:
        other_words = await no_bucket.json()

    assert (no_object.status, words["error"]["message"]) == (404, "No such object: none")
    assert (no_bucket.status, other_words["error"]["message"]) == (404, "The specified bucket does not exist.")


async def test_a_file_dropped_into_the_folder_is_an_object(
    bucket_url: str, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    folder = tmp_path / "buckets/games/roms/gb"
    folder.mkdir(parents=True)
    (folder / "mine.gb").write_bytes(b"homemade")

    listed = await _json(http, f"{bucket_url}/storage/v1/b/games/o?prefix=roms/gb/")

    assert [(item["name"], item["size"]) for item in listed["items"]] == [("roms/gb/mine.gb", "8")]


def test_the_first_library_has_three_games_for_each_console_and_a_save(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)

    library.seed(store, "gamer-library")

    names = [one.name for one in store.list("gamer-library", "")]
    platforms = [name.split("/")[1] for name in names if name.startswith("roms/")]
    assert {platform: platforms.count(platform) for platform in platforms} == dict.fromkeys(library.GAMES, 3)
    assert "roms/switch/mario-odyssey.nsp" in names
    assert "covers/switch/mario-odyssey.png" in names
    assert "saves/users/developer/SWITCH/mario-odyssey/main/current.tar.gz" in names


def test_a_bucket_that_is_there_is_not_filled_again(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    store.create_bucket("gamer-library")

    library.seed(store, "gamer-library")

    assert store.list("gamer-library", "") == []


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 4096, 5000, 100_000])
def test_checksums_of_long_contents_are_those_of_a_plain_loop(size: int) -> None:
    content = bytes(number * 31 % 251 for number in range(size))

    assert crc32c(content) == _plain_crc32c(content)


def _everything_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def _plain_crc32c(content: bytes) -> str:
    state = 0xFFFFFFFF
    for byte in content:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    return base64.b64encode((state ^ 0xFFFFFFFF).to_bytes(4, "big")).decode()


async def _put(http: aiohttp.ClientSession, url: str, name: str, content: bytes) -> dict[str, Any]:
    status, body = await _upload(http, url, name, content, "")
    assert status == 200
    return body


async def _upload(
    http: aiohttp.ClientSession, url: str, name: str, content: bytes, conditions: str
) -> tuple[int, dict[str, Any]]:
    target = f"{url}/upload/storage/v1/b/games/o?uploadType=media&name={name}{conditions}"
    async with http.post(target, data=content, headers={"Content-Type": "application/octet-stream"}) as answer:
        return answer.status, json.loads(await answer.read())


async def _json(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    return dict(json.loads(await _bytes(http, url)))


async def _bytes(http: aiohttp.ClientSession, url: str) -> bytes:
    async with http.get(URL(url, encoded=True)) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.read()
