from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from models.catalog import ConsoleType
from providers.storage.bucket import Bucket
from streaming.covers import LIMIT_BYTES, Covers
from streaming.library import Game
from tests.providers.games_bucket import bucket, server
from tests.providers.gcs_stand_in import BucketServer, error

__all__ = ["bucket", "server"]

TETRIS = Game(ConsoleType.GB, "tetris", "Tetris", "gb/Tetris (World).gb")


@pytest.fixture
async def covers(bucket: Bucket) -> AsyncIterator[Covers]:
    covers = Covers(bucket, keep_s=0)
    yield covers
    await covers.close()


@pytest.mark.parametrize(
    ("extension", "media_type"),
    [("png", "image/png"), ("JPG", "image/jpeg"), ("jpeg", "image/jpeg"), ("webp", "image/webp")],
)
async def test_a_cover_is_a_picture_with_the_name_of_the_games_file(
    covers: Covers, server: BucketServer, extension: str, media_type: str
) -> None:
    server.put(f"covers/gb/Tetris (World).{extension}", b"a picture")

    found = await covers.find(TETRIS)

    assert found is not None
    assert (found.media_type, await covers.read(found)) == (media_type, b"a picture")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("covers/gb/Tetris (World).svg", 9),
        ("covers/gb/Tetris.png", 9),
        ("covers/nes/Tetris (World).png", 9),
        ("covers/gb/Tetris (World).png", LIMIT_BYTES + 1),
    ],
    ids=["a script may be in it", "another name", "another console", "too large"],
)
async def test_nothing_else_is_a_cover(covers: Covers, server: BucketServer, name: str, size: int) -> None:
    server.put(name, b"x" * size)

    assert await covers.find(TETRIS) is None


async def test_a_new_picture_has_another_generation(covers: Covers, server: BucketServer) -> None:
    server.put("covers/gb/Tetris (World).png", b"old")
    old = await covers.find(TETRIS)
    server.put("covers/gb/Tetris (World).png", b"new")
    new = await covers.find(TETRIS)

    assert old is not None
    assert new is not None
    assert old.generation != new.generation


async def test_a_game_has_no_cover_while_the_bucket_cannot_be_read(covers: Covers, server: BucketServer) -> None:
    server.put("covers/gb/Tetris (World).png", b"x")
    server.faults.append(error(403, "forbidden", "no"))

    assert await covers.find(TETRIS) is None
    assert await covers.find(TETRIS) is not None
