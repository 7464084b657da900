"""A machine says whose saves lie on it, by the notes that were written when they were put there."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from models.catalog import ConsoleType
from streaming.keys import KeyPair
from streaming.saves.discovery import FoundSlot, find_slots
from streaming.saves.locations import SaveKind
from streaming.saves.restore_marker import FOLDER, RestoreMarker, write_marker
from streaming.saves.slots import SaveSlot
from streaming.ssh import Ssh
from tests.streaming.box import Box, running_box

MARIO = SaveSlot("player-1", ConsoleType.SWITCH, "mario-odyssey", "second")
ALONE = SaveSlot("auth0|42", ConsoleType.NES, None)


@pytest.fixture
async def box(tmp_path: Path, key: KeyPair) -> AsyncIterator[Box]:
    async with running_box(tmp_path / "machine", key) as box:
        yield box


async def noted(box: Box, ssh: Ssh, slot: SaveSlot, at: int) -> None:
    note = RestoreMarker(slot.home, slot.prefix, 1, "digest", "writer")
    async with ssh.shell(box.address) as shell:
        await write_marker(shell, note, SaveKind.GAME)
    user, title = slot.home.split("/")[-2:]
    os.utime(box.path(f"{FOLDER}/{user}--{title}.json"), (at, at))


async def found(box: Box, ssh: Ssh) -> list[FoundSlot]:
    async with ssh.shell(box.address) as shell:
        return await find_slots(shell)


async def test_the_slot_that_was_used_last_comes_first(box: Box, ssh: Ssh) -> None:
    await noted(box, ssh, MARIO, at=1_700_000_000)
    await noted(box, ssh, ALONE, at=1_700_000_100)

    folder = ALONE.prefix.split("/")[2]
    assert await found(box, ssh) == [
        FoundSlot(folder, ConsoleType.NES, None, "main"),
        FoundSlot("player-1", ConsoleType.SWITCH, "mario-odyssey", "second"),
    ]


async def test_a_machine_without_notes_says_nothing(box: Box, ssh: Ssh) -> None:
    assert await found(box, ssh) == []


@pytest.mark.parametrize(
    "content",
    [
        "not json",
        "{}",
        '{"home": "h", "prefix": 5, "generation": 1, "digest": "d", "writer": "w"}',
        '{"home": "h", "prefix": "saves/users/../../x", "generation": 1, "digest": "d", "writer": "w"}',
        '{"home": "h", "prefix": "saves/users/p/SEGA/x/main", "generation": 1, "digest": "d", "writer": "w"}',
        '{"home": "h", "prefix": "saves/users/p/NES/$(x)/main", "generation": 1, "digest": "d", "writer": "w"}',
    ],
)
async def test_a_note_that_is_no_slots_is_passed_over(box: Box, ssh: Ssh, content: str) -> None:
    box.write(f"{FOLDER}/p--NES.json", content)

    assert await found(box, ssh) == []
