"""Talks to the service: queries and mutations over HTTP, subscriptions over WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from . import __version__
from .credentials import Credentials
from .exits import CommandError, ExitStatus, error_of, refusal_of
from .operations import document

_ACCEPT: Final = "application/graphql-response+json, application/json;q=0.9"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, connect=10)
# A download ends when nothing more arrives, however long the whole file takes.
_TRANSFER_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, connect=10, sock_read=60)
_RETRY_AFTER_S: Final = (0.5, 1.0, 2.0)
_CONNECT_S: Final = 10
_PING_S: Final = 20.0
_PONG_S: Final = 10.0


class ConnectionLostError(Exception):
    """A subscription ended before its last result. It may begin again."""


class Service:
    """The service at one address. The repr does not show the token.

    `partial_errors` say why responses lacked a part of their data.
    """

    def __init__(self, credentials: Credentials, session: aiohttp.ClientSession) -> None:
        self._credentials = credentials
        self._session = session
        self._partial_errors: dict[tuple[str, str | None], CommandError] = {}

    @property
    def partial_errors(self) -> list[CommandError]:
        """Return the errors of partial responses, each once, in their order."""
        return list(self._partial_errors.values())

    async def query(self, operation: str, /, **variables: Any) -> dict[str, Any]:
        """Return the data of a query. Repeat it a few times while the service cannot be reached."""
        return await self._repeated(operation, variables)

    async def change(self, operation: str, field: str, /, **variables: Any) -> dict[str, Any]:
        """Return the payload of a mutation, which is sent once. Raise CommandError if it was refused."""
        return _accepted(await self._execute(operation, variables), field)

    async def change_once(self, operation: str, field: str, /, **variables: Any) -> dict[str, Any]:
        """Return the payload of a mutation that may be repeated because it carries an idempotency key."""
        return _accepted(await self._repeated(operation, variables), field)

    async def subscribe(self, operation: str, variables: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the data of a subscription's results.

        Raise ConnectionLostError if it may begin again, and CommandError if it is refused.
        """
        # gql takes a moment to import, which most commands need not spend.
        from gql import Client, gql  # noqa: PLC0415  (slow to import)
        from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport  # noqa: PLC0415  (see above)
        from gql.transport.exceptions import TransportError, TransportQueryError  # noqa: PLC0415  (see above)

        transport = AIOHTTPWebsocketsTransport(
            "ws" + self._url("/graphql").removeprefix("http"),
            init_payload=dict(self._credentials.headers),
            subprotocols=["graphql-transport-ws"],
            connect_timeout=_CONNECT_S,
            ping_interval=_PING_S,
            pong_timeout=_PONG_S,
        )
        request = gql(document(operation))
        request.variable_values = dict(variables)
        try:
            async with Client(transport=transport) as session:
                async for data in session.subscribe(request):
                    yield data
        except TransportQueryError as error:
            entries = error.errors or [{}]
            raise error_of(entries[0]) from None
        except (TransportError, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ConnectionLostError(type(error).__name__) from error

    async def download(self, path: str, **query: str) -> AsyncIterator[bytes]:
        """Yield a file of the service in pieces."""
        try:
            async with self._session.get(
                self._url(path),
                params=query,
                headers=self._credentials.headers,
                allow_redirects=False,
                timeout=_TRANSFER_TIMEOUT,
            ) as response:
                if response.status != 200:
                    raise _refused(response.status, await response.read())
                async for piece in response.content.iter_chunked(64 * 1024):
                    yield piece
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error

    async def fetch(self, url: str) -> AsyncIterator[bytes]:
        """Yield what a signed URL leads to, in pieces. The token is not sent there."""
        try:
            async with self._session.get(url, timeout=_TRANSFER_TIMEOUT) as response:
                if response.status != 200:
                    raise CommandError(f"the download failed with status {response.status}", ExitStatus.UNAVAILABLE)
                async for piece in response.content.iter_chunked(64 * 1024):
                    yield piece
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CommandError(f"the download failed: {type(error).__name__}", ExitStatus.UNAVAILABLE) from error

    async def _repeated(self, operation: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        for wait_s in _RETRY_AFTER_S:
            try:
                return await self._execute(operation, variables)
            except CommandError as error:
                if error.status is not ExitStatus.UNAVAILABLE:
                    raise
                await asyncio.sleep(wait_s)
        return await self._execute(operation, variables)

    async def _execute(self, operation: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in variables.items() if value is not None}
        body = {"query": document(operation), "operationName": operation, "variables": given}
        try:
            async with self._session.post(
                self._url("/graphql"),
                json=body,
                headers={"Accept": _ACCEPT, **self._credentials.headers},
                allow_redirects=False,  # a redirect must not carry the token to another host
            ) as response:
                data, errors = _data_and_errors(response.status, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error
        for each in errors:
            self._partial_errors.setdefault((each.message, each.code), each)
        return data

    def _url(self, path: str) -> str:
        return self._credentials.url + path

    def _unreachable(self, error: BaseException) -> CommandError:
        reason = str(error) or type(error).__name__
        return CommandError(f"cannot reach {self._credentials.url}: {reason}", ExitStatus.UNAVAILABLE)


@asynccontextmanager
async def connected(credentials: Credentials) -> AsyncIterator[Service]:
    """Hold connections to the service open for as long as the body runs."""
    headers = {"User-Agent": f"gamer-cli/{__version__}"}
    async with aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers) as session:
        yield Service(credentials, session)


def _data_and_errors(status: int, body: bytes) -> tuple[dict[str, Any], list[CommandError]]:
    """Return the data of a response, and why parts of it are null. Raise CommandError if it has none."""
    content = _content(body)
    data, errors = content.get("data"), content.get("errors") or []
    if not isinstance(data, dict) or (errors and all(value is None for value in data.values())):
        raise _refused(status, body)
    return data, [error_of(entry) for entry in errors if isinstance(entry, dict)]


def _refused(status: int, body: bytes) -> CommandError:
    errors = _content(body).get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return error_of(errors[0])
    if status in (502, 503, 504):
        return CommandError(f"the service answers with status {status}", ExitStatus.UNAVAILABLE)
    return CommandError(
        f"no GraphQL service answers at this address (status {status})", ExitStatus.UNAVAILABLE, "NO_SERVICE"
    )


def _content(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _accepted(data: Mapping[str, Any], field: str) -> dict[str, Any]:
    payload: dict[str, Any] = data[field]
    if payload["errors"]:
        raise refusal_of(payload["errors"][0])
    return payload
