"""Downloads by signed URL: Google Cloud Storage's XML interface, as far as V4 signatures of URLs go."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

ALGORITHM = "GOOG4-RSA-SHA256"
LONGEST_S = 7 * 24 * 3600
SKEW = timedelta(minutes=15)
CREDENTIAL = re.compile(r"([^/]+)/(\d{8})/([a-z0-9-]+)/storage/goog4_request")
MOMENT = re.compile(r"\d{8}T\d{6}Z")
SIGNATURE = re.compile(r"(?:[0-9a-f]{2})+")


class Account(Protocol):
    """An account that may sign, and its signatures."""

    email: str

    def has_signed(self, content: bytes, signature: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    code: str
    message: str
    details: str = ""

    def document(self) -> str:
        details = f"<Details>{escape(self.details)}</Details>" if self.details else ""
        text = f"<Code>{self.code}</Code><Message>{escape(self.message)}</Message>{details}"
        return f"<?xml version='1.0' encoding='UTF-8'?><Error>{text}</Error>"


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it arrived. `path` is percent-encoded, the query decoded; names of headers in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


def refusal_of(request: SignedRequest, account: Account | None, now: Callable[[], datetime]) -> Refusal | None:
    """Return why the request may not pass; None where an account has signed it and its time is not over."""
    query = request.query
    if "X-Goog-Signature" not in query:
        return Refusal(
            403, "AccessDenied", "Access denied.", "Anonymous caller does not have storage.objects.get access"
        )
    credential = CREDENTIAL.fullmatch(query.get("X-Goog-Credential", ""))
    wrong = "The credential is malformed." if credential is None else _malformed(query, credential)
    if credential is None or wrong is not None:
        return Refusal(400, "InvalidArgument", "Invalid argument.", wrong or "")
    signed_at = datetime.strptime(query["X-Goog-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if now() > signed_at + timedelta(seconds=int(query["X-Goog-Expires"])):
        details = f"The provided token has expired. Request signed at: {signed_at.isoformat()}"
        return Refusal(400, "ExpiredToken", "Invalid argument.", details)
    if now() < signed_at - SKEW:
        return Refusal(403, "AccessDenied", "Access denied.", "The request is signed for a later time")
    return None if _is_signed(request, credential[1], credential[0], account) else _does_not_match()


def _malformed(query: Mapping[str, str], credential: re.Match[str]) -> str | None:
    moment, lasting = query.get("X-Goog-Date", ""), query.get("X-Goog-Expires", "")
    if query.get("X-Goog-Algorithm") != ALGORITHM or not MOMENT.fullmatch(moment) or credential[2] != moment[:8]:
        return "The algorithm or the date is malformed."
    if not (lasting.isascii() and lasting.isdigit() and 1 <= int(lasting) <= LONGEST_S):
        return f"X-Goog-Expires must be between 1 and {LONGEST_S}."
    return None if "host" in query.get("X-Goog-SignedHeaders", "").split(";") else "The host is not signed."


def _is_signed(request: SignedRequest, email: str, credential: str, account: Account | None) -> bool:
    signature = request.query["X-Goog-Signature"]
    if account is None or email != account.email or not SIGNATURE.fullmatch(signature):
        return False
    scope = credential.split("/", 1)[1]
    digest = hashlib.sha256(_canonical(request).encode()).hexdigest()
    text = "\n".join([ALGORITHM, request.query["X-Goog-Date"], scope, digest])
    return account.has_signed(text.encode(), bytes.fromhex(signature))


def _canonical(request: SignedRequest) -> str:
    given = {name: value for name, value in request.query.items() if name != "X-Goog-Signature"}
    pairs = sorted(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in given.items())
    names = request.query["X-Goog-SignedHeaders"].split(";")
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in names)
    path = quote(unquote(request.path), safe="/~")  # clients differ in what they leave as it is
    return "\n".join([request.method, path, "&".join(pairs), headers, ";".join(names), "UNSIGNED-PAYLOAD"])


def _does_not_match() -> Refusal:
    return Refusal(
        403,
        "SignatureDoesNotMatch",
        "Access denied.",
        "The request signature we calculated does not match the signature you provided.",
    )
