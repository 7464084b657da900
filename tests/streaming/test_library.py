from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from errors import ProviderRefusedError
from models.catalog import ConsoleType
from providers.storage.bucket import Bucket
from streaming.library import Game, Library, SkippedFiles, SkipReason, title_of
from tests.providers.games_bucket import bucket, server
from tests.providers.gcs_stand_in import BucketServer, error

__all__ = ["bucket", "server"]


@pytest.fixture
async def library(bucket: Bucket) -> AsyncIterator[Library]:
    library = Library(bucket)
    yield library
    await library.close()


async def test_a_game_is_a_file_in_its_platforms_folder(library: Library, server: BucketServer) -> None:
    server.put("roms/switch/mario-odyssey.nsp", b"x")
    server.put("roms/gb/tetris.gb", b"x")

    games = await library.games()

    assert games == [
        Game(ConsoleType.GB, "tetris", "Tetris", "gb/tetris.gb"),
        Game(ConsoleType.SWITCH, "mario-odyssey", "Mario Odyssey", "switch/mario-odyssey.nsp"),
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (".hidden.gb", SkipReason.HIDDEN),
        (".gb", SkipReason.HIDDEN),
        ("tetris", SkipReason.EXTENSION),
        ("tetris.exe", SkipReason.EXTENSION),
        ("sub/tetris.gb", SkipReason.FOLDER),
        ("../tetris.gb", SkipReason.FOLDER),
        ("tet\nris.gb", SkipReason.NAME),
        (f"{'x' * 251}.gb", SkipReason.NAME),
    ],
)
async def test_files_that_are_no_games_are_passed_over_and_counted_with_the_reason(
    library: Library, server: BucketServer, name: str, why: SkipReason
) -> None:
    server.put(f"roms/gb/{name}", b"x")

    assert await library.games(ConsoleType.GB) == []
    assert await library.skip_reasons() == {f"gb/{name}": why}
    assert await library.skipped_files() == [SkippedFiles(ConsoleType.GB, str(why), 1, (f"gb/{name}",))]


@pytest.mark.parametrize(
    ("name", "game_id", "title"),
    [
        ("Pokémon - 'A' (USA) [!].gb", "pokemon-a-usa", "Pokémon - 'A' (USA) [!]"),
        ("Tetris.GB", "tetris", "Tetris"),
        ("tetris.GB", "tetris", "Tetris"),
        ("$(reboot).gb", "reboot", "$(reboot)"),
        ("-rf.gb", "rf", "-rf"),
        ("Dr. Mario.zip", "dr.mario", "Dr. Mario"),
        ("Straße & Łódź.gbc", "strasse-lodz", "Straße & Łódź"),
        ("ポケモン.gb", "game-777e8667", "ポケモン"),
        (f"{'x' * 129}.gb", "x" * 100, "x" * 129),
    ],
)
async def test_the_id_comes_from_the_files_name_and_the_file_stays_as_it_is(
    library: Library, server: BucketServer, name: str, game_id: str, title: str
) -> None:
    server.put(f"roms/gb/{name}", b"x")

    assert await library.games(ConsoleType.GB) == [Game(ConsoleType.GB, game_id, title, f"gb/{name}")]
    assert await library.skip_reasons() == {}


async def test_where_two_ids_meet_the_newer_file_gets_a_suffix_and_ids_that_were_valid_stay(
    library: Library, server: BucketServer
) -> None:
    for name in ("Zelda!.gb", "Tetris.gb", "ZELDA.gb", "tetris.gb"):
        server.put(f"roms/gb/{name}", b"x")

    assert {game.rom_path: game.game_id for game in await library.games()} == {
        "gb/Zelda!.gb": "zelda",
        "gb/ZELDA.gb": "zelda-ea99f081",
        "gb/tetris.gb": "tetris",
        "gb/Tetris.gb": "tetris-c2028759",
    }


async def test_the_same_game_in_two_formats_is_one_and_the_other_file_is_counted(
    library: Library, server: BucketServer
) -> None:
    server.put("roms/gb/Tetris (JP).zip", b"x")
    server.put("roms/gb/Tetris (JP).GB", b"x")

    assert [game.rom_path for game in await library.games()] == ["gb/Tetris (JP).GB"]
    assert await library.skip_reasons() == {"gb/Tetris (JP).zip": SkipReason.DOUBLE}


async def test_of_two_files_for_one_game_the_emulators_first_choice_wins(
    library: Library, server: BucketServer
) -> None:
    server.put("roms/gba/metroid.zip", b"x")
    server.put("roms/gba/metroid.gba", b"x")

    games = await library.games(ConsoleType.GBA)

    assert [game.rom_path for game in games] == ["gba/metroid.gba"]


async def test_a_game_is_found_by_its_id_and_console(library: Library, server: BucketServer) -> None:
    server.put("roms/gb/tetris.gb", b"x")

    assert await library.find(ConsoleType.GB, "tetris") == Game(ConsoleType.GB, "tetris", "Tetris", "gb/tetris.gb")
    assert await library.find(ConsoleType.NES, "tetris") is None
    assert await library.find(ConsoleType.GB, "zelda") is None


async def test_many_who_ask_at_once_and_soon_after_read_the_bucket_once(library: Library, server: BucketServer) -> None:
    await asyncio.gather(*(library.games(ConsoleType.GB) for _ in range(20)))
    await library.games(ConsoleType.GB)

    assert len(server.requests) == 1


async def test_a_failed_reading_is_not_kept(library: Library, server: BucketServer) -> None:
    server.put("roms/gb/tetris.gb", b"x")
    server.faults.append(error(403, "forbidden", "no"))

    with pytest.raises(ProviderRefusedError):
        await library.games(ConsoleType.GB)
    games = await library.games(ConsoleType.GB)

    assert [game.game_id for game in games] == ["tetris"]


@pytest.mark.parametrize(
    ("game_id", "title"),
    [("mario-odyssey", "Mario Odyssey"), ("zelda_2", "Zelda 2"), ("v1.0", "V1.0"), ("0", "0"), ("a--b", "A B")],
)
def test_titles_are_made_from_ids(game_id: str, title: str) -> None:
    assert title_of(game_id) == title
