"""uvicorn's httptools protocol with what it lacks: time limits for heads, limits for their size, refusal of ambiguous
messages and of bodies in tiny pieces, slow-reader detection, and a bound for requests that are sent ahead.

llhttp, the parser below httptools, is not asked about a message's size, its Host or its trailers. What it lets pass and
must not reach the application is refused here. The only subclass of uvicorn's private HTTP class.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from typing import Any, Final

import httptools
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from correlation import working_on
from web.access_log import REQUEST_ID, UNKNOWN, AccessLog, new_request_id
from web.header_limits import HeadLimits, too_large
from web.idle_connections import IdleConnections
from web.responses import json_answer
from web.websocket_protocol import SlowReader, slices

_CRUMBS: Final = 8 * 1024  # bytes around the pieces of a body that may outweigh them
_REST: Final = 128 * 1024  # bytes of a body that may come after its answer; the connection is good for more then
_AHEAD: Final = 512 * 1024  # bytes that a client may send before the requests in front of them are answered
_LOOK_S: Final = 0.02
_FAREWELL_S: Final = 1.0  # so long an answer has to arrive before the connection is closed under a body
_INVALID: Final = "Invalid HTTP request received."
_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} /")
_METHODS: Final = "GET, POST, PUT, DELETE, OPTIONS"


class _RefusedHeadError(ValueError):
    """The head must not reach the application."""


class HardenedHttpProtocol(HttpToolsProtocol):
    """From the first moment of a connection, and from the first byte of each further request, the whole head has to
    be there within `head_timeout_s`. One that is too large never reaches WebSockets; over HTTP the application says so,
    if it came at once. A client that reads nothing for `slow_reader_s` is cut off."""

    head_timeout_s = 10.0
    slow_reader_s = 20.0
    heads = HeadLimits()
    refusal_log = AccessLog()
    idle = IdleConnections()
    _head_timer: asyncio.TimerHandle | None = None
    _running: RequestResponseCycle | None = None  # the request that the application answers now, or answered last
    _messages = _head_bytes = 0  # begun on this connection; bytes of an unfinished head
    _crumbs = _body = 0  # bytes of the present request: around the pieces of its body, and of these
    _in_head = _in_body = _upgrades = _dropping = False
    _ahead = b""  # what was sent ahead and is not parsed yet
    _part = b""  # what is being parsed
    _not_taken: list[tuple[bytes, bytes]] = []  # noqa: RUF012  (replaced, never changed)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base does
        super().connection_made(transport)
        self._reader = SlowReader(transport, self.slow_reader_s)
        self.parser = self._new_parser()
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._ahead:
            self._hold(data)
        else:
            self._parse(data)
        if self._has_head():
            self._stop_waiting()
        elif self._head_timer is None:
            self._wait_for_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._messages += 1
        self._in_head, self._in_body, self._upgrades = True, False, False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Ignore trailers: a header that comes after the body would be seen by nothing that checked the head."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        if self.parser.get_method() == b"CONNECT" or not self.url.isascii():
            raise _RefusedHeadError(_INVALID)
        if (objection := _objection(version, self.headers)) is not None:
            raise _RefusedHeadError(objection)
        self._in_head, self._in_body = False, True
        self._upgrades = self._asks_for_websocket(version)
        if self._upgrades and {name for name, _ in self.headers} & {b"content-length", b"transfer-encoding"}:
            raise _RefusedHeadError(_INVALID)
        if self._upgrades or not self.parser.should_upgrade():
            self.headers += self._not_taken
            self._not_taken = []
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None and not self.transport.is_closing():
            self.idle.add(self)
        if self._in_body and self.cycle.response_complete and not self._will_end_soon():
            self._dropping = True
            self.loop.call_later(_FAREWELL_S, self.transport.close)
        if self._ahead and not self.transport.is_closing():
            self.flow.pause_reading()
            if not self.pipeline:
                self.loop.call_soon(self._parse_ahead)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader.paused()

    def resume_writing(self) -> None:
        self._reader.resumed()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._reader.resumed()
        self._unset_keepalive_if_required()
        self._ahead = b""
        super().connection_lost(exc)
        # uvicorn tells the newest request only; the one that is being answered would go on without its client.
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def close_idle(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_handler()

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        upgraded: Any = self.transport.get_protocol()
        if not upgraded.handshake_initiated:
            # The WebSocket library could not read it (a long line) and would wait without end.
            self._answer(_malformed(_INVALID), self.scope["method"], self.scope["path"])

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser could not read. Requests in front of it are answered first, and the connection ends
        with them."""
        self._dropping = True
        failing = None if self._in_head or self.cycle is None else self.cycle
        if failing is not None and failing is not self._running and self.pipeline:
            self.pipeline.popleft()
        in_front = self.pipeline[0][0] if self.pipeline else self._running
        if in_front is not None and in_front is not failing and not in_front.response_complete:
            in_front.keep_alive = False
        elif failing is not None and failing.response_started:
            self.transport.close()
        else:
            self._answer(_refusal(msg, self._part), *self._addressed())

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _unset_keepalive_if_required(self) -> None:
        """Also stop counting the connection among the idle ones: it has data, or is lost."""
        self.idle.remove(self)
        super()._unset_keepalive_if_required()

    def _should_upgrade(self) -> bool:
        return self._upgrades

    def _asks_for_websocket(self, version: str) -> bool:
        """Return whether to hand over to WebSockets. A head that is too large stays HTTP, whose answer says so."""
        if version != "1.1" or not self.parser.should_upgrade() or not super()._should_upgrade():
            return False
        url = httptools.parse_url(self.url)
        path, query = url.path or b"", url.query or b""
        self.scope["method"], self.scope["path"] = self.parser.get_method().decode("ascii"), path.decode("ascii")
        return self.heads.broken_by({**self.scope, "raw_path": path, "query_string": query}) is None

    def _parse(self, data: bytes) -> None:
        for at, part in enumerate(slices(data)):
            if self._dropping or self._is_upgraded() or self.transport.is_closing():
                break
            if self.pipeline:
                self._hold(data[at * len(self._part) :])
                break
            self._part = part
            self._take(part)

    def _take(self, part: bytes) -> None:
        messages, within, body = self._messages, self._in_body, self._body
        at_boundary = not self._in_head and not self._in_body
        self._feed(part)
        if self._dropping or self._is_upgraded():
            return
        if self._in_head:
            # Only a part that holds nothing of another message is counted.
            alone = self._messages == messages + (1 if at_boundary else 0)
            self._head_bytes = (0 if at_boundary else self._head_bytes) + (len(part) if alone else 0)
            if self._head_bytes > self.heads.max_bytes:
                self._refuse_head()
        elif within and messages == self._messages:
            self._count_crumbs(len(part) - (self._body - body))
        else:
            self._crumbs = self._body = 0

    def _feed(self, part: bytes) -> None:
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade as upgrade:
            if self._upgrades:
                self.handle_websocket_upgrade()
                return
            self._feed(self._without_offer() + part[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.logger.warning(_INVALID)
            self.send_400_response(_INVALID)

    def _without_offer(self) -> bytes:
        """Return the head without the offer of another protocol (h2c), for a parser of its own. llhttp takes the body
        of such a request for the other protocol, and would find requests in it."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        self.parser = self._new_parser()
        self._not_taken = [header for header in self.headers if header[0] == b"upgrade"]
        lines = [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        return b"".join([method, b" ", self.url, b" HTTP/", version, b"\r\n", *lines, b"\r\n"])

    def _new_parser(self) -> Any:
        parser = httptools.HttpRequestParser(self)
        # A head with a length and pieces is refused by the application, in words that a page can read. Requests that
        # come after one that ends the connection are not answered.
        parser.set_dangerous_leniencies(lenient_data_after_close=True, lenient_chunked_length=True)
        return parser

    def _hold(self, data: bytes) -> None:
        self._ahead += data
        self.flow.pause_reading()
        if len(self._ahead) > _AHEAD:
            self.transport.abort()

    def _parse_ahead(self) -> None:
        data, self._ahead = self._ahead, b""
        if self.transport.is_closing():
            return
        self.data_received(data)
        if not self._ahead:
            self.flow.resume_reading()

    def _refuse_head(self) -> None:
        if self._is_answering():
            self.send_400_response(_INVALID)
        else:
            self._dropping = True
            self._answer(too_large("headBytes", self.heads.max_bytes, "bytes"))

    def _count_crumbs(self, crumbs: int) -> None:
        self._crumbs += crumbs
        if self._crumbs > max(_CRUMBS, self._body) and not self.cycle.response_complete:
            self.send_400_response("The pieces of the request are too small.")

    def _is_answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _will_end_soon(self) -> bool:
        """What follows is of a length that was told, and no great one: then it is cheap to read to its end."""
        lengths = [value for name, value in self.headers if name == b"content-length"]
        return bool(lengths) and int(lengths[0]) <= _REST

    def _addressed(self) -> tuple[str, str]:
        """Return method and path of a WebSocket handshake that is refused; others are not looked at."""
        return (self.scope["method"], self.scope["path"]) if self._upgrades else (UNKNOWN, UNKNOWN)

    def _answer(self, answer: Response, method: str = UNKNOWN, path: str = UNKNOWN) -> None:
        """Answer a request that does not reach the application, or whose body cannot be read to its end."""
        if self._is_answering():
            # The application is reading this request, and writes its line in the access log.
            request_id = self.scope["state"].setdefault("request_id", new_request_id())
        else:
            request_id = new_request_id()
            with working_on(request=request_id):
                self.refusal_log.write(method, path, answer.status_code, time.perf_counter())
        answer.headers[REQUEST_ID] = request_id
        lines = [b"%s: %s\r\n" % header for header in answer.raw_headers]
        self.transport.write(b"".join([STATUS_LINE[answer.status_code], *lines, b"\r\n", bytes(answer.body)]))
        self.transport.close()

    def _has_head(self) -> bool:
        return self._is_upgraded() or self._is_answering()

    def _is_upgraded(self) -> bool:
        protocol: Any = self.transport.get_protocol()
        return protocol is not self

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_s, self._look_again)

    def _look_again(self) -> None:
        """Take a head that was received in time and waited for this process, which was busy: the event loop reads it
        before this timer ends."""
        self._head_timer = self.loop.call_later(_LOOK_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not self._has_head() and not self.transport.is_closing():
            self.transport.close()


def _objection(version: str, headers: list[tuple[bytes, bytes]]) -> str | None:
    """Return what llhttp lets pass in a head and must not: proxies could read such a message otherwise than we do."""
    hosts = sum(name == b"host" for name, _ in headers)
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if version not in ("1.0", "1.1"):
        return "only HTTP/1.0 and HTTP/1.1 are spoken here"
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        return "a request has one Host header"
    if codings and (codings != [b"chunked"] or version == "1.0"):
        return "the only Transfer-Encoding that is read is chunked"
    return None


def _refusal(message: str, part: bytes) -> Response:
    error = sys.exception()
    if isinstance(error, httptools.HttpParserInvalidMethodError) and _METHOD.match(part):
        return _malformed("this method is not known here", 405, {"Allow": _METHODS})
    if isinstance(error, httptools.HttpParserCallbackError) and isinstance(error.__context__, _RefusedHeadError):
        return _malformed(str(error.__context__))
    return _malformed(message)


def _malformed(message: str, status: int = 400, headers: dict[str, str] | None = None) -> Response:
    told = {"message": message, "extensions": {"code": "BAD_REQUEST"}}
    return json_answer({"errors": [told]}, status, headers={"Connection": "close", **(headers or {})})


def hardened_http_protocol(
    head_timeout_s: float,
    heads: HeadLimits | None = None,
    slow_reader_s: float = 20.0,
    access_log: AccessLog | None = None,
    max_idle: int = 500,
) -> type[HardenedHttpProtocol]:
    """Return the same protocol with these values: the server makes one of its class for each connection."""
    settings = {
        "head_timeout_s": head_timeout_s,
        "heads": heads or HeadLimits(),
        "slow_reader_s": slow_reader_s,
        "refusal_log": access_log or AccessLog(),
        "idle": IdleConnections(max_idle),
    }
    return type("HardenedHttp", (HardenedHttpProtocol,), settings)
