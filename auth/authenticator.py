"""Authentication: credentials in, a Caller out.

Nothing that was sent appears in an error, a log line or a repr.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from auth.api_keys import ApiKeys
from auth.callers import Caller, Role
from auth.tokens import TokenVerifier
from errors import UnauthenticatedError

# The caller without credentials on a developer's own machine.
DEVELOPER: Final = Caller("developer", Role.OPERATOR)

_AUTHORIZATION: Final = "authorization"
_API_KEY: Final = "x-api-key"
_BEARER: Final = re.compile(r"bearer ([\x21-\x7e]+)", re.ASCII | re.IGNORECASE)
_KEY: Final = re.compile(r"[\x21-\x7e]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Either a token or an API key. The repr does not show the value."""

    token: SecretStr | None = None
    api_key: SecretStr | None = None


def parse_credentials(headers: Iterable[tuple[bytes, bytes]], payload: object = None) -> Credentials | None:
    """Return the credentials in ASGI headers and a `connection_init` payload; None if there are none.

    Raises UnauthenticatedError if they are malformed or if there is more than one: neither of two credentials takes
    precedence, and one of them may have been added without the user's knowledge.
    """
    found = [*_in_headers(headers), *_in_payload(payload)]
    if not found:
        return None
    if len(found) > 1:
        raise UnauthenticatedError("more than one set of credentials was sent")
    name, value = found[0]
    if name == _API_KEY:
        return Credentials(api_key=SecretStr(_match(_KEY, value, 0)))
    return Credentials(token=SecretStr(_match(_BEARER, value, 1)))


class Authenticator:
    """Authenticates callers. If `tokens` or `api_keys` is None, that kind is not accepted.

    With `developer`, a caller without credentials is DEVELOPER.
    """

    def __init__(self, tokens: TokenVerifier | None, api_keys: ApiKeys | None, *, developer: bool = False) -> None:
        if developer and tokens is not None:
            raise ValueError("developer access cannot be combined with tokens")
        self._tokens = tokens
        self._api_keys = api_keys
        self._developer = developer

    async def authenticate(self, credentials: Credentials | None) -> Caller:
        """Return the caller of these credentials.

        Raises UnauthenticatedError if they are not valid, and UnavailableError if keys or the database are unavailable,
        so that validity cannot be determined. May be repeated to see whether credentials are still valid.
        """
        if credentials is None:
            if self._developer:
                return DEVELOPER
            raise UnauthenticatedError("credentials are required: Authorization: Bearer, or X-API-Key")
        if credentials.token is not None and self._tokens is not None:
            return await self._tokens.verify(credentials.token)
        if credentials.api_key is not None and self._api_keys is not None:
            return await self._api_keys.verify(credentials.api_key)
        raise UnauthenticatedError("credentials of this kind are not accepted here")


def _in_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    decoded = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers)
    return [(name, value) for name, value in decoded if name in (_AUTHORIZATION, _API_KEY)]


def _in_payload(payload: object) -> list[tuple[str, str]]:
    if payload is None:
        return []
    if not isinstance(payload, Mapping):
        raise UnauthenticatedError("the payload of connection_init must be an object")
    named = [(str(name).lower(), value) for name, value in payload.items()]
    found = [(name, value) for name, value in named if name in (_AUTHORIZATION, _API_KEY)]
    if not all(isinstance(value, str) for _, value in found):
        raise UnauthenticatedError("the credentials are malformed")
    return found


def _match(pattern: re.Pattern[str], value: str, group: int) -> str:
    match = pattern.fullmatch(value)
    if match is None:
        raise UnauthenticatedError("the credentials are malformed")
    return match[group]
