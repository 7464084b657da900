from __future__ import annotations

import asyncio
import base64
import json
import time
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from pydantic import SecretStr

from auth.callers import Caller, Role
from auth.role_claims import OUR_NAMES, RoleClaim
from auth.tokens import SharedSecret, TokenVerifier
from errors import UnauthenticatedError

SECRET = "correct horse battery staple, and then some"
FAR = int(time.time()) + 10 * 24 * 3600


def seconds_from_now(count: int) -> int:
    """Read when the test runs: a whole suite is longer than the tolerance between two clocks."""
    return int(time.time()) + count


def signed(secret: str = SECRET, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token as an issuer makes it; a claim of None is left out."""
    full = {"sub": "alice", "exp": FAR, **claims}
    kept = {name: value for name, value in full.items() if value is not None}
    return jwt.encode(kept, secret, algorithm="HS256", headers=headers)


def forged(header: Any, claims: Any, signature: bytes = b"x") -> str:
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, signature))


@pytest.fixture
def verifier() -> TokenVerifier:
    return TokenVerifier(SharedSecret(SecretStr(SECRET)))


async def refused(verifier: TokenVerifier, token: str) -> str:
    with pytest.raises(UnauthenticatedError) as error:
        await verifier.verify(SecretStr(token))
    return error.value.message


async def test_a_good_token_names_its_player_and_its_end(verifier: TokenVerifier) -> None:
    caller = await verifier.verify(SecretStr(signed()))

    assert caller == Caller("alice", Role.PLAYER, datetime.fromtimestamp(FAR, UTC))


@pytest.mark.parametrize(
    ("claim", "role"), [("player", Role.PLAYER), ("operator", Role.OPERATOR), ("service", Role.SERVICE)]
)
async def test_the_role_is_what_the_token_says(verifier: TokenVerifier, claim: str, role: Role) -> None:
    assert (await verifier.verify(SecretStr(signed(role=claim)))).role is role


@pytest.mark.parametrize("role", ["admin", "", "OPERATOR", "operator ", 1, ["operator"], {"$ne": "player"}, True])
async def test_a_role_that_is_none_is_refused_and_not_guessed(verifier: TokenVerifier, role: Any) -> None:
    assert await refused(verifier, signed(role=role)) == "the token is not valid"


async def test_issuer_and_audience_are_compared_when_they_are_set() -> None:
    verifier = TokenVerifier(SharedSecret(SecretStr(SECRET)), issuer="https://id.example", audience="gamer")

    caller = await verifier.verify(SecretStr(signed(iss="https://id.example", aud=["other", "gamer"])))

    assert caller.id == "alice"
    wrong: tuple[dict[str, Any], ...] = (
        {"iss": "https://id.example"},
        {"aud": "gamer"},
        {"iss": "https://evil.example", "aud": "gamer"},
        {"iss": "https://id.example/", "aud": "gamer"},
        {"iss": "https://id.example", "aud": "game"},
        {"iss": "https://id.example", "aud": []},
        {"iss": "https://id.example", "aud": {"gamer": 1}},
        {"iss": ["https://id.example"], "aud": "gamer"},
    )
    for claims in wrong:
        assert await refused(verifier, forged_and_signed(claims)) == "the token is not valid"


async def test_an_audience_is_no_fault_where_none_is_expected(verifier: TokenVerifier) -> None:
    assert (await verifier.verify(SecretStr(signed(aud="other-app")))).id == "alice"


async def test_an_expired_token_is_told_so(verifier: TokenVerifier) -> None:
    assert await refused(verifier, signed(exp=seconds_from_now(-60))) == "the token has expired"


async def test_an_expired_token_with_a_wrong_signature_is_told_nothing(verifier: TokenVerifier) -> None:
    assert await refused(verifier, signed("another secret of enough length....", exp=seconds_from_now(-60))) == (
        "the token is not valid"
    )


async def test_clocks_may_differ_by_seconds(verifier: TokenVerifier) -> None:
    assert (await verifier.verify(SecretStr(signed(exp=seconds_from_now(-2), nbf=seconds_from_now(5))))).id == "alice"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": None},
        {"exp": "soon"},
        {"exp": str(FAR)},
        {"exp": [FAR]},
        {"exp": 10**30},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"nbf": FAR},
        {"iat": FAR},
        {"sub": None},
        {"sub": ""},
        {"sub": "../bob"},
        {"sub": "alice;reboot"},
        {"sub": "alice\u0000"},
        {"sub": "alice\n"},
        {"sub": "a" * 256},
        {"sub": "alice smith"},
        {"sub": "=1+1"},
        {"sub": "-rf"},
        {"sub": 'alice"'},
        {"sub": "alice\\n"},
        {"sub": "<b>alice"},
        {"sub": "älice"},
        {"sub": "gamer:sweeper"},
        {"sub": "image-builder"},
        {"sub": "address:203.0.113.1"},
        {"sub": "$where"},
        {"sub": "key-0123456789abcdef"},
    ],
)
async def test_a_claim_that_is_wrong_or_missing_is_refused(verifier: TokenVerifier, claims: dict[str, Any]) -> None:
    assert await refused(verifier, signed(**claims)) == "the token is not valid"


@pytest.mark.parametrize("sub", [42, ["alice"], {"$gt": ""}, True])
async def test_a_subject_that_is_no_text_is_refused(verifier: TokenVerifier, sub: Any) -> None:
    assert await refused(verifier, forged_and_signed({"sub": sub})) == "the token is not valid"


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_a_secret_that_can_be_guessed_is_no_secret(secret: str) -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        SharedSecret(SecretStr(secret))


def test_a_public_key_is_no_secret() -> None:
    pem = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n"

    with pytest.raises(ValueError, match="not be a key"):
        SharedSecret(SecretStr(pem))


def forged_and_signed(claims: dict[str, Any]) -> str:
    """Signed rightly, with claims that the library would not write."""
    return jwt.api_jws.encode(json.dumps({"sub": "alice", "exp": FAR, **claims}).encode(), SECRET, "HS256")


@pytest.mark.parametrize(("length", "good"), [(256, True), (257, False)])
async def test_a_key_id_is_no_longer_than_need_be(verifier: TokenVerifier, length: int, good: bool) -> None:
    token = signed(headers={"kid": "k" * length})

    if good:
        assert (await verifier.verify(SecretStr(token))).id == "alice"
    else:
        assert await refused(verifier, token) == "the token is not valid"


@pytest.mark.parametrize(
    "subject",
    [
        "auth0|5f7c8ec7c33c6c004bbafe82",
        "google-oauth2|103547991597142817347",
        "samlp|acme|o'brien+games@example.co.uk",
        "103547991597142817347",
        "f:3c1b8a9e-0d4f-4a52-9f5e-0a1b2c3d4e5f:alice@example.com",
        "alice.o'neil/2=x@example.com",
        "_service",
        "a" * 255,
    ],
)
async def test_subjects_of_identity_providers_are_taken_as_they_are(verifier: TokenVerifier, subject: str) -> None:
    assert (await verifier.verify(SecretStr(signed(sub=subject)))).id == subject


KEYCLOAK = RoleClaim("realm_access.roles", {"gamer-admins": Role.OPERATOR, "gamer-backend": Role.SERVICE}, lists=True)
AUTH0 = RoleClaim("https://play.example.com/roles", OUR_NAMES, lists=True)


@pytest.mark.parametrize(
    ("claim", "claims", "role"),
    [
        (KEYCLOAK, {"realm_access": {"roles": ["offline_access", "gamer-admins"]}}, Role.OPERATOR),
        (KEYCLOAK, {"realm_access": {"roles": ["gamer-backend", "gamer-admins"]}}, Role.OPERATOR),
        (KEYCLOAK, {"realm_access": {"roles": ["gamer-backend"]}}, Role.SERVICE),
        (KEYCLOAK, {"realm_access": {"roles": ["offline_access", "operator"]}}, Role.PLAYER),
        (KEYCLOAK, {"realm_access": {"roles": []}}, Role.PLAYER),
        (KEYCLOAK, {"realm_access": {}}, Role.PLAYER),
        (KEYCLOAK, {"role": "operator"}, Role.PLAYER),
        (KEYCLOAK, {"realm_access.roles": ["gamer-admins"]}, Role.OPERATOR),
        (AUTH0, {"https://play.example.com/roles": ["operator"]}, Role.OPERATOR),
        (AUTH0, {"https://play.example.com/roles": "service"}, Role.SERVICE),
        (RoleClaim("a.b.c"), {"a": {"b.c": "service"}}, Role.SERVICE),
    ],
)
async def test_the_role_stands_where_the_setting_says(claim: RoleClaim, claims: dict[str, Any], role: Role) -> None:
    verifier = TokenVerifier(SharedSecret(SecretStr(SECRET)), role=claim)

    assert (await verifier.verify(SecretStr(signed(**claims)))).role is role


@pytest.mark.parametrize(
    "claims",
    [
        {"realm_access": {"roles": "admin"}},
        {"realm_access": {"roles": {"gamer-admins": True}}},
        {"realm_access": {"roles": None}},
        {"realm_access": {"roles": 1}},
    ],
)
async def test_a_claim_that_is_neither_a_role_nor_a_list_is_refused(claims: dict[str, Any]) -> None:
    verifier = TokenVerifier(SharedSecret(SecretStr(SECRET)), role=KEYCLOAK)

    assert await refused(verifier, signed(**claims)) == "the token is not valid"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (signed("another secret of enough length...."), "its signature is wrong"),
        (signed(exp=1), "it has expired"),
        (signed(iss="https://evil.example"), "its issuer (iss) is not JWT_ISSUER"),
        (signed(iss="https://id.example", aud="other"), "its audience (aud) lacks JWT_AUDIENCE"),
        (signed(iss="https://id.example"), "it lacks exp, sub, or a claim that JWT_ISSUER and JWT_AUDIENCE require"),
        (
            signed(iss="https://id.example", aud="gamer", nbf=FAR),
            "it is not valid yet (nbf, iat): compare the clocks",
        ),
        (
            signed(iss="https://id.example", aud="gamer", sub="canary subject"),
            "its subject (sub) has characters that no user id has, or is too long",
        ),
        (signed(iss="https://id.example", aud="gamer", role="canary"), "the claim role contains no known role"),
        (signed(headers={"jku": "https://canary.example"}), "its header has jku"),
        ("canary", "it does not consist of three parts separated by dots"),
    ],
)
async def test_the_log_says_why_a_token_was_refused_and_the_caller_is_not_told(
    caplog: pytest.LogCaptureFixture, token: str, reason: str
) -> None:
    verifier = TokenVerifier(SharedSecret(SecretStr(SECRET)), issuer="https://id.example", audience="gamer")
    caplog.set_level("INFO")

    said = await refused(verifier, token)

    assert said in {"the token is not valid", "the token has expired"}
    (record,) = caplog.records
    assert (record.getMessage(), record.__dict__["reason"]) == ("token refused", reason)
    assert "canary" not in str(record.__dict__)
    assert token not in str(record.__dict__)


class Keys(SharedSecret):
    """Keys that can be withdrawn."""

    def __init__(self) -> None:
        super().__init__(SecretStr(SECRET))
        self.withdrawn = False

    async def find(self, algorithm: str, kid: str | None) -> bytes | None:
        return None if self.withdrawn else await super().find(algorithm, kid)


async def test_a_token_that_was_verified_is_refused_once_its_key_is_withdrawn() -> None:
    keys = Keys()
    verifier, token = TokenVerifier(keys), SecretStr(signed())
    caller = await verifier.verify(token)
    assert await verifier.verify(token) is caller  # remembered

    keys.withdrawn = True

    assert await refused(verifier, token.get_secret_value()) == "the token is not valid"


async def test_a_token_that_was_verified_expires_all_the_same() -> None:
    verifier = TokenVerifier(SharedSecret(SecretStr(SECRET)), leeway_s=0)
    end = seconds_from_now(2)
    token = signed(exp=end)
    await verifier.verify(SecretStr(token))

    await asyncio.sleep(end - time.time() + 0.01)

    assert await refused(verifier, token) == "the token has expired"


async def test_a_verified_token_says_nothing_for_one_that_differs_in_a_letter(verifier: TokenVerifier) -> None:
    token = signed()
    await verifier.verify(SecretStr(token))

    assert (
        await refused(verifier, token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1]) == "the token is not valid"
    )
