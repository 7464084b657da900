from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from errors import InvalidInputError
from models.catalog import ConsoleType
from streaming.name_checks import app_title, folder_of, validate_id, validate_image, validate_pin, validate_rom

HOSTILE = ["", "../../etc", "$(reboot)", "a b", "a;b", "a\nb", "a\n", "-a", ".a", "é", "😀", "x" * 10_000, "a:b", "a'b"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("check", [validate_id, validate_rom, validate_pin])
def test_hostile_names_go_no_further(check: Callable[[str], str], text: str) -> None:
    with pytest.raises(InvalidInputError):
        check(text)


@pytest.mark.parametrize("text", ["", "../x y", "$(reboot)", "-x", "a\n", "UPPER/x"])
def test_hostile_images_go_no_further(text: str) -> None:
    with pytest.raises(InvalidInputError):
        validate_image(text)


@pytest.mark.parametrize("text", ["ghcr.io/games-on-whales/pegasus:edge", "localhost:5000/x@sha256:0a1B"])
def test_images_pass(text: str) -> None:
    assert validate_image(text) == text


def test_a_user_with_a_plain_id_has_a_folder_of_that_name() -> None:
    assert folder_of("player-42") == "player-42"


@pytest.mark.parametrize("user_id", ["auth0|42", "a@example.com", "../x", "Player", "x" * 65, "u-1", "", "é", "a.b"])
def test_other_users_have_a_folder_that_no_plain_id_can_name(user_id: str) -> None:
    folder = folder_of(user_id)

    assert folder.startswith("u-")
    assert len(folder) == 42
    assert folder_of(folder) != folder


SUBJECTS = [
    *("auth0|5f7c8ec7c33c6c004bbafe82", "auth0-5f7c8ec7c33c6c004bbafe82", "auth0_5f7c8ec7c33c6c004bbafe82"),
    *("f:3c1b:alice", "f:3c1b:Alice", "f-3c1b-alice", "alice@example.com", "Alice@example.com", "alice.example.com"),
    *("103547991597142817347", "a/b", "a|b", "a:b", "a" * 255, "a" * 254),
]


def test_no_two_users_share_a_folder_and_every_folder_is_one_plain_name() -> None:
    folders = [folder_of(subject) for subject in SUBJECTS]

    assert len(set(folders)) == len(SUBJECTS)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", folder) for folder in folders)


@pytest.mark.parametrize(
    ("user_id", "folder"),
    [
        ("player-42", "player-42"),
        ("Player.42", "u-451e436910ba51471124d1ba85c44f49e2c3383c"),
    ],
)
def test_users_of_former_versions_keep_their_folders(user_id: str, folder: str) -> None:
    assert folder_of(user_id) == folder


def test_the_title_tells_games_and_consoles_apart() -> None:
    assert app_title(ConsoleType.SWITCH, "mario-odyssey") == "SWITCH-mario-odyssey"
    assert app_title(ConsoleType.SWITCH, None) == "SWITCH"
