"""Access tokens for Google's APIs, fetched when needed and used until shortly before they expire."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import orjson

from errors import ProviderBusyError, ProviderRefusedError
from providers.http import Http, Reply, Request

SCOPE: Final = "https://www.googleapis.com/auth/devstorage.read_write"
CLOUD_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"  # for everything except the bucket
TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
METADATA_URL: Final = "http://metadata.google.internal"
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")  # allowed in a header
_EARLY_S: Final = 300
_LIFE: Final = timedelta(hours=1)


class Tokens(Protocol):
    async def token(self) -> str | None:
        """Return a token that is valid for minutes, or None if none is needed."""
        ...

    def forget(self, token: str) -> None:
        """Stop returning this token, because Google rejected it."""
        ...


async def send_authorised(http: Http, tokens: Tokens, request: Request) -> Reply:
    """Send a request with a token, and once more with a new one after a 401.

    A token may end early, because it was revoked or this host slept through its hour.
    """
    token = await tokens.token()
    reply = await http.send(_with_token(request, token))
    if reply.status != 401 or token is None:
        return reply
    tokens.forget(token)
    fresh = await tokens.token()
    return reply if fresh == token else await http.send(_with_token(request, fresh))


def _with_token(request: Request, token: str | None) -> Request:
    if token is None:
        return request
    return replace(request, headers={**request.headers, "Authorization": f"Bearer {token}"})


class NoTokens:
    """Tokens of buckets that need no credentials."""

    async def token(self) -> str | None:
        return None

    def forget(self, token: str) -> None:
        """Do nothing: there are no tokens."""


class GoogleTokens:
    """Tokens from a key file (service account or gcloud's default credentials), or from the metadata server."""

    def __init__(
        self, http: Http, key_file: Path | None = None, *, metadata_url: str = METADATA_URL, scope: str = SCOPE
    ) -> None:
        self._http = http
        self._key_file = key_file
        self._scope = scope
        self._metadata_url = metadata_url
        self._one_at_a_time = asyncio.Lock()
        self._token = ""
        self._good_until = 0.0

    async def token(self) -> str:
        """Return a token.

        Raises ProviderRefusedError if there are no usable credentials, and ProviderBusyError if there is no response.
        """
        async with self._one_at_a_time:
            if monotonic() >= self._good_until:
                asked_at = monotonic()
                self._token, life_s = _parse_grant(await self._http.send(await self._request()))
                self._good_until = asked_at + max(life_s - _EARLY_S, life_s / 2)
            return self._token

    def forget(self, token: str) -> None:
        if token == self._token:
            self._good_until = 0.0

    async def _request(self) -> Request:
        if self._key_file is None:
            path = "/computeMetadata/v1/instance/service-accounts/default/token"
            return Request("GET", f"{self._metadata_url}{path}", {"Metadata-Flavor": "Google"}, timeout_s=5)
        return await asyncio.to_thread(_request_by_key, self._key_file, self._scope)


def _request_by_key(key_file: Path, scope: str) -> Request:
    key = read_key(key_file)
    try:
        form = _assertion(key, scope) if key.get("type") == "service_account" else _refresh(key)
        url = str(key.get("token_uri", TOKEN_URL))
    except (KeyError, ValueError, TypeError) as error:
        raise _unusable(key_file, f"cannot be used: {type(error).__name__}") from None
    return Request("POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, urlencode(form).encode())


def read_key(key_file: Path) -> Mapping[str, Any]:
    """Return the content of a Google key file. Raises ProviderRefusedError if it cannot be used."""
    try:
        key = orjson.loads(key_file.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise _unusable(key_file, f"cannot be read: {type(error).__name__}") from None
    if not isinstance(key, dict):
        raise _unusable(key_file, "is not a key")
    return key


def _assertion(key: Mapping[str, Any], scope: str) -> dict[str, str]:
    # Only signing is needed from google-auth; its start-up cost is incurred only with a key.
    from google.auth import crypt, jwt  # noqa: PLC0415 - for that reason

    now = datetime.now(UTC)
    claims = {
        "iss": key["client_email"],
        "scope": scope,
        "aud": key.get("token_uri", TOKEN_URL),
        "iat": int(now.timestamp()),
        "exp": int((now + _LIFE).timestamp()),
    }
    signer = crypt.RSASigner.from_service_account_info(key)
    assertion = jwt.encode(signer, claims).decode()
    return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}


def _refresh(key: Mapping[str, Any]) -> dict[str, str]:
    parts = ("client_id", "client_secret", "refresh_token")
    return {"grant_type": "refresh_token", **{part: str(key[part]) for part in parts}}


def _parse_grant(reply: Reply) -> tuple[str, float]:
    if reply.status in (400, 401, 403, 404):
        raise ProviderRefusedError(f"Google gave no access token: status {reply.status}")
    try:
        grant = orjson.loads(reply.body)
        token, life_s = grant["access_token"], float(grant.get("expires_in", _LIFE.total_seconds()))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        token, life_s = None, math.nan
    if not (isinstance(token, str) and _TOKEN.fullmatch(token) and math.isfinite(life_s)):
        raise ProviderBusyError(f"Google gave no access token: status {reply.status}")
    return token, life_s


def _unusable(key_file: Path, why: str) -> ProviderRefusedError:
    return ProviderRefusedError(f"the Google key file {why}").with_log_detail(str(key_file))
