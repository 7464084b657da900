"""The door: credentials in, a Caller out. Nothing that was sent appears in an error, a log line or a repr."""

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

# Stands for whoever asks without credentials on a developer's own machine.
DEVELOPER: Final = Caller("developer", Role.OPERATOR)

_AUTHORIZATION: Final = "authorization"
_API_KEY: Final = "x-api-key"
_BEARER: Final = re.compile(r"bearer ([\x21-\x7e]+)", re.ASCII | re.IGNORECASE)
_KEY: Final = re.compile(r"[\x21-\x7e]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A token or an API key, exactly one of them, whose value does not print."""

    token: SecretStr | None = None
    api_key: SecretStr | None = None


def credentials_of(headers: Iterable[tuple[bytes, bytes]], payload: object = None) -> Credentials | None:
    """What ASGI headers and a `connection_init` payload carry together; None for nothing.

    Raises UnauthenticatedError for what is malformed, and for more than one of anything: of two credentials none is
    better than the other, and one may be somebody's who does not know.
    """
    found = [*_in_headers(headers), *_in_payload(payload)]
    if not found:
        return None
    if len(found) > 1:
        raise UnauthenticatedError("more than one set of credentials was sent")
    name, value = found[0]
    if name == _API_KEY:
        return Credentials(api_key=SecretStr(_matched(_KEY, value, 0)))
    return Credentials(token=SecretStr(_matched(_BEARER, value, 1)))


class Authenticator:
    """`tokens` and `api_keys` of None: nobody can come that way. `developer`: who comes with nothing is DEVELOPER."""

    def __init__(self, tokens: TokenVerifier | None, api_keys: ApiKeys | None, *, developer: bool = False) -> None:
        if developer and tokens is not None:
            raise ValueError("where tokens are checked, nobody is let in without one")
        self._tokens = tokens
        self._api_keys = api_keys
        self._developer = developer

    async def authenticate(self, credentials: Credentials | None) -> Caller:
        """Raises UnauthenticatedError; UnavailableError when keys or database are away and nothing can be said.

        May be repeated with the same credentials, to see whether they are still good.
        """
        if credentials is None:
            if self._developer:
                return DEVELOPER
            raise UnauthenticatedError("credentials are needed: Authorization: Bearer, or X-API-Key")
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
        raise UnauthenticatedError("the connection's payload is not an object")
    named = [(str(name).lower(), value) for name, value in payload.items()]
    found = [(name, value) for name, value in named if name in (_AUTHORIZATION, _API_KEY)]
    if not all(isinstance(value, str) for _, value in found):
        raise UnauthenticatedError("the credentials are malformed")
    return found


def _matched(pattern: re.Pattern[str], value: str, group: int) -> str:
    match = pattern.fullmatch(value)
    if match is None:
        raise UnauthenticatedError("the credentials are malformed")
    return match[group]
