"""An identity provider's public keys, from its JWKS document."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any, Final, Protocol

import orjson
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from errors import ProviderError, UnavailableError
from providers.http import Reply

log = logging.getLogger(__name__)

_ALGORITHMS: Final = {"RSA": "RS256", "EC": "ES256"}
_MAX_BYTES: Final = 256 * 1024
_MAX_KEYS: Final = 100
_FIRST_RETRY_S: Final = 5.0


class DocumentSource(Protocol):
    """Fetches documents; in the service, `providers.http.Http`."""

    async def get(self, url: str, *, timeout_s: float | None = None) -> Reply:
        """Return a reply of any status; raise ProviderError if there is none."""
        ...


class RemoteKeys:
    """Keys for RS256 and ES256, reloaded when they are old or a token names an unknown key.

    One request serves all waiting callers. At least `retry_s` pass between two requests, so that invented key ids
    cannot flood the identity provider. If it does not respond, the known keys remain valid.
    """

    algorithms: Final = frozenset(_ALGORITHMS.values())

    def __init__(
        self,
        url: str,
        documents: DocumentSource,
        *,
        fresh_s: float = 600.0,
        retry_s: float = 30.0,
        timeout_s: float = 5.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._url = url
        self._documents = documents
        self._fresh_s, self._retry_s, self._timeout_s = fresh_s, retry_s, timeout_s
        self._clock = clock
        self._keys: tuple[PyJWK, ...] = ()
        self._read_at = self._asked_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def find(self, algorithm: str, kid: str | None) -> PyJWK | None:
        """Return the key that a token names, or the only key if the token names none.

        Raises UnavailableError while no key has ever been read, because no token can be verified then.
        """
        if not self._keys:
            await self._read()
            if not self._keys:
                raise UnavailableError("the identity provider's keys cannot be read")
        elif self._clock() - self._read_at > self._fresh_s:
            self._begin_to_read()  # in the background: the old keys are still valid
        found = self._find_known(algorithm, kid)
        if found is None and kid is not None:
            await self._read()
            found = self._find_known(algorithm, kid)
        return found

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    def _find_known(self, algorithm: str, kid: str | None) -> PyJWK | None:
        if kid is None and len(self._keys) > 1:
            return None
        named = (key for key in self._keys if kid is None or key.key_id == kid)
        return next((key for key in named if key.algorithm_name == algorithm), None)

    async def _read(self) -> None:
        reading = self._begin_to_read()
        if reading is not None:
            # Unlike `await reading`, this leaves the task alone when the caller is cancelled.
            await asyncio.wait([reading])
            if not reading.cancelled():
                reading.result()

    def _begin_to_read(self) -> asyncio.Task[None] | None:
        if self._reading is not None and not self._reading.done():
            return self._reading
        pause_s = self._retry_s if self._keys else min(self._retry_s, _FIRST_RETRY_S)
        if self._clock() - self._asked_at < pause_s:
            return None
        self._asked_at = self._clock()
        self._reading = asyncio.create_task(self._fetch())
        return self._reading

    async def _fetch(self) -> None:
        try:
            reply = await self._documents.get(self._url, timeout_s=self._timeout_s)
        except ProviderError as error:
            log.warning("identity provider's keys cannot be read", extra={"reason": error.message})
            return
        keys = tuple(usable_keys(reply)) if reply.status == 200 else ()
        if not keys:
            log.warning("identity provider lists no usable keys", extra={"status": reply.status})
            return
        self._keys = keys
        self._read_at = self._clock()


def usable_keys(reply: Reply) -> Iterator[PyJWK]:
    """Yield the keys of a JWKS reply that can verify signatures of the two algorithms; skip everything else."""
    if len(reply.body) > _MAX_BYTES:
        return
    try:
        document: Any = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return
    listed = document.get("keys") if isinstance(document, dict) else None
    for jwk in listed[:_MAX_KEYS] if isinstance(listed, list) else ():
        key = _public_key(jwk)
        if key is not None:
            yield key


def _public_key(jwk: Any) -> PyJWK | None:
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig" or "d" in jwk:
        return None
    if not isinstance(jwk.get("kid"), str | None):
        return None
    algorithm = _ALGORITHMS.get(str(jwk.get("kty")))
    if algorithm is None or jwk.get("alg", algorithm) != algorithm:
        return None
    try:
        return PyJWK(jwk, algorithm)
    except (PyJWTError, ValueError, TypeError):
        return None
