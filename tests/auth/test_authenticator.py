from __future__ import annotations

import logging
import time
import traceback

import jwt
import pytest
from pydantic import SecretStr

from auth.api_keys import ApiKeys, KeyHasher
from auth.authenticator import DEVELOPER, Authenticator, Credentials, parse_credentials
from auth.callers import Caller, Role
from auth.tokens import SharedSecret, TokenVerifier
from errors import UnauthenticatedError
from models.database import Database

SECRET = SecretStr("correct horse battery staple, and then some")
ROOT = Caller("root", Role.OPERATOR)
CANARY = "canary0123456789"


def token(**claims: object) -> str:
    return jwt.encode({"sub": "alice", "exp": time.time() + 600, **claims}, SECRET.get_secret_value(), "HS256")


@pytest.fixture
def keys(db: Database) -> ApiKeys:
    return ApiKeys(db, KeyHasher(SECRET))


@pytest.fixture
def door(keys: ApiKeys) -> Authenticator:
    return Authenticator(TokenVerifier(SharedSecret(SECRET)), keys)


async def test_a_token_comes_in_by_header_or_by_the_sockets_first_message(door: Authenticator) -> None:
    by_header = parse_credentials([(b"host", b"x"), (b"authorization", f"Bearer {token()}".encode())])
    by_payload = parse_credentials([(b"host", b"x")], {"Authorization": f"bearer {token()}", "locale": "de"})

    assert (await door.authenticate(by_header)).id == "alice"
    assert (await door.authenticate(by_payload)).id == "alice"


async def test_an_api_key_comes_in_by_header_or_by_the_sockets_first_message(
    door: Authenticator, keys: ApiKeys
) -> None:
    made = await keys.create(ROOT, "web app", Role.SERVICE)
    key = made.secret.get_secret_value()

    by_header = await door.authenticate(parse_credentials([(b"X-API-Key", key.encode())]))
    by_payload = await door.authenticate(parse_credentials([], {"X-API-Key": key}))

    assert by_header == by_payload == Caller(f"key-{made.api_key.id}", Role.SERVICE)


@pytest.mark.parametrize("payload", [None, {}, {"locale": "de"}])
def test_nothing_that_looks_like_credentials_is_none(payload: object) -> None:
    assert parse_credentials([(b"cookie", b"session=1"), (b"host", b"x")], payload) is None


async def test_without_credentials_nobody_is_let_in(door: Authenticator) -> None:
    with pytest.raises(UnauthenticatedError, match="credentials are required"):
        await door.authenticate(None)


async def test_on_a_developers_own_machine_nothing_is_needed(keys: ApiKeys) -> None:
    door = Authenticator(None, keys, developer=True)

    assert await door.authenticate(None) == Caller("developer", Role.OPERATOR)
    assert DEVELOPER.expires_at is None


async def test_a_developers_machine_still_looks_at_what_is_sent(keys: ApiKeys) -> None:
    door = Authenticator(None, keys, developer=True)
    made = await keys.create(DEVELOPER, "player", Role.PLAYER)

    assert (await door.authenticate(Credentials(api_key=made.secret))).role is Role.PLAYER
    for refused in (Credentials(token=SecretStr(token())), Credentials(api_key=SecretStr("gamer_no"))):
        with pytest.raises(UnauthenticatedError):
            await door.authenticate(refused)


def test_the_developer_rule_and_tokens_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="cannot be combined"):
        Authenticator(TokenVerifier(SharedSecret(SECRET)), None, developer=True)


async def test_credentials_of_a_kind_that_is_not_set_up_are_refused() -> None:
    door = Authenticator(None, None)

    for credentials in (Credentials(token=SecretStr(token())), Credentials(api_key=SecretStr("k"))):
        with pytest.raises(UnauthenticatedError, match="not accepted here"):
            await door.authenticate(credentials)


@pytest.mark.parametrize(
    ("headers", "payload"),
    [
        ([(b"authorization", b"Bearer " + CANARY.encode())], None),
        ([(b"authorization", CANARY.encode())], None),
        ([(b"authorization", b"Basic " + CANARY.encode())], None),
        ([(b"x-api-key", CANARY.encode())], None),
        ([(b"x-api-key", b"gamer_0123456789abcdef_" + CANARY.encode())], None),
        ([(b"x-api-key", CANARY.encode()), (b"authorization", CANARY.encode())], None),
        ([], {"Authorization": [CANARY]}),
        ([], {"X-API-Key": f"{CANARY}\r\nX: y"}),
        ([], CANARY),
    ],
)
async def test_what_was_sent_is_in_no_error_and_no_log(
    door: Authenticator, headers: list[tuple[bytes, bytes]], payload: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    with pytest.raises(UnauthenticatedError) as error:
        await door.authenticate(parse_credentials(headers, payload))

    said = [str(error.value), repr(error.value), caplog.text, str(error.value.__cause__)]
    said += [line for line in traceback.format_exception(error.value) if "conftest" not in line]
    assert CANARY not in "".join(said)


def test_credentials_do_not_print() -> None:
    assert CANARY not in repr(Credentials(token=SecretStr(CANARY)))
    assert CANARY not in str(parse_credentials([(b"x-api-key", CANARY.encode())]))
