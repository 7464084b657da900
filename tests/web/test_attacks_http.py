"""Attacks by what HTTP carries: bodies, headers, credentials, and connections that dawdle."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hmac
import json
import logging
import time
import zlib
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from pydantic import SecretStr

from auth.authenticator import Authenticator
from auth.tokens import SharedSecret, TokenVerifier
from tests.gateway import ANN, BOB, TOKEN_SECRET, GatewayWorld, request_rate, token
from tests.web.attacked_gateway import AttackedGateway, attacked, attacked_gateway
from web.logging_setup import ConsoleLines, JsonLines

__all__ = ["attacked"]

WITH: Final = b'{"query": "{ viewer { id } }", "variables": {"a": %s}}'
HASH: Final = b'{"query": "{ viewer { id } }", "extensions": {"persistedQuery": {"sha256Hash": %s}}}'
FORM: Final = "application/x-www-form-urlencoded"
ELSEWHERE: Final = {"Sec_Fetch_Site": "cross-site", "Origin": "https://evil.example"}
BAD: Final = "BAD_REQUEST"
VIEWER: Final = b'{"query": "{ viewer { id } }"}'
LAUNCH: Final = "mutation { createVm(input: {console: NES}) { launch { id } errors { code } } }"


def nested_json(levels: int) -> bytes:
    return b'{"query": "{ viewer { id } }", "variables": {"a": ' + b"[" * levels + b"]" * levels + b"}}"


# name: (body, headers, status, code)
BODIES: Final[dict[str, tuple[bytes, dict[str, str], int, str]]] = {
    "nothing": (b"", {}, 400, BAD),
    "a brace": (b"{", {}, 400, BAD),
    "a number": (b"1", {}, 400, BAD),
    "null": (b"null", {}, 400, BAD),
    "a string": (b'"{ viewer { id } }"', {}, 400, BAD),
    "NaN": (WITH % b"NaN", {}, 400, BAD),
    "a query that is an object": (b'{"query": {"$ne": null}}', {}, 400, BAD),
    "a query that is a list": (b'{"query": ["{ viewer { id } }"]}', {}, 400, BAD),
    "variables that are a list": (b'{"query": "{ viewer { id } }", "variables": [1]}', {}, 400, BAD),
    "extensions that are a string": (b'{"query": "{ viewer { id } }", "extensions": "x"}', {}, 400, BAD),
    "a batch of two": (b"[" + VIEWER + b"," + VIEWER + b"]", {}, 400, "LIMIT_REACHED"),
    "a batch of five hundred": (b"[" + b",".join([VIEWER] * 500) + b"]", {}, 400, "LIMIT_REACHED"),
    "a batch of none": (b"[]", {}, 400, "LIMIT_REACHED"),
    "JSON of 2,000 levels": (nested_json(2_000), {}, 400, BAD),
    "JSON of 8,000 levels": (nested_json(8_000), {}, 400, BAD),
    "brackets only": (b"[" * 19_000, {}, 400, BAD),
    "an integer of 5,000 digits": (WITH % (b"9" * 5_000), {}, 400, BAD),
    "an exponent without end": (WITH % b"1e99999", {}, 400, BAD),
    "UTF-8 that is none": (b'{"query": "{ viewer { id } } \xff\xfe"}', {}, 400, BAD),
    "UTF-8 that is too long": (b'{"query": "{ viewer { id } } \xc0\xaf"}', {}, 400, BAD),
    "half a surrogate pair": (WITH % b'"\\ud800"', {}, 400, BAD),
    "UTF-16": ('{"query": "{ viewer { id } }"}'.encode("utf-16"), {}, 400, BAD),
    "UTF-16 that says so": (VIEWER, {"Content_Type": "application/json; charset=utf-16"}, 415, BAD),
    "UTF-7 that says so": (VIEWER, {"Content_Type": "application/json; charset=utf-7"}, 415, BAD),
    "gzip that says so": (gzip.compress(VIEWER), {"Content_Encoding": "gzip"}, 415, BAD),
    "gzip that does not": (gzip.compress(VIEWER), {}, 400, BAD),
    "a bomb of gzip": (gzip.compress(b" " * 10_000_000), {"Content_Encoding": "gzip"}, 415, BAD),
    "deflate": (zlib.compress(VIEWER), {"Content_Encoding": "deflate"}, 415, BAD),
    "a form": (b"query=%7Bviewer%7Bid%7D%7D", {"Content_Type": FORM}, 415, BAD),
    "a form of parts": (VIEWER, {"Content_Type": "multipart/form-data; boundary=x"}, 415, BAD),
    "plain text": (VIEWER, {"Content_Type": "text/plain"}, 415, BAD),
    "a type that begins alike": (VIEWER, {"Content_Type": "application/jsonx"}, 415, BAD),
    "GraphQL by itself": (b"{ viewer { id } }", {"Content_Type": "application/graphql"}, 415, BAD),
    "one byte too many": (b'{"query": "' + b" " * 19_990 + b'"}', {}, 413, "LIMIT_REACHED"),
    "two megabytes": (b'{"query": "' + b" " * 2_000_000 + b'"}', {}, 413, "LIMIT_REACHED"),
    "a hash that is an object": (HASH % b'{"$gt": ""}', {}, 400, "BAD_USER_INPUT"),
    "a hash that is a path": (HASH % b'"../../../etc/passwd"', {}, 400, "BAD_USER_INPUT"),
    "a hash of another query": (HASH % (b'"' + b"0" * 64 + b'"'), {}, 400, "BAD_USER_INPUT"),
    "a type of answer nobody makes": (VIEWER, {"Accept": "application/xml"}, 406, BAD),
    "from a page elsewhere": (VIEWER, ELSEWHERE, 403, BAD),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_does_harm_has_its_one_answer(attacked: AttackedGateway, name: str) -> None:
    body, headers, status, code = BODIES[name]

    told = await attacked.send(body, ANN, **headers)

    assert (told.status, told.code) == (status, code)
    assert len(told.text) < 600
    await attacked.nothing_happened()


def b64(part: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def forged(header: dict[str, Any], claims: dict[str, Any], secret: bytes = b"", digest: str = "sha256") -> str:
    signing_input = f"{b64(header)}.{b64(claims)}"
    signature = hmac.digest(secret, signing_input.encode(), digest) if secret else b""
    return f"{signing_input}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


# The tokens below are made when tests are collected: one that ends meanwhile would be refused for that alone.
LONG_S: Final = 10 * 24 * 3600


def claims(**changes: Any) -> dict[str, Any]:
    good = {
        "sub": "olga",
        "role": "operator",
        "exp": int(time.time()) + LONG_S,
        "aud": "gamer",
        "iss": "https://id.example",
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


RIGHT: Final = TOKEN_SECRET.encode()
HS256: Final = {"alg": "HS256", "typ": "JWT"}
TOKENS: Final[dict[str, str]] = {
    "no algorithm": forged({"alg": "none"}, claims()),
    "No Algorithm": forged({"alg": "NoNe"}, claims()),
    "no algorithm, some signature": forged({"alg": "none"}, claims(), b"x"),
    "another algorithm": forged({"alg": "HS512"}, claims(), RIGHT, "sha512"),
    "an algorithm of public keys": forged({"alg": "RS256"}, claims(), RIGHT),
    "the empty secret": forged(HS256, claims(), b"\0"),
    "a guessed secret": forged(HS256, claims(), b"secret"),
    "somebody else's secret": forged(HS256, claims(), b"a secret for the tokens of other tests"),
    "an expired one": forged(HS256, claims(exp=int(time.time()) - 60), RIGHT),
    "one without an end": forged(HS256, claims(exp=None), RIGHT),
    "one that ends in words": forged(HS256, claims(exp="tomorrow"), RIGHT),
    "one that ends after all time": forged(HS256, claims(exp=10**18), RIGHT),
    "one that is not yet good": forged(HS256, claims(nbf=int(time.time()) + LONG_S // 2), RIGHT),
    "one for another service": forged(HS256, claims(aud="other"), RIGHT),
    "one for nobody in particular": forged(HS256, claims(aud=None), RIGHT),
    "one by another provider": forged(HS256, claims(iss="https://evil.example"), RIGHT),
    "one without a subject": forged(HS256, claims(sub=None), RIGHT),
    "one whose subject is a path": forged(HS256, claims(sub="../olga"), RIGHT),
    "one whose subject is an operator": forged(HS256, claims(sub={"$ne": None}), RIGHT),
    "one whose subject is an API key": forged(HS256, claims(sub="key-0123456789abcdef"), RIGHT),
    "one with a line in its subject": forged(HS256, claims(sub="olga\nINFO granted"), RIGHT),
    "a role nobody has": forged(HS256, claims(role="root"), RIGHT),
    "a role of many": forged(HS256, claims(role=["operator"]), RIGHT),
    "a key id that is a path": forged({**HS256, "jku": "https://evil.example/k"}, claims(), RIGHT),
    "a key that it brings": forged({**HS256, "jwk": {"kty": "oct", "k": "eA"}}, claims(), RIGHT),
    "a key id that is a file": forged({**HS256, "kid": "../../dev/null"}, claims(), b"\0"),
    "a key id that is a query": forged({**HS256, "kid": "x' UNION SELECT 'a"}, claims(), b"a"),
    "an extension that must be known": forged({**HS256, "crit": ["exp"]}, claims(), RIGHT),
    "two parts": "a.b",
    "eight thousand letters": "a" * 8_000,
}


@pytest.fixture
async def strict(gateway: GatewayWorld) -> AsyncIterator[AttackedGateway]:
    """Its tokens must be made by one provider, for one audience."""
    keys = SharedSecret(SecretStr(TOKEN_SECRET))
    door = Authenticator(TokenVerifier(keys, issuer="https://id.example", audience="gamer"), None)
    async with attacked_gateway(gateway, authenticator=door, lives=forged(HS256, claims(), RIGHT)) as made:
        yield made


@pytest.mark.parametrize("name", TOKENS)
async def test_a_token_that_is_not_good_is_401_and_learns_nothing(strict: AttackedGateway, name: str) -> None:
    told = await strict.send(VIEWER, Authorization=f"Bearer {TOKENS[name]}")

    assert (told.status, told.code, told.headers["WWW-Authenticate"]) == (401, "UNAUTHENTICATED", "Bearer")
    words = "the token has expired" if name == "an expired one" else "the token is not valid"
    assert told.content["errors"][0]["message"] == words
    assert TOKENS[name] not in told.text


@pytest.mark.parametrize(
    "sent",
    [
        {"X_API_Key": "gamer_0123456789abcdef_" + "A" * 43},
        {"X_API_Key": '{"$gt": ""}', "Authorization": ""},
        {"Authorization": "Basic b2xnYTpvbGdh"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer a b"},
        {"Authorization": "Bearer " + "x" * 10_000},
    ],
)
async def test_credentials_that_are_none_are_401(attacked: AttackedGateway, sent: dict[str, str]) -> None:
    told = await attacked.send(VIEWER, ANN, **sent)

    assert (told.status, told.code) == (401, "UNAUTHENTICATED")


async def test_a_mutation_by_get_does_nothing(attacked: AttackedGateway) -> None:
    headers = {"Authorization": f"Bearer {token(ANN)}"}
    async with attacked.http.get(attacked.url, params={"query": LAUNCH}, headers=headers) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")

    await attacked.nothing_happened()


HEAD: Final = "POST /graphql HTTP/1.1\r\nHost: gamer.example\r\nContent-Type: application/json\r\n"
UPGRADE: Final = (
    b"GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"
)
# name: (what is sent on a connection, how the first answer begins; b"" for none)
RAW: Final[dict[str, tuple[bytes, bytes]]] = {
    "two lengths": (f"{HEAD}Content-Length: 5\r\nContent-Length: 50\r\n\r\nhello".encode(), b"HTTP/1.1 400"),
    "a length and pieces": (
        f"{HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n".encode(),
        b"HTTP/1.1 4",
    ),
    "pieces in disguise": (f"{HEAD}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n".encode(), b"HTTP/1.1 400"),
    "pieces twice": (f"{HEAD}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n".encode(), b"HTTP/1.1 400"),
    "a piece of no size": (f"{HEAD}Transfer-Encoding: chunked\r\n\r\nZZ\r\nx\r\n".encode(), b"HTTP/1.1 400"),
    "a negative length": (f"{HEAD}Content-Length: -1\r\n\r\n".encode(), b"HTTP/1.1 400"),
    "a length of 5,000 digits": (f"{HEAD}Content-Length: {'9' * 5_000}\r\n\r\n".encode(), b"HTTP/1.1 400"),
    "a length in words": (f"{HEAD}Content-Length: five\r\n\r\nhello".encode(), b"HTTP/1.1 400"),
    "a header over two lines": (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\x00c: d\r\n\r\n", b"HTTP/1.1 400"),
    "a space before the colon": (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", b"HTTP/1.1 400"),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400"),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"HTTP/1.1 400"),
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"HTTP/1.1 400"),
    "a head of 300 kB": (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 300_000 + b"\r\n\r\n", b"HTTP/1.1 431"),
    "a head of 17 kB": (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 17_000 + b"\r\n\r\n", b"HTTP/1.1 431"),
    "a head of 17 kB that goes on": (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 17_000, b"HTTP/1.1 431"),
    "sixty thousand headers": (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 60_000 + b"\r\n", b"HTTP/1.1 431"),
    "a hundred headers and one": (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100 + b"\r\n", b"HTTP/1.1 431"),
    "a path of 300 kB": (b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 431"),
    "a query of 17 kB": (b"GET /?" + b"a" * 17_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 431"),
    "a path that climbs": (
        b"GET /graphiql/..%2f..%2fserver.py HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 404",
    ),
    "a path that climbs openly": (
        b"GET /graphiql/../../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 404",
    ),
    "a path with an end in it": (
        b"GET /graphiql/x%00.js HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 404",
    ),
    "a line in the path": (
        b"GET /%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 404",
    ),
    "a method of its own": (b"HACK /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"HTTP/1.1 405"),
    "a request to trace": (b"TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"HTTP/1.1 405"),
    "a proxy's request": (b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"HTTP/1.1 4"),
    "a socket with a head of 17 kB": (UPGRADE + b"X-A: " + b"a" * 17_000 + b"\r\n\r\n", b"HTTP/1.1 431"),
    "a socket with a hundred headers and more": (UPGRADE + b"A: b\r\n" * 100 + b"\r\n", b"HTTP/1.1 431"),
    "a socket with a line of 9 kB": (UPGRADE + b"X-A: " + b"a" * 9_000 + b"\r\n\r\n", b"HTTP/1.1 400"),
    "a socket with a control character": (UPGRADE + b"X-A: a\x01b\r\n\r\n", b"HTTP/1.1 400"),
    "a socket by POST": (UPGRADE.replace(b"GET", b"POST") + b"\r\n", b"HTTP/1.1 405"),
    "a socket with a body": (UPGRADE + b"Content-Length: 5\r\n\r\nhello", b"HTTP/1.1 400"),
    "a socket in pieces": (UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"HTTP/1.1 400"),
    "a silent connection": (b"", b""),
    "a head that does not end": (b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow:", b""),
    "a body that does not come": (f"{HEAD}Content-Length: 500\r\n\r\n".encode() + b"{", b"HTTP/1.1 408"),
}


@pytest.mark.parametrize("name", RAW)
async def test_bytes_that_do_harm_have_their_one_answer(attacked: AttackedGateway, name: str) -> None:
    sent, begins = RAW[name]

    said = await attacked.raw(sent)

    cut_off = len(sent) > 250_000 and not said  # who sends on may not hear why
    assert said[: len(begins)] == begins or cut_off, said[:200]
    assert begins or not said
    assert said.count(b"HTTP/1.1 ") <= 1  # nothing was smuggled in as a second request
    assert b"root:" not in said
    assert b"Set-Cookie" not in said.split(b"\r\n\r\n")[0]


async def test_two_hundred_connections_that_dawdle_are_all_closed(attacked: AttackedGateway) -> None:
    async def dawdle() -> bytes:
        reader, writer = await asyncio.open_connection(*attacked.address.split(":"))
        try:
            writer.write(b"POST /graphql HTTP/1.1\r\nHost: x\r\n")
            return await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.transport.abort()

    assert set(await asyncio.gather(*(dawdle() for _ in range(200)))) == {b""}


async def test_a_flood_is_turned_away_for_its_sender_alone(gateway: GatewayWorld) -> None:
    async with attacked_gateway(gateway, rate=request_rate(gateway, 60)) as attacked:
        told = await asyncio.gather(*(attacked.send(VIEWER) for _ in range(150)))
        other = await attacked.send(VIEWER, BOB)

    refused = [one for one in told if one.status == 429]
    assert {one.status for one in told} == {200, 429}
    assert len(refused) == 90
    assert refused[0].extensions["limit"] == "requestsPerMinute"
    assert other.status == 200


LINES: Final = ("x\nINFO granted", "x\r\nINFO granted", "x\u2028INFO granted", "x\x1b[2Jy", "x\u202egnp", "x\x85y")


@pytest.mark.parametrize("evil", LINES)
async def test_nothing_that_is_sent_makes_a_line_of_the_log(
    attacked: AttackedGateway, caplog: pytest.LogCaptureFixture, evil: str
) -> None:
    with caplog.at_level(logging.DEBUG):
        await attacked.ask({"query": f'{{ node(id: "x") {{ id }} }} # {evil}', "operationName": evil})
        await attacked.ask({"query": "query($i: ID!) { vm(id: $i) { id } }", "variables": {"i": evil}})
        await attacked.ask({"query": LAUNCH.replace("NES}", "NES, userId: $u}"), "variables": {"u": evil}})
        async with attacked.http.get(f"http://{attacked.address}/{evil}", headers={"X-Request-ID": "a b"}) as answer:
            assert (answer.status, answer.headers["X-Request-ID"] != "a b") == (404, True)

    for made in (ConsoleLines(), JsonLines()):
        for record in caplog.records:
            line = made.format(record)
            assert not set(line) & set("\r\x1b\x85\u2028\u2029\u202e"), line
            assert "\nINFO granted" not in line
