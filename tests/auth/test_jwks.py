from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from pydantic import SecretStr

from auth.jwks import DocumentSource, RemoteKeys
from auth.tokens import TokenVerifier
from errors import ProviderBusyError, UnauthenticatedError, UnavailableError
from providers.http import Http, Reply

URL = "https://id.example/jwks.json"
RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def listed(key: Any, kid: str | None = None, **more: Any) -> dict[str, Any]:
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    jwk = {**algorithm.to_jwk(key.public_key(), as_dict=True), **more}
    return jwk if kid is None else {**jwk, "kid": kid}


def token(key: Any, kid: str | None, algorithm: str | None = None, **claims: Any) -> SecretStr:
    algorithm = algorithm or ("RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256")
    headers = {} if kid is None else {"kid": kid}
    return SecretStr(jwt.encode({"sub": "alice", "exp": time.time() + 600, **claims}, key, algorithm, headers))


class IdentityProvider:
    """Answers with what is put into it, and counts."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.asked = 0
        self.away = False
        self.status = 200
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.answered = asyncio.Event()
        self.body = b""
        self.list(*keys)

    def list(self, *keys: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": keys}).encode()

    async def get(self, url: str, *, timeout_s: float | None = None) -> Reply:
        assert url == URL
        self.asked += 1
        self.begun.set()
        await self.gate.wait()
        self.answered.set()
        if self.away:
            raise ProviderBusyError("no connection")
        return Reply(self.status, {}, self.body)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def provider() -> IdentityProvider:
    return IdentityProvider(listed(RSA_KEY, "one"), listed(EC_KEY, "two"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def keys(provider: IdentityProvider, clock: Clock) -> AsyncIterator[RemoteKeys]:
    keys = RemoteKeys(URL, provider, clock=clock)
    yield keys
    await keys.close()


@pytest.fixture
def verifier(keys: RemoteKeys) -> TokenVerifier:
    return TokenVerifier(keys)


async def refused(verifier: TokenVerifier, text: SecretStr) -> None:
    with pytest.raises(UnauthenticatedError, match="the token is not valid"):
        await verifier.verify(text)


def test_the_services_own_http_is_a_document_source() -> None:
    source: DocumentSource = Http()

    assert source


@pytest.mark.parametrize(("key", "kid"), [(RSA_KEY, "one"), (EC_KEY, "two")])
async def test_both_kinds_of_keys_check_their_tokens(verifier: TokenVerifier, key: Any, kid: str) -> None:
    assert (await verifier.verify(token(key, kid))).id == "alice"


async def test_one_document_serves_all_tokens_while_it_is_fresh(
    verifier: TokenVerifier, provider: IdentityProvider, clock: Clock
) -> None:
    provider.gate.clear()
    waiting = [asyncio.create_task(verifier.verify(token(RSA_KEY, "one"))) for _ in range(5)]
    await provider.begun.wait()

    provider.gate.set()
    await asyncio.gather(*waiting)
    clock.now += 599
    await verifier.verify(token(EC_KEY, "two"))

    assert provider.asked == 1


async def test_a_new_key_is_known_as_soon_as_a_token_names_it(
    verifier: TokenVerifier, provider: IdentityProvider, clock: Clock
) -> None:
    await verifier.verify(token(RSA_KEY, "one"))
    provider.list(listed(RSA_KEY, "one"), listed(OTHER_RSA_KEY, "three"))
    clock.now += 31

    caller = await verifier.verify(token(OTHER_RSA_KEY, "three"))

    assert (caller.id, provider.asked) == ("alice", 2)


async def test_made_up_key_ids_cannot_flood_the_identity_provider(
    verifier: TokenVerifier, provider: IdentityProvider, clock: Clock
) -> None:
    await verifier.verify(token(RSA_KEY, "one"))
    clock.now += 31

    for n in range(50):
        await refused(verifier, token(OTHER_RSA_KEY, f"made-up-{n}"))

    assert provider.asked == 2


async def test_a_key_that_was_withdrawn_is_forgotten_after_the_next_reading(
    verifier: TokenVerifier, provider: IdentityProvider, clock: Clock
) -> None:
    await verifier.verify(token(RSA_KEY, "one"))
    provider.list(listed(EC_KEY, "two"))
    clock.now += 601

    provider.answered.clear()
    await verifier.verify(token(RSA_KEY, "one"))  # begins the reading and does not wait for it
    await provider.answered.wait()

    await refused(verifier, token(RSA_KEY, "one"))


@pytest.mark.parametrize("failure", ["away", "status", "html", "empty", "large"])
async def test_the_known_keys_stay_good_when_the_provider_fails(
    verifier: TokenVerifier, provider: IdentityProvider, clock: Clock, failure: str
) -> None:
    await verifier.verify(token(RSA_KEY, "one"))
    fail(provider, failure)

    for _ in range(3):
        clock.now += 601
        provider.answered.clear()
        assert (await verifier.verify(token(RSA_KEY, "one"))).id == "alice"
        await provider.answered.wait()

    assert provider.asked == 4


@pytest.mark.parametrize("failure", ["away", "status", "html", "empty", "large"])
async def test_before_any_key_was_read_nothing_is_said_of_tokens(
    verifier: TokenVerifier, provider: IdentityProvider, clock: Clock, failure: str
) -> None:
    body = provider.body
    fail(provider, failure)

    for _ in range(3):
        with pytest.raises(UnavailableError):
            await verifier.verify(token(RSA_KEY, "one"))
    assert provider.asked == 1

    provider.away, provider.status, provider.body = False, 200, body
    clock.now += 6
    assert (await verifier.verify(token(RSA_KEY, "one"))).id == "alice"


async def test_a_caller_that_goes_away_leaves_the_reading_to_the_others(
    verifier: TokenVerifier, provider: IdentityProvider
) -> None:
    provider.gate.clear()
    first, second = (asyncio.create_task(verifier.verify(token(RSA_KEY, "one"))) for _ in range(2))
    await provider.begun.wait()

    first.cancel()
    await asyncio.wait([first])
    provider.gate.set()

    assert (await second).id == "alice"
    assert provider.asked == 1


async def test_a_token_without_a_key_id_is_good_only_where_there_is_one_key(
    verifier: TokenVerifier, provider: IdentityProvider
) -> None:
    await refused(verifier, token(RSA_KEY, None))

    alone = TokenVerifier(RemoteKeys(URL, IdentityProvider(listed(RSA_KEY, "one"))))
    assert (await alone.verify(token(RSA_KEY, None))).id == "alice"


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "one"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "one", "alg": "HS256"},
        listed(RSA_KEY, "one", use="enc"),
        listed(RSA_KEY, "one", alg="RS512"),
        listed(RSA_KEY, "one", alg="HS256"),
        listed(RSA_KEY, "one", alg="none"),
        listed(RSA_KEY) | {"kid": ["one"]},
        RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True) | {"kid": "one"},
        listed(ec.generate_private_key(ec.SECP384R1()), "one"),
        listed(rsa.generate_private_key(65537, 1024), "one"),
        {"kty": "RSA", "kid": "one"},
        {"kty": "RSA", "kid": "one", "n": "?", "e": 3},
        {"kty": ["RSA"], "kid": "one"},
        "one",
        None,
    ],
)
async def test_what_cannot_be_a_key_for_us_checks_no_token(jwk: Any) -> None:
    """The list holds a good key too, so that it is not refused as a whole."""
    verifier = TokenVerifier(RemoteKeys(URL, IdentityProvider(jwk, listed(EC_KEY, "two"))))

    await refused(verifier, token(RSA_KEY, "one"))
    assert (await verifier.verify(token(EC_KEY, "two"))).id == "alice"


async def test_a_short_key_checks_no_token() -> None:
    short = rsa.generate_private_key(65537, 1024)
    verifier = TokenVerifier(RemoteKeys(URL, IdentityProvider(listed(short, "one"))))

    with pytest.warns(Warning, match="below the minimum"):
        text = token(short, "one")

    await refused(verifier, text)


async def test_a_key_of_one_kind_checks_no_token_of_the_other(verifier: TokenVerifier) -> None:
    await refused(verifier, token(EC_KEY, "one"))
    await refused(verifier, token(RSA_KEY, "two"))


def fail(provider: IdentityProvider, failure: str) -> None:
    provider.away = failure == "away"
    provider.status = 503 if failure == "status" else 200
    provider.body = {"html": b"<html>", "empty": b'{"keys": []}', "large": b" " * 300_000 + b'{"keys": []}'}.get(
        failure, provider.body
    )
