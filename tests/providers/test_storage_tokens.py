from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

from errors import ProviderBusyError, ProviderRefusedError
from providers.http import Http, Request
from providers.storage.tokens import GoogleTokens, send_authorised

SIGNING_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE_PEM = SIGNING_KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PUBLIC_PEM = SIGNING_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


class Google:
    """Hands out numbered tokens and remembers who asked."""

    def __init__(self) -> None:
        self.url = ""
        self.forms: list[dict[str, str]] = []
        self.headers: list[str | None] = []
        self.answer: web.Response | None = None
        self.life_s = 3600
        self.always_the_same = False
        self.revoked: set[str] = set()
        self.calls: list[tuple[str, bytes]] = []

    async def api(self, request: web.Request) -> web.Response:
        """One of Google's services: it takes every token that is not revoked."""
        bearer = request.headers["Authorization"]
        self.calls.append((bearer, await request.read()))
        return web.Response(status=401 if bearer.removeprefix("Bearer ") in self.revoked else 200)

    async def grant(self, request: web.Request) -> web.Response:
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        self.headers.append(request.headers.get("Metadata-Flavor"))
        if self.answer is not None:
            return self.answer
        number = 1 if self.always_the_same else len(self.forms)
        return web.json_response({"access_token": f"token-{number}", "expires_in": self.life_s})


@pytest.fixture
async def google() -> AsyncIterator[Google]:
    async with served() as google:
        yield google


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    http = Http()
    yield http
    await http.close()


def key_file(folder: Path, google: Google, **changes: str) -> Path:
    key = {
        "type": "service_account",
        "client_email": "saves@example.iam.gserviceaccount.com",
        "private_key": PRIVATE_PEM,
        "private_key_id": "1",
        "token_uri": f"{google.url}/token",
    }
    path = folder / "key.json"
    path.write_text(json.dumps(key | changes))
    return path


async def test_a_service_account_signs_for_a_token_that_is_used_again(
    http: Http, google: Google, tmp_path: Path
) -> None:
    tokens = GoogleTokens(http, key_file(tmp_path, google))

    first, second = await asyncio.gather(tokens.token(), tokens.token())

    assert (first, second) == ("token-1", "token-1")
    claims = jwt.decode(google.forms[0]["assertion"], certs=PUBLIC_PEM, audience=f"{google.url}/token")
    assert claims["iss"] == "saves@example.iam.gserviceaccount.com"
    assert claims["scope"] == "https://www.googleapis.com/auth/devstorage.read_write"
    assert claims["exp"] - claims["iat"] == 3600


async def test_a_token_at_its_end_is_replaced(http: Http, google: Google, tmp_path: Path) -> None:
    google.life_s = 0
    tokens = GoogleTokens(http, key_file(tmp_path, google))

    assert [await tokens.token(), await tokens.token()] == ["token-1", "token-2"]


async def test_gcloud_credentials_are_exchanged_by_their_refresh_token(
    http: Http, google: Google, tmp_path: Path
) -> None:
    path = key_file(
        tmp_path, google, type="authorized_user", client_id="id", client_secret="secret", refresh_token="refresh"
    )

    await GoogleTokens(http, path).token()

    assert google.forms == [
        {"grant_type": "refresh_token", "client_id": "id", "client_secret": "secret", "refresh_token": "refresh"}
    ]


async def test_without_a_key_file_the_metadata_server_is_asked(http: Http, google: Google) -> None:
    tokens = GoogleTokens(http, metadata_url=google.url)

    assert await tokens.token() == "token-1"
    assert google.headers == ["Google"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"type": "service_account"}', '{"type": "unheard_of"}'])
async def test_a_file_that_is_no_key_is_refused_by_its_name(http: Http, tmp_path: Path, content: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(content)

    with pytest.raises(ProviderRefusedError, match=r"key\.json"):
        await GoogleTokens(http, path).token()


async def test_a_key_that_google_refuses_is_refused(http: Http, google: Google, tmp_path: Path) -> None:
    google.answer = web.json_response({"error": "invalid_grant"}, status=400)

    with pytest.raises(ProviderRefusedError, match="no access token"):
        await GoogleTokens(http, key_file(tmp_path, google)).token()


@pytest.mark.parametrize(
    "answer",
    [
        *("", "<html>", "[]", "{}"),
        *('{"access_token": null}', '{"access_token": ""}', '{"access_token": 5}', '{"access_token": "two\\nlines"}'),
        *('{"access_token": "a", "expires_in": null}', '{"access_token": "a", "expires_in": "nan"}'),
    ],
)
async def test_an_answer_without_a_token_may_be_asked_for_again(http: Http, google: Google, answer: str) -> None:
    google.answer = web.Response(text=answer)

    with pytest.raises(ProviderBusyError, match="no access token"):
        await GoogleTokens(http, metadata_url=google.url).token()


async def test_a_token_that_ends_before_its_time_is_fetched_anew_and_the_request_sent_again(
    http: Http, google: Google
) -> None:
    tokens = GoogleTokens(http, metadata_url=google.url)
    google.revoked.add("token-1")

    reply = await send_authorised(http, tokens, Request("POST", f"{google.url}/api", {"X-Kept": "yes"}, b"content"))

    assert (reply.status, google.calls) == (200, [("Bearer token-1", b"content"), ("Bearer token-2", b"content")])
    assert await tokens.token() == "token-2"


async def test_a_fresh_token_that_is_not_taken_either_is_the_answer(http: Http, google: Google) -> None:
    tokens = GoogleTokens(http, metadata_url=google.url)
    google.revoked |= {"token-1", "token-2"}

    reply = await send_authorised(http, tokens, Request("GET", f"{google.url}/api"))

    assert (reply.status, len(google.calls)) == (401, 2)


async def test_the_same_token_is_not_tried_twice(http: Http, google: Google) -> None:
    google.always_the_same = True
    google.revoked.add("token-1")

    reply = await send_authorised(
        http, GoogleTokens(http, metadata_url=google.url), Request("GET", f"{google.url}/api")
    )

    assert (reply.status, len(google.calls)) == (401, 1)


@asynccontextmanager
async def served() -> AsyncIterator[Google]:
    google = Google()
    app = web.Application()
    app.router.add_post("/token", google.grant)
    app.router.add_route("*", "/api", google.api)
    app.router.add_get("/computeMetadata/v1/instance/service-accounts/default/token", google.grant)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    google.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield google
    finally:
        await runner.cleanup()
