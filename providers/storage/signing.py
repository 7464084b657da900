"""Signatures of Google service accounts, and URLs that they sign for a few minutes of access.

V4 signing as Google documents it (Cloud Storage, "V4 signing process" and "Canonical requests"): the request is written
down in one canonical form, its SHA-256 goes into the string that is signed with the account's RSA key. The key is in a
key file, or stays with Google, whose Service Account Credentials API (`signBlob`) then signs.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote, urlsplit

import orjson

from errors import ProviderBusyError, ProviderError, ProviderRefusedError
from providers.http import Http, Reply, Request
from providers.storage.tokens import METADATA_URL, Tokens, read_key, send_authorised

IAM_URL: Final = "https://iamcredentials.googleapis.com"
ALGORITHM: Final = "GOOG4-RSA-SHA256"
SCOPE_END: Final = "auto/storage/goog4_request"
UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_ACCOUNT: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}@[a-z0-9.-]{1,127}", re.ASCII)
_METADATA_EMAIL: Final = "/computeMetadata/v1/instance/service-accounts/default/email"


class Signer(Protocol):
    """Signs as a service account."""

    async def account(self) -> str:
        """Return the account's e-mail address. Raises a ProviderError when there is none."""
        ...

    async def sign(self, content: bytes) -> bytes:
        """Return the RSA-SHA256 signature. Raises a ProviderError when it cannot be had."""
        ...


class KeyFileSigner:
    """Signs with the private key of a service account's key file."""

    def __init__(self, key_file: Path) -> None:
        self._key_file = key_file

    async def account(self) -> str:
        return _checked_account((await self._key()).get("client_email"))

    async def sign(self, content: bytes) -> bytes:
        return await asyncio.to_thread(_sign, await self._key(), content)

    async def _key(self) -> Mapping[str, Any]:
        return await asyncio.to_thread(read_key, self._key_file)


class IamSigner:
    """Has Google sign: for services that hold no key. `account` of None: that of the machine that the service runs on.

    The service's own account needs the role Service Account Token Creator on the account that signs.
    """

    def __init__(
        self,
        http: Http,
        tokens: Tokens,
        account: str | None = None,
        *,
        url: str = IAM_URL,
        metadata_url: str = METADATA_URL,
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._account = account
        self._url = url.rstrip("/")
        self._metadata_url = metadata_url

    async def account(self) -> str:
        if self._account is None:
            request = Request(
                "GET", f"{self._metadata_url}{_METADATA_EMAIL}", {"Metadata-Flavor": "Google"}, timeout_s=5
            )
            reply = await self._http.send(request)
            if reply.status != 200:
                raise ProviderRefusedError(f"the machine has no service account: status {reply.status}")
            self._account = _checked_account(reply.body.decode(errors="replace").strip())
        return self._account

    async def sign(self, content: bytes) -> bytes:
        account = quote(await self.account(), safe="@")
        url = f"{self._url}/v1/projects/-/serviceAccounts/{account}:signBlob"
        body = orjson.dumps({"payload": base64.b64encode(content).decode()})
        request = Request("POST", url, {"Content-Type": "application/json"}, body)
        return _signed_blob(await send_authorised(self._http, self._tokens, request))


def signer_for(key_file: Path | None, iam: IamSigner, *, account: str | None = None) -> Signer:
    """Return the signer for these credentials: the key file's own account where it is one and no other is named."""
    if key_file is None or account is not None:
        return iam
    return _ByKind(key_file, iam)


class _ByKind:
    """Uses a key file, read at the first use. A user's key file cannot sign, so Google signs then."""

    def __init__(self, key_file: Path, iam: IamSigner) -> None:
        self._key_file = key_file
        self._iam = iam

    async def account(self) -> str:
        return await (await self._signer()).account()

    async def sign(self, content: bytes) -> bytes:
        return await (await self._signer()).sign(content)

    async def _signer(self) -> Signer:
        key = await asyncio.to_thread(read_key, self._key_file)
        return KeyFileSigner(self._key_file) if key.get("type") == "service_account" else self._iam


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """A URL that gives any holder access to one object until it expires. It is secret, so the repr omits it."""

    text: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"SignedUrl(expires_at={self.expires_at.isoformat()})"


class UrlSigner:
    """Makes URLs of a bucket's objects."""

    def __init__(self, signer: Signer, bucket: str, endpoint_url: str) -> None:
        self._signer = signer
        self._bucket = bucket
        self._endpoint = urlsplit(endpoint_url.rstrip("/"))

    async def download(
        self, name: str, generation: int, *, valid: timedelta, file_name: str, now: datetime | None = None
    ) -> SignedUrl:
        """Return a URL for exactly this generation; browsers store it under `file_name`."""
        signed_at = (now or datetime.now(UTC)).replace(microsecond=0)
        path = f"/{quote(self._bucket, safe='')}/{quote(name, safe='/')}"
        account = await self._signer.account()
        query = {
            "X-Goog-Algorithm": ALGORITHM,
            "X-Goog-Credential": f"{account}/{signed_at:%Y%m%d}/{SCOPE_END}",
            "X-Goog-Date": f"{signed_at:%Y%m%dT%H%M%SZ}",
            "X-Goog-Expires": str(int(valid.total_seconds())),
            "X-Goog-SignedHeaders": "host",
            "generation": str(generation),
            "response-content-disposition": f'attachment; filename="{file_name}"',
        }
        headers = {"host": self._endpoint.netloc}
        text = string_to_sign("GET", path, query, headers)
        signature = (await self._signer.sign(text.encode())).hex()
        url = f"{self._endpoint.scheme}://{self._endpoint.netloc}{path}?{canonical_query(query)}"
        return SignedUrl(f"{url}&X-Goog-Signature={signature}", signed_at + valid)


def canonical_query(query: Mapping[str, str]) -> str:
    """Return the query string in the order that signatures require."""
    pairs = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def string_to_sign(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """Return the text that is signed for a request.

    `path` is percent-encoded; `query` has all parameters but the signature; `headers` has the signed headers by their
    names in lower case.
    """
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join((method, path, canonical_query(query), lines, names, UNSIGNED))
    scope = query["X-Goog-Credential"].partition("/")[2]
    return "\n".join((ALGORITHM, query["X-Goog-Date"], scope, hashlib.sha256(request.encode()).hexdigest()))


def _sign(key: Mapping[str, Any], content: bytes) -> bytes:
    # Its start-up cost is paid only by those who have a key.
    from google.auth import crypt  # noqa: PLC0415 - for that reason

    try:
        signature: bytes = crypt.RSASigner.from_service_account_info(key).sign(content)
    except (KeyError, ValueError, TypeError) as error:
        raise ProviderRefusedError(f"the Google key file cannot sign: {type(error).__name__}") from None
    return signature


def _signed_blob(reply: Reply) -> bytes:
    if reply.status >= 300:
        raise _refusal_error(reply.status)
    try:
        return base64.b64decode(orjson.loads(reply.body)["signedBlob"], validate=True)
    except (orjson.JSONDecodeError, binascii.Error, KeyError, TypeError, ValueError):
        raise ProviderBusyError("Google signed in a form that we do not know") from None


def _refusal_error(status: int) -> ProviderError:
    if status in (400, 401, 403, 404):
        return ProviderRefusedError(f"Google does not sign for this service: status {status}")
    return ProviderBusyError(f"Google does not sign now: status {status}")


def _checked_account(text: object) -> str:
    if not isinstance(text, str) or not _ACCOUNT.fullmatch(text):
        raise ProviderRefusedError("the credentials name no service account that could sign")
    return text
