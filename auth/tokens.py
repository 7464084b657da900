"""Verifies JSON Web Tokens."""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import jwt
from jwt import PyJWK
from jwt.algorithms import HMACAlgorithm
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuedAtError,
    InvalidIssuerError,
    InvalidKeyError,
    InvalidSignatureError,
    InvalidSubjectError,
    MissingRequiredClaimError,
    PyJWTError,
)
from pydantic import SecretStr

from auth.callers import API_KEY_CALLER_PREFIX, Caller, is_user_id
from auth.role_claims import RoleClaim, RoleError
from errors import UnauthenticatedError

log = logging.getLogger(__name__)

MIN_SECRET_BYTES: Final = 32
_MAX_TOKEN_BYTES: Final = 8192
_MAX_KID_LENGTH: Final = 256
_REMEMBERED: Final = 4096  # verified tokens; a token is verified again when newer ones have taken its place
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_TYPES: Final = (None, "jwt", "at+jwt", "application/at+jwt")
# Headers that let a token bring its own key or change how it is read.
_REFUSED_HEADERS: Final = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"})


class _RefusedTokenError(Exception):
    """A rejected token. `reason` goes to the log, `words` to the caller. Neither quotes the token."""

    def __init__(self, reason: str, words: str = "the token is not valid") -> None:
        super().__init__(reason)
        self.reason = reason
        self.words = words


class TokenKeys(Protocol):
    """Source of keys. The configuration, never the token, decides which algorithms are allowed."""

    @property
    def algorithms(self) -> frozenset[str]: ...

    async def find(self, algorithm: str, kid: str | None) -> bytes | PyJWK | None:
        """Return the key for one of `algorithms`, or None if the token's key is unknown."""
        ...


class SharedSecret:
    """One secret for HS256.

    Raises ValueError for a secret that could be guessed, or that is a public key.
    """

    algorithms: Final = frozenset({"HS256"})

    def __init__(self, secret: SecretStr) -> None:
        self._secret = secret.get_secret_value().encode()
        if len(self._secret) < MIN_SECRET_BYTES:
            raise ValueError(f"a token secret must have at least {MIN_SECRET_BYTES} bytes")
        try:
            HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(self._secret)
        except InvalidKeyError:
            raise ValueError("a token secret must not be a key in PEM, SSH or JWK format") from None

    async def find(self, algorithm: str, kid: str | None) -> bytes | None:
        return self._secret if algorithm in self.algorithms else None


@dataclass(frozen=True, slots=True)
class _Verified:
    caller: Caller
    algorithm: str
    kid: str | None
    key: bytes | PyJWK = field(repr=False)


class TokenVerifier:
    """Verifies tokens. Issuer and audience are compared if they are set; `role` locates the role."""

    def __init__(
        self,
        keys: TokenKeys,
        *,
        issuer: str | None = None,
        audience: str | None = None,
        role: RoleClaim | None = None,
        leeway_s: float = 10.0,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._role = role or RoleClaim()
        self._leeway_s = leeway_s
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()  # by the token's hash

    async def verify(self, token: SecretStr) -> Caller:
        """Return the caller, including the token's expiry.

        Raises UnauthenticatedError for any defect, which is logged and not revealed to the caller, and UnavailableError
        if the keys cannot be read.
        """
        try:
            return await self._verify(token.get_secret_value())
        except _RefusedTokenError as refused:
            log.info("token refused", extra={"reason": refused.reason})
            raise UnauthenticatedError(refused.words) from None

    async def _verify(self, text: str) -> Caller:
        digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=32).digest()
        if (known := await self._known(digest)) is not None:
            return known
        algorithm, kid = _header(text)
        if algorithm not in self._keys.algorithms:
            raise _RefusedTokenError(f"its algorithm is not one of {', '.join(sorted(self._keys.algorithms))}")
        key = await self._keys.find(algorithm, kid)
        if key is None:
            raise _RefusedTokenError("its key (kid) is unknown")
        caller = self._caller(self._claims(text, key, algorithm))
        self._verified[digest] = _Verified(caller, algorithm, kid, key)
        if len(self._verified) > _REMEMBERED:
            self._verified.popitem(last=False)
        return caller

    async def _known(self, digest: bytes) -> Caller | None:
        """Return the caller of a token that was verified before, has not expired, and whose key is still trusted."""
        known = self._verified.get(digest)
        if known is None:
            return None
        expires_at = known.caller.expires_at
        is_valid = expires_at is not None and expires_at > datetime.now(UTC) - timedelta(seconds=self._leeway_s)
        if is_valid and await self._keys.find(known.algorithm, known.kid) is known.key:
            return known.caller
        self._verified.pop(digest, None)
        return None

    def _caller(self, claims: dict[str, Any]) -> Caller:
        subject = claims["sub"]
        if not is_user_id(subject):
            raise _RefusedTokenError("its subject (sub) has characters that no user id has, or is too long")
        if subject.startswith(API_KEY_CALLER_PREFIX):
            raise _RefusedTokenError(f"its subject (sub) begins with {API_KEY_CALLER_PREFIX}, as API keys do")
        try:
            role = self._role.role_in(claims)
        except RoleError as error:
            raise _RefusedTokenError(str(error)) from None
        return Caller(subject, role, _moment(claims["exp"]))

    def _claims(self, text: str, key: bytes | PyJWK, algorithm: str) -> dict[str, Any]:
        try:
            return jwt.decode(
                text,
                key,
                algorithms=[algorithm],
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._leeway_s,
                options={
                    "require": ["exp", "sub"],
                    "verify_aud": self._audience is not None,
                    "enforce_minimum_key_length": True,
                },
            )
        except ExpiredSignatureError:
            raise _RefusedTokenError("it has expired", "the token has expired") from None
        except PyJWTError as error:
            raise _RefusedTokenError(_REASONS.get(type(error), "it cannot be read")) from None


def _header(text: str) -> tuple[str, str | None]:
    """Return the algorithm and key id that the token claims, if its header has nothing forbidden."""
    if len(text) > _MAX_TOKEN_BYTES:
        raise _RefusedTokenError(f"it is longer than {_MAX_TOKEN_BYTES} bytes")
    if _COMPACT.fullmatch(text) is None:
        raise _RefusedTokenError("it does not consist of three parts separated by dots")
    try:
        header = jwt.get_unverified_header(text)
    except PyJWTError:
        raise _RefusedTokenError("its header cannot be read") from None
    algorithm, kid, type_ = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(algorithm, str) or not isinstance(kid, str | None) or not isinstance(type_, str | None):
        raise _RefusedTokenError("its header cannot be read")
    named_too_long = kid is not None and len(kid) > _MAX_KID_LENGTH
    other_kind = (type_ and type_.lower()) not in _TYPES
    if named_too_long or other_kind:
        raise _RefusedTokenError(
            "its key's name (kid) is too long" if named_too_long else "it is of another kind (typ)"
        )
    if brought := _REFUSED_HEADERS.intersection(header):
        raise _RefusedTokenError(f"its header has {', '.join(sorted(brought))}")
    return algorithm, kid


def _moment(seconds: object) -> datetime:
    """Convert a NumericDate.

    The library alone would also accept numbers in strings.
    """
    if not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise _RefusedTokenError("its expiry (exp) is not a valid time")
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        raise _RefusedTokenError("its expiry (exp) is not a valid time") from None


_REASONS: Final[Mapping[type[PyJWTError], str]] = {
    InvalidSignatureError: "its signature is wrong",
    InvalidIssuerError: "its issuer (iss) is not JWT_ISSUER",
    InvalidAudienceError: "its audience (aud) lacks JWT_AUDIENCE",
    ImmatureSignatureError: "it is not valid yet (nbf, iat): compare the clocks",
    InvalidIssuedAtError: "its issue time (iat) is not a valid time",
    InvalidSubjectError: "its subject (sub) is not text",
    MissingRequiredClaimError: "it lacks exp, sub, or a claim that JWT_ISSUER and JWT_AUDIENCE require",
    InvalidKeyError: "its key is too short",
}
