"""What attackers try at the door, by the list. Every one must end as UnauthenticatedError, and nothing else."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from pydantic import SecretStr

from auth.api_keys import ApiKeys, KeyHasher
from auth.authenticator import Authenticator, parse_credentials
from auth.callers import Caller, Role
from auth.jwks import RemoteKeys
from auth.tokens import SharedSecret, TokenKeys, TokenVerifier
from errors import UnauthenticatedError
from models.api_keys import ApiKey
from models.database import Database
from providers.http import Reply

SECRET = "correct horse battery staple, and then some"
KEY = rsa.generate_private_key(65537, 2048)
PUBLIC_PEM = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
PUBLIC_JWK = RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "one"}
ATTACKER = rsa.generate_private_key(65537, 2048)
ATTACKER_JWK = RSAAlgorithm.to_jwk(ATTACKER.public_key(), as_dict=True) | {"kid": "one"}
# Tokens are made when tests are collected: one that ends meanwhile would be refused for that alone, and one that is
# not good yet would become good.
LONG_S = 10 * 24 * 3600


class OneDocument:
    async def get(self, url: str, *, timeout_s: float | None = None) -> Reply:
        return Reply(200, {}, json.dumps({"keys": [PUBLIC_JWK]}).encode())


def good() -> dict[str, Any]:
    return {"sub": "alice", "exp": int(time.time()) + 2 * LONG_S, "iss": "https://id.example", "aud": "gamer"}


def b64(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def assembled(header: Any, claims: Any, sign: Callable[[bytes], bytes] = lambda _: b"") -> str:
    encoded = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    signing_input = ".".join(b64(part) for part in encoded)
    return f"{signing_input}.{b64(sign(signing_input.encode()))}"


def by_hmac(secret: bytes, digest: str = "sha256") -> Callable[[bytes], bytes]:
    return lambda message: hmac.digest(secret, message, digest)


def by_rsa(key: rsa.RSAPrivateKey) -> Callable[[bytes], bytes]:
    return lambda message: RSAAlgorithm(RSAAlgorithm.SHA256).sign(message, key)


NONE_TOKENS = {
    f"alg {algorithm!r} with {name}": assembled({"alg": algorithm, "typ": "JWT", "kid": "one"}, good(), sign)
    for algorithm in ("none", "None", "NONE", "nOnE", "", None, 0, False, [], ["none", "HS256"], {"alg": "HS256"})
    for name, sign in (("no signature", lambda _: b""), ("some signature", lambda _: b"x" * 32))
}

CONFUSED_TOKENS = {
    "HS256 keyed with the public key in PEM": assembled({"alg": "HS256", "kid": "one"}, good(), by_hmac(PUBLIC_PEM)),
    "the same without its last newline": assembled(
        {"alg": "HS256", "kid": "one"}, good(), by_hmac(PUBLIC_PEM.rstrip())
    ),
    "HS256 keyed with the public key as JWK": assembled(
        {"alg": "HS256", "kid": "one"}, good(), by_hmac(json.dumps(PUBLIC_JWK).encode())
    ),
    "HS256 keyed with nothing": assembled({"alg": "HS256", "kid": "one"}, good(), by_hmac(b"")),
    "HS512 with the right secret": assembled({"alg": "HS512"}, good(), by_hmac(SECRET.encode(), "sha512")),
    "HS256 said, RS256 signed": assembled({"alg": "HS256", "kid": "one"}, good(), by_rsa(KEY)),
    "RS512 said, RS256 signed": assembled({"alg": "RS512", "kid": "one"}, good(), by_rsa(KEY)),
    "RS256 by a stranger": assembled({"alg": "RS256", "kid": "one"}, good(), by_rsa(ATTACKER)),
    "RS256 with the signature cut": assembled({"alg": "RS256", "kid": "one"}, good(), by_rsa(KEY))[:-20],
    "ES256 with a signature of zeros": assembled({"alg": "ES256", "kid": "one"}, good(), lambda _: b"\0" * 64),
}

OWN_KEYS: dict[str, dict[str, Any]] = {
    "jwk": {"jwk": ATTACKER_JWK},
    "jku": {"jku": "https://evil.example/jwks.json"},
    "x5u": {"x5u": "https://evil.example/cert.pem"},
    "x5c": {"x5c": ["MIIB"]},
}
OWN_KEY_TOKENS = {
    f"{name} brought along": assembled({"alg": "RS256", "kid": "one", **header}, good(), by_rsa(ATTACKER))
    for name, header in OWN_KEYS.items()
}

# Signed rightly by the right key: only the header is wrong.
WRONG_HEADERS: tuple[dict[str, Any], ...] = (
    {"jku": "https://id.example/jwks.json"},
    {"crit": ["exp"]},
    {"crit": []},
    {"crit": ["b64"], "b64": False},
    {"b64": True},
    {"zip": "DEF"},
    {"typ": "secevent+jwt"},
    {"typ": ["JWT"]},
    {"kid": "../../../../dev/null"},
    {"kid": "/etc/passwd"},
    {"kid": "file:///dev/null"},
    {"kid": "https://evil.example/jwks.json"},
    {"kid": "one' OR '1'='1"},
    {"kid": "one\u0000"},
    {"kid": "one\r\nX-Evil: 1"},
    {"kid": "; sleep 10"},
    {"kid": ""},
    {"kid": "x" * 257},
    {"kid": {"$ne": None}},
    {"kid": ["one"]},
    {"kid": 1},
)
HEADER_TOKENS = {
    f"header {header!r:.60}": assembled({"alg": "RS256", "kid": "one", **header}, good(), by_rsa(KEY))
    for header in WRONG_HEADERS
} | {
    "header with a jwk of the attacker's": assembled(
        {"alg": "RS256", "kid": "one", "jwk": ATTACKER_JWK}, good(), by_rsa(KEY)
    ),
}

# Their names are the same in every collection, their times are not.
UNTIMELY: dict[str, dict[str, Any]] = {
    "an exp that has passed": {"exp": int(time.time()) - LONG_S},
    "an nbf that is to come": {"nbf": int(time.time()) + LONG_S},
    "an iat that is to come": {"iat": int(time.time()) + LONG_S},
}

CLAIM_TOKENS = {
    f"claims {claims!r:.60}": assembled({"alg": "RS256", "kid": "one"}, {**good(), **claims}, by_rsa(KEY))
    for claims in (
        {"aud": "another-app"},
        {"aud": ["another-app"]},
        {"aud": None},
        {"aud": "gamer\u0000"},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"iss": "https://id.example.evil.example"},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": 1e308},
        {"exp": -1},
        {"nbf": "never"},
        {"sub": None},
        {"sub": {"$gt": ""}},
        {"sub": ["alice"]},
        {"sub": "alice' || '1'=='1"},
        {"sub": "../../operator"},
        {"sub": "$(reboot)"},
        {"sub": "key-0000000000000000"},
        {"role": "root"},
        {"role": ["player", "operator"]},
        {"role": {"$in": ["operator"]}},
        {"jti": 1},
    )
} | {
    f"claims with {name}": assembled({"alg": "RS256", "kid": "one"}, {**good(), **claims}, by_rsa(KEY))
    for name, claims in UNTIMELY.items()
}

BROKEN_TOKENS = {
    "nothing": "",
    "dots": "..",
    "two parts": "e30.e30",
    "four parts": "e30.e30.e30.e30",
    "five parts, as an encrypted one": "e30.e30.e30.e30.e30",
    "header is a list": assembled([], good()),
    "header is a number": assembled(1, good()),
    "header is no JSON": assembled(b"{", good()),
    "header is no UTF-8": assembled(b"\xff\xfe", good()),
    "header is deep": assembled(b"[" * 3000, good()),
    "payload is a list": assembled({"alg": "RS256", "kid": "one"}, [], by_rsa(KEY)),
    "payload is no JSON": assembled({"alg": "RS256", "kid": "one"}, b"{", by_rsa(KEY)),
    "payload is no UTF-8": assembled({"alg": "RS256", "kid": "one"}, b"\xff\xfe", by_rsa(KEY)),
    "payload is deep": assembled({"alg": "RS256", "kid": "one"}, b'{"sub":' + b"[" * 3000, by_rsa(KEY)),
    "a number of thousands of digits": assembled(
        {"alg": "RS256", "kid": "one"}, b'{"sub":"alice","exp":' + b"9" * 5000 + b"}", by_rsa(KEY)
    ),
    "padding": assembled({"alg": "RS256", "kid": "one"}, good(), by_rsa(KEY)) + "==",
    "plain base64": assembled({"alg": "RS256", "kid": "one"}, good(), by_rsa(KEY)).replace("-", "+").replace("_", "/")
    + "+/",
    "huge and right": assembled({"alg": "RS256", "kid": "one"}, {**good(), "pad": "x" * 8192}, by_rsa(KEY)),
    "a megabyte": "e30." + "A" * 2**20 + ".e30",
    "JSON serialisation": json.dumps({"payload": "e30", "signatures": []}),
}


@pytest.fixture(params=["remote keys", "shared secret"])
def keys_of_tokens(request: pytest.FixtureRequest) -> TokenKeys:
    if request.param == "remote keys":
        return RemoteKeys("https://id.example/jwks.json", OneDocument())
    return SharedSecret(SecretStr(SECRET))


@pytest.fixture
def verifier(keys_of_tokens: TokenKeys) -> TokenVerifier:
    return TokenVerifier(keys_of_tokens, issuer="https://id.example", audience="gamer")


async def test_the_good_ones_that_the_bad_ones_are_made_of_are_good() -> None:
    """Without this the list below could pass because of a mistake in it."""
    remote = TokenVerifier(
        RemoteKeys("https://id.example/jwks.json", OneDocument()), issuer="https://id.example", audience="gamer"
    )
    shared = TokenVerifier(SharedSecret(SecretStr(SECRET)), issuer="https://id.example", audience="gamer")

    by_key = assembled({"alg": "RS256", "kid": "one"}, good(), by_rsa(KEY))
    by_secret = assembled({"alg": "HS256"}, good(), by_hmac(SECRET.encode()))

    assert (await remote.verify(SecretStr(by_key))).id == "alice"
    assert (await shared.verify(SecretStr(by_secret))).id == "alice"


ATTACKS = {**NONE_TOKENS, **CONFUSED_TOKENS, **OWN_KEY_TOKENS, **HEADER_TOKENS, **CLAIM_TOKENS, **BROKEN_TOKENS}


@pytest.mark.parametrize("token", ATTACKS.values(), ids=[name.encode("ascii", "replace").decode() for name in ATTACKS])
async def test_no_forged_token_passes(verifier: TokenVerifier, token: str) -> None:
    with pytest.raises(UnauthenticatedError):
        await verifier.verify(SecretStr(token))


GOOD_HEADER = (b"authorization", b"Bearer " + assembled({"alg": "HS256"}, good(), by_hmac(SECRET.encode())).encode())


@pytest.mark.parametrize(
    ("headers", "payload"),
    [
        ([GOOD_HEADER, GOOD_HEADER], None),
        ([GOOD_HEADER, (b"Authorization", b"Bearer x")], None),
        ([(b"AUTHORIZATION", b""), GOOD_HEADER], None),
        ([GOOD_HEADER, (b"x-api-key", b"k")], None),
        ([(b"x-api-key", b"k"), (b"X-Api-Key", b"l")], None),
        ([GOOD_HEADER], {"Authorization": GOOD_HEADER[1].decode()}),
        ([GOOD_HEADER], {"X-API-Key": "k"}),
        ([], {"Authorization": "Bearer x", "authorization": "Bearer y"}),
        ([], {"Authorization": "Bearer x", "X-API-Key": "y"}),
        ([], {"Authorization": {"$ne": None}}),
        ([], {"X-API-Key": {"$gt": ""}}),
        ([], {"X-API-Key": ["k"]}),
        ([], {"X-API-Key": 1}),
        ([], {"X-API-Key": None}),
        ([], {"X-API-Key": True}),
        ([], []),
        ([], "Bearer x"),
        ([], 1),
        ([(b"authorization", b"")], None),
        ([(b"authorization", b"Bearer")], None),
        ([(b"authorization", b"Bearer ")], None),
        ([(b"authorization", b"Bearer  x")], None),
        ([(b"authorization", b" Bearer x")], None),
        ([(b"authorization", b"Bearer x y")], None),
        ([(b"authorization", b"Bearer x, Bearer y")], None),
        ([(b"authorization", b"Bearer\tx")], None),
        ([(b"authorization", b"Basic YWRtaW46YWRtaW4=")], None),
        ([(b"authorization", b"Bearer \xff\xfe")], None),
        ([(b"authorization", "Bearer ünï".encode())], None),
        ([(b"x-api-key", b"")], None),
        ([(b"x-api-key", b"k k")], None),
        ([(b"x-api-key", b"k\r\nX-Role: OPERATOR")], None),
    ],
)
def test_credentials_that_are_malformed_or_too_many_are_refused(
    headers: list[tuple[bytes, bytes]], payload: object
) -> None:
    with pytest.raises(UnauthenticatedError):
        parse_credentials(headers, payload)


@pytest.mark.parametrize(
    "key",
    [
        '{"$gt": ""}',
        "gamer_{$ne:null}_x",
        "gamer_0123456789abcdef_' || '1'=='1",
        "gamer_" + "." * 16 + "_" + "A" * 43,
        "gamer_................_...........................................",
        "gamer_0000000000000000_" + "A" * 43,
        "gamer_../../../../etc/_" + "A" * 43,
        "gamer_0000000000000000_" + "A" * 43 + "\u0000",
        "GAMER_0000000000000000_" + "A" * 43,
        "gamer_" + "\uff10" * 16 + "_" + "A" * 43,
    ],
)
async def test_no_trick_with_an_api_key_passes_or_writes(db: Database, key: str) -> None:
    keys = ApiKeys(db, KeyHasher(SecretStr(SECRET)))
    made = await keys.create(Caller("root", Role.OPERATOR), "real", Role.OPERATOR)
    door = Authenticator(None, keys)

    with pytest.raises(UnauthenticatedError):
        await door.authenticate(parse_credentials([(b"x-api-key", key.encode())]))

    assert await db.find(ApiKey, {}) == [await db.get(ApiKey, made.api_key.id)]
    assert await db.count(ApiKey, {"last_used_at": None}) == 1
