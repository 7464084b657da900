"""HTTP client: a thin layer over aiohttp that returns plain values and raises our own errors."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from errors import ProviderBusyError, ProviderError, ProviderRefusedError
from tracing import spans


class NothingSentError(ProviderBusyError):
    """The request was certainly not carried out: it was never sent, or the server rejected it unread."""


class Deadline:
    """A deadline some seconds from now, by both clocks.

    The monotonic clock stops while a computer sleeps; the wall clock can be set.
    """

    def __init__(self, seconds: float) -> None:
        self._monotonic = monotonic() + seconds
        self._wall = time() + seconds

    @property
    def has_passed(self) -> bool:
        return monotonic() > self._monotonic or time() > self._wall


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request. Its repr shows neither headers nor body, which may carry credentials.

    `verify_tls=False` accepts a self-signed certificate. If the body cannot be sent before `leave_by`, because the
    process or the connection was slow, NothingSentError is raised.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    timeout_s: float | None = None  # None: the default of the Http that sends it
    verify_tls: bool = True
    body_limit_bytes: int | None = None  # of the response's body; None: likewise the default
    leave_by: Deadline | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A response of any status. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Http:
    """One session per event loop, opened by the first request and closed once. Redirects are not followed."""

    def __init__(self, *, timeout_s: float = 30.0, body_limit_bytes: int = 8 * 2**20) -> None:
        self._timeout_s = timeout_s
        self._body_limit_bytes = body_limit_bytes
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        verify_tls: bool = True,
    ) -> Reply:
        return await self.send(Request("GET", url, headers or {}, timeout_s=timeout_s, verify_tls=verify_tls))

    async def send(self, request: Request) -> Reply:
        """Send a request and return the response, whatever its status.

        Raises ProviderBusyError if there is no connection, no response in time, or a response that is cut off or too
        large. aiohttp repeats what HTTP calls idempotent (GET, PUT, DELETE) once if the connection breaks; it never
        repeats a POST.
        """
        body = _Body(request)
        try:
            with spans.call(f"HTTP {request.method}", _described(request)) as span:
                reply = await self._exchange(request, body)
                span.note("http.response.status_code", reply.status)
            return reply
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            fault = _late_error(request) if body.withheld else _error_for(request, error)
        # Raised here, without a cause: aiohttp's exceptions hold the request's headers.
        raise fault

    async def close(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def _exchange(self, request: Request, body: _Body) -> Reply:
        async with self._open().request(
            request.method,
            request.url,
            headers={**request.headers, **body.headers},
            data=body.data(),
            timeout=aiohttp.ClientTimeout(total=self._limit_s(request)),
            ssl=request.verify_tls,
            allow_redirects=False,
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status, headers, await _body(response, self._body_limit(request)))

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise aiohttp.ClientConnectionError("the service is shutting down")
        if self._session is None:
            # Connections are not reused: one that the server has just closed would make an order's response look lost.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "gamer-provisioner"},
            )
        return self._session

    def _limit_s(self, request: Request) -> float:
        return self._timeout_s if request.timeout_s is None else request.timeout_s

    def _body_limit(self, request: Request) -> int:
        return self._body_limit_bytes if request.body_limit_bytes is None else request.body_limit_bytes


class _Body:
    """A request's body while it is sent."""

    def __init__(self, request: Request) -> None:
        self._content = request.body
        self._leave_by = request.leave_by
        self.withheld = False

    @property
    def headers(self) -> dict[str, str]:
        """Return the Content-Length header that a generated body needs: aiohttp would send it in chunks otherwise."""
        if self._content is None or self._leave_by is None:
            return {}
        return {"Content-Length": str(len(self._content))}

    def data(self) -> io.BytesIO | AsyncIterator[bytes] | None:
        if self._content is None:
            return None
        if self._leave_by is None:
            return io.BytesIO(self._content)  # aiohttp would send bytes in one piece
        return self._send_in_time(self._content, self._leave_by)

    async def _send_in_time(self, content: bytes, leave_by: Deadline) -> AsyncIterator[bytes]:
        """Yield the body once the connection is established, or raise if it is too late.

        A server does not carry out a request whose body is missing.
        """
        if leave_by.has_passed:
            self.withheld = True
            raise TimeoutError
        yield content


async def _body(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    body = io.BytesIO()  # unlike a bytearray, it returns its content without a copy
    async for chunk in response.content.iter_any():
        body.write(chunk)
        if body.tell() > limit_bytes:
            raise aiohttp.ClientPayloadError(f"more than {limit_bytes} bytes")
    return body.getvalue()


_FAULTS: Final = (
    (TimeoutError, ProviderBusyError, "no response in time"),
    (aiohttp.ClientConnectorCertificateError, NothingSentError, "its certificate is not trusted"),
    (aiohttp.ClientConnectorError, NothingSentError, "no connection"),
    (aiohttp.ClientPayloadError, ProviderBusyError, "the response was cut off or is too large"),
    ((aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError), ProviderRefusedError, "invalid address"),
    ((aiohttp.ClientError, OSError), ProviderBusyError, "the connection failed"),
    (ValueError, ProviderRefusedError, "the address or a header cannot be sent"),
)


def _late_error(request: Request) -> NothingSentError:
    return NothingSentError("the request could not be sent in time").with_log_detail(_target(request))


def _error_for(request: Request, error: Exception) -> ProviderError:
    ours, reason = next((ours, reason) for theirs, ours, reason in _FAULTS if isinstance(error, theirs))
    return ours(reason).with_log_detail(_target(request))


def _described(request: Request) -> dict[str, spans.Value]:
    """Return what a span says of a request. Its path and query may name players and hold credentials."""
    try:
        host = urlsplit(request.url).hostname or ""
    except ValueError:
        host = ""
    return {"http.request.method": request.method, "server.address": host}


def _target(request: Request) -> str:
    """Return method, host and path: the user part and the query of an address may hold credentials."""
    try:
        parts = urlsplit(request.url)
    except ValueError:
        return f"{request.method} (unreadable address)"
    return f"{request.method} {parts.hostname or ''}{parts.path}"
