from __future__ import annotations

from collections.abc import Callable

import pytest

from errors import InvalidInputError
from models.catalog import ConsoleType
from streaming.names import app_title, checked_id, checked_image, checked_pin, checked_rom, folder_of

HOSTILE = ["", "../../etc", "$(reboot)", "a b", "a;b", "a\nb", "a\n", "-a", ".a", "é", "😀", "x" * 10_000, "a:b", "a'b"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("check", [checked_id, checked_rom, checked_pin])
def test_hostile_names_go_no_further(check: Callable[[str], str], text: str) -> None:
    with pytest.raises(InvalidInputError):
        check(text)


@pytest.mark.parametrize("text", ["", "../x y", "$(reboot)", "-x", "a\n", "UPPER/x"])
def test_hostile_images_go_no_further(text: str) -> None:
    with pytest.raises(InvalidInputError):
        checked_image(text)


@pytest.mark.parametrize("text", ["ghcr.io/games-on-whales/pegasus:edge", "localhost:5000/x@sha256:0a1B"])
def test_images_pass(text: str) -> None:
    assert checked_image(text) == text


def test_a_user_with_a_plain_id_has_a_folder_of_that_name() -> None:
    assert folder_of("player-42") == "player-42"


@pytest.mark.parametrize("user_id", ["auth0|42", "a@example.com", "../x", "Player", "x" * 65, "u-1", "", "é", "a.b"])
def test_other_users_have_a_folder_that_no_plain_id_can_name(user_id: str) -> None:
    folder = folder_of(user_id)

    assert folder.startswith("u-")
    assert len(folder) == 42
    assert folder_of(folder) != folder


def test_the_title_tells_games_and_consoles_apart() -> None:
    assert app_title(ConsoleType.SWITCH, "mario-odyssey") == "SWITCH-mario-odyssey"
    assert app_title(ConsoleType.SWITCH, None) == "SWITCH"
