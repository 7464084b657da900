"""JSON Web Tokens: who a token speaks of, when everything about it is right."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import jwt
from jwt import PyJWK
from jwt.algorithms import HMACAlgorithm
from jwt.exceptions import ExpiredSignatureError, InvalidKeyError, PyJWTError
from pydantic import SecretStr

from auth.callers import API_KEY_CALLER_PREFIX, Caller, Role, is_user_id
from errors import UnauthenticatedError

MIN_SECRET_BYTES: Final = 32
_MAX_TOKEN_BYTES: Final = 8192
_MAX_KID_LENGTH: Final = 256
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_ROLES: Final = {role.value.lower(): role for role in Role}
_TYPES: Final = (None, "jwt", "at+jwt", "application/at+jwt")
# Headers by which a token would bring its own key, or change how it is to be read.
_REFUSED_HEADERS: Final = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"})


class TokenKeys(Protocol):
    """Where keys come from. The configuration, and never the token, decides which algorithms there are."""

    @property
    def algorithms(self) -> frozenset[str]: ...

    async def find(self, algorithm: str, kid: str | None) -> bytes | PyJWK | None:
        """The key for one of `algorithms`; None when the token's is not known."""
        ...


class SharedSecret:
    """One secret for HS256. Raises ValueError for one that could be guessed, or that is somebody's public key."""

    algorithms: Final = frozenset({"HS256"})

    def __init__(self, secret: SecretStr) -> None:
        self._secret = secret.get_secret_value().encode()
        if len(self._secret) < MIN_SECRET_BYTES:
            raise ValueError(f"a token secret has at least {MIN_SECRET_BYTES} bytes")
        try:
            HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(self._secret)
        except InvalidKeyError:
            raise ValueError("a token secret is not a key in PEM, SSH or JWK form") from None

    async def find(self, algorithm: str, kid: str | None) -> bytes | None:
        return self._secret if algorithm in self.algorithms else None


class TokenVerifier:
    """Issuer and audience are compared when they are set."""

    def __init__(
        self, keys: TokenKeys, *, issuer: str | None = None, audience: str | None = None, leeway_s: float = 10.0
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._leeway_s = leeway_s

    async def verify(self, token: SecretStr) -> Caller:
        """The caller, with the time at which the token ends. UnauthenticatedError when anything at all is wrong;
        UnavailableError when the keys to tell are not to be had."""
        text = token.get_secret_value()
        algorithm, kid = _header(text)
        if algorithm not in self._keys.algorithms:
            raise _invalid()
        key = await self._keys.find(algorithm, kid)
        if key is None:
            raise _invalid()
        return _caller(self._claims(text, key, algorithm))

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
            raise UnauthenticatedError("the token has expired") from None
        except PyJWTError:
            raise _invalid() from None


def _header(text: str) -> tuple[str, str | None]:
    """Algorithm and key id as the token claims them, when its header says nothing that is refused."""
    if len(text) > _MAX_TOKEN_BYTES or _COMPACT.fullmatch(text) is None:
        raise _invalid()
    try:
        header = jwt.get_unverified_header(text)
    except PyJWTError:
        raise _invalid() from None
    algorithm, kid, type_ = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(algorithm, str) or not isinstance(kid, str | None) or not isinstance(type_, str | None):
        raise _invalid()
    named_too_long = kid is not None and len(kid) > _MAX_KID_LENGTH
    other_kind = (type_ and type_.lower()) not in _TYPES
    if named_too_long or other_kind or _REFUSED_HEADERS.intersection(header):
        raise _invalid()
    return algorithm, kid


def _caller(claims: dict[str, Any]) -> Caller:
    subject, role = claims["sub"], claims.get("role", "player")
    if not is_user_id(subject) or subject.startswith(API_KEY_CALLER_PREFIX):
        raise _invalid()
    if not isinstance(role, str) or role not in _ROLES:
        raise _invalid()
    return Caller(subject, _ROLES[role], _moment(claims["exp"]))


def _moment(seconds: object) -> datetime:
    """A NumericDate as JSON means it. The library alone would read numbers out of strings too."""
    if not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise _invalid()
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        raise _invalid() from None


def _invalid() -> UnauthenticatedError:
    return UnauthenticatedError("the token is not valid")
