"""Tokens are kept where only their user can read them, sent to no other address, and never shown."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

from cli.gamer_cli import credentials
from cli.gamer_cli.credentials import Credentials, Store
from cli.gamer_cli.exits import CommandError, ExitStatus
from tests.cli.conftest import run_command
from tests.gateway import ANN, BOB, token

URL = "https://games.example.com"
KEPT = Credentials(URL, "a-token")


class KeyringInMemory(KeyringBackend):
    """A keyring that works."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # keyring's own
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError


@pytest.fixture
def ring(own_settings: Path) -> Iterator[KeyringInMemory]:
    before, made = keyring.get_keyring(), KeyringInMemory()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


def test_without_a_keyring_a_file_that_only_its_user_can_read_keeps_them(own_settings: Path) -> None:
    place = credentials.keep(KEPT, Store.AUTO)

    file = own_settings / "credentials.json"
    assert place == str(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert credentials.load() == KEPT
    assert kept(own_settings) == ["credentials.json"]


def test_a_keyring_keeps_them_alone(own_settings: Path, ring: KeyringInMemory) -> None:
    credentials.keep(Credentials(URL, "older"), Store.FILE)

    place = credentials.keep(KEPT, Store.AUTO)

    assert place == "the keyring"
    assert credentials.load() == KEPT
    assert not (own_settings / "credentials.json").exists()
    credentials.forget()
    assert ring.kept == {}


def test_a_file_that_others_may_read_is_not_used(own_settings: Path) -> None:
    credentials.keep(KEPT, Store.FILE)
    (own_settings / "credentials.json").chmod(0o640)

    with pytest.raises(CommandError, match="chmod 600") as refusal:
        credentials.load()

    assert refusal.value.status is ExitStatus.NOT_ALLOWED


def test_a_kept_token_is_not_sent_to_another_address(own_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials.keep(KEPT, Store.FILE)
    monkeypatch.setenv("GAMER_URL", "https://other.example.com")

    assert credentials.load() == Credentials("https://other.example.com", None)


@pytest.mark.parametrize(
    "url",
    [
        "http://games.example.com",
        "games.example.com",
        "ftp://127.0.0.1",
        "https://ann:pw@games.example.com",
        "https://",
    ],
)
def test_an_address_that_must_not_get_a_token_is_refused(url: str) -> None:
    with pytest.raises(CommandError) as refusal:
        credentials.checked_url(url)

    assert refusal.value.status is ExitStatus.USAGE


def test_keys_and_tokens_have_headers_of_their_own_and_no_repr() -> None:
    assert Credentials(URL, "gamer_1_x").headers == {"X-API-Key": "gamer_1_x"}
    assert KEPT.headers == {"Authorization": "Bearer a-token"}
    assert "a-token" not in repr(KEPT)


async def test_login_checks_the_token_and_shows_it_nowhere(served: str, own_settings: Path) -> None:
    secret = token(ANN)

    ended = await run_command("login", served, typed=f"{secret}\n")

    assert (ended.status, "ann (PLAYER)" in ended.out) == (0, True)
    assert secret not in ended.out + ended.err
    assert json.loads((own_settings / "credentials.json").read_text()) == {"url": served, "token": secret}


async def test_login_takes_a_token_from_a_pipe_and_status_uses_it(served: str, own_settings: Path) -> None:
    await run_command("login", served, "--token-stdin", typed=f"{token(BOB)}\n")

    ended = await run_command("status", "--json")

    assert (ended.status, ended.json) == (0, {"launches": [], "machines": []})


async def test_a_token_that_is_not_accepted_is_not_kept(served: str, own_settings: Path) -> None:
    ended = await run_command("login", served, "--token-stdin", typed="nonsense\n")

    assert ended.status == ExitStatus.NOT_ALLOWED
    assert "nonsense" not in ended.out + ended.err
    assert kept(own_settings) == []


async def test_logout_leaves_nothing(served: str, own_settings: Path) -> None:
    await run_command("login", served, "--token-stdin", typed=f"{token(ANN)}\n")

    await run_command("logout")

    assert (await run_command("status")).status == ExitStatus.NOT_ALLOWED
    assert kept(own_settings) == []


def kept(folder: Path) -> list[str]:
    return [each.name for each in folder.glob("*")]
