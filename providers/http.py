"""The one way to speak HTTP: a thin cover over aiohttp that answers in plain values and fails in our own words."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from errors import ProviderBusyError, ProviderError, ProviderRefusedError


class NothingSentError(ProviderBusyError):
    """Busy, and for sure nothing was carried out: the request never left, or was turned away at the door."""


class Deadline:
    """So many seconds from now, by both clocks: one stands still while a machine sleeps, the other can be set."""

    def __init__(self, seconds: float) -> None:
        self._monotonic = monotonic() + seconds
        self._wall = time() + seconds

    @property
    def passed(self) -> bool:
        return monotonic() > self._monotonic or time() > self._wall


@dataclass(frozen=True, slots=True)
class Request:
    """Headers and body may carry credentials and are not shown. `verify_tls=False` takes a self-signed certificate.

    `leave_by`: the body is not sent later than that, however long this process stood still or waited to be connected;
    NothingSentError then.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    timeout_s: float | None = None  # None: the default of the Http it is sent with
    verify_tls: bool = True
    body_limit_bytes: int | None = None  # of the answer's body; None: the same
    leave_by: Deadline | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whatever its status. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Http:
    """One session for one event loop, opened at the first call and closed once. Redirects are not followed."""

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
        """Any status is a reply. ProviderBusyError: no connection, no answer in time, or an answer cut or too large.

        aiohttp sends what HTTP calls idempotent (GET, PUT, DELETE) once more when the connection breaks; never a POST.
        """
        body = _Body(request)
        try:
            return await self._exchange(request, body)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            fault = _too_late(request) if body.withheld else _fault(request, error)
        # Raised out here, without a cause: aiohttp's exceptions hold the request's headers.
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
            raise aiohttp.ClientConnectionError("we are shutting down")
        if self._session is None:
            # No connection is kept: one that the other side closed meanwhile would make an order's answer look lost.
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
    """A request's body on its way out."""

    def __init__(self, request: Request) -> None:
        self._content = request.body
        self._leave_by = request.leave_by
        self.withheld = False

    @property
    def headers(self) -> dict[str, str]:
        """Without its length, what is made while it is sent would go out in chunks."""
        if self._content is None or self._leave_by is None:
            return {}
        return {"Content-Length": str(len(self._content))}

    def data(self) -> io.BytesIO | AsyncIterator[bytes] | None:
        if self._content is None:
            return None
        if self._leave_by is None:
            return io.BytesIO(self._content)  # bytes would be sent in one piece
        return self._in_time(self._content, self._leave_by)

    async def _in_time(self, content: bytes, leave_by: Deadline) -> AsyncIterator[bytes]:
        """Asked for its first bytes once the connection stands. A request without its body is not carried out."""
        if leave_by.passed:
            self.withheld = True
            raise TimeoutError
        yield content


async def _body(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    body = io.BytesIO()  # unlike a bytearray it gives its content away without a copy
    async for chunk in response.content.iter_any():
        body.write(chunk)
        if body.tell() > limit_bytes:
            raise aiohttp.ClientPayloadError(f"more than {limit_bytes} bytes")
    return body.getvalue()


_FAULTS: Final = (
    (TimeoutError, ProviderBusyError, "no answer in time"),
    (aiohttp.ClientConnectorCertificateError, NothingSentError, "its certificate is not to be trusted"),
    (aiohttp.ClientConnectorError, NothingSentError, "no connection"),
    (aiohttp.ClientPayloadError, ProviderBusyError, "the answer broke off or is too large"),
    ((aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError), ProviderRefusedError, "this is not an address"),
    ((aiohttp.ClientError, OSError), ProviderBusyError, "the connection failed"),
    (ValueError, ProviderRefusedError, "the address or a header cannot be sent"),
)


def _too_late(request: Request) -> NothingSentError:
    return NothingSentError("the request could not leave in time").with_log_detail(_target(request))


def _fault(request: Request, error: Exception) -> ProviderError:
    ours, reason = next((ours, reason) for theirs, ours, reason in _FAULTS if isinstance(error, theirs))
    return ours(reason).with_log_detail(_target(request))


def _target(request: Request) -> str:
    """Return method, host and path alone: a user part or a query may hold what must not be told."""
    try:
        parts = urlsplit(request.url)
    except ValueError:
        return f"{request.method} (unreadable address)"
    return f"{request.method} {parts.hostname or ''}{parts.path}"
