"""uvicorn's httptools protocol with limits that it lacks.

Limits the time and size of request heads and the amount of pipelined requests, refuses ambiguous messages and bodies in
tiny chunks, and detects slow readers. llhttp, the parser below httptools, does not check a message's size, its Host or
its trailers, so messages that must not reach the application are refused here. This is the only subclass of uvicorn's
private HTTP class.
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

_OVERHEAD: Final = 8 * 1024  # bytes that may be spent around the chunks of a body, beyond those in them
_REST: Final = 128 * 1024  # bytes of a body that may follow the response without closing the connection
_AHEAD: Final = 512 * 1024  # bytes that a client may pipeline before earlier requests are answered
_RECHECK_S: Final = 0.02
_CLOSE_DELAY_S: Final = 1.0  # time for a response to arrive before the connection is closed during a body
_INVALID: Final = "Invalid HTTP request received."
_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} /")
_METHODS: Final = "GET, POST, PUT, DELETE, OPTIONS"


class _RefusedHeadError(ValueError):
    """The head must not reach the application."""


class HardenedHttpProtocol(HttpToolsProtocol):
    """The hardened protocol.

    The whole head must arrive within `head_timeout_s` from the start of the connection, or from the first byte of a
    later request. A head that is too large never reaches the WebSocket library; over HTTP the application refuses it if
    it arrived at once. A client that reads nothing for `slow_reader_s` is disconnected.
    """

    head_timeout_s = 10.0
    slow_reader_s = 20.0
    heads = HeadLimits()
    refusal_log = AccessLog()
    idle = IdleConnections()
    _head_timer: asyncio.TimerHandle | None = None
    _running: RequestResponseCycle | None = None  # the request that the application is answering or answered last
    _messages = _head_bytes = 0  # messages on this connection; bytes of an unfinished head
    _overhead = _body = 0  # bytes of the current request: around the chunks of its body, and in them
    _in_head = _in_body = _upgrades = _dropping = False
    _ahead = b""  # pipelined data that is not parsed yet
    _part = b""  # the part that is being parsed
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
        """Ignore trailers: headers after the body would bypass the checks of the head."""
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
            self.loop.call_later(_CLOSE_DELAY_S, self.transport.close)
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
        # uvicorn notifies only the newest request; the one in progress would continue without its client.
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
            # The WebSocket library could not parse it (a long line) and would wait forever.
            self._answer(_malformed(_INVALID), self.scope["method"], self.scope["path"])

    def send_400_response(self, msg: str) -> None:
        """Refuse a message that the parser could not read.

        Earlier requests are answered first, and the connection ends after them.
        """
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
        """Also stop counting the connection as idle: it has data, or is lost."""
        self.idle.remove(self)
        super()._unset_keepalive_if_required()

    def _should_upgrade(self) -> bool:
        return self._upgrades

    def _asks_for_websocket(self, version: str) -> bool:
        """Return whether to upgrade to a WebSocket. A head that is too large stays HTTP, which can refuse it."""
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
            # Count only parts without data of another message.
            alone = self._messages == messages + (1 if at_boundary else 0)
            self._head_bytes = (0 if at_boundary else self._head_bytes) + (len(part) if alone else 0)
            if self._head_bytes > self.heads.max_bytes:
                self._refuse_head()
        elif within and messages == self._messages:
            self._count_overhead(len(part) - (self._body - body))
        else:
            self._overhead = self._body = 0

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
        """Return the head without the offer of another protocol (h2c), for a new parser.

        llhttp treats the body of such a request as data of the other protocol, and would find requests in it.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        self.parser = self._new_parser()
        self._not_taken = [header for header in self.headers if header[0] == b"upgrade"]
        lines = [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        return b"".join([method, b" ", self.url, b" HTTP/", version, b"\r\n", *lines, b"\r\n"])

    def _new_parser(self) -> Any:
        parser = httptools.HttpRequestParser(self)
        # The application refuses a head with both a length and chunks, in a response that a page can read. Requests
        # after one that ends the connection are not answered.
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

    def _count_overhead(self, overhead: int) -> None:
        self._overhead += overhead
        if self._overhead > max(_OVERHEAD, self._body) and not self.cycle.response_complete:
            self.send_400_response("The chunks of the request are too small.")

    def _is_answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _will_end_soon(self) -> bool:
        """Return whether the rest of the body has a known, small length, so that it is cheap to read."""
        lengths = [value for name, value in self.headers if name == b"content-length"]
        return bool(lengths) and int(lengths[0]) <= _REST

    def _addressed(self) -> tuple[str, str]:
        """Return the method and path of a refused WebSocket handshake; those of other requests are unknown."""
        return (self.scope["method"], self.scope["path"]) if self._upgrades else (UNKNOWN, UNKNOWN)

    def _answer(self, answer: Response, method: str = UNKNOWN, path: str = UNKNOWN) -> None:
        """Answer a request that does not reach the application or has an unreadable body."""
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
        """Wait a little longer for a head that arrived in time but was not yet read because this process was busy."""
        self._head_timer = self.loop.call_later(_RECHECK_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not self._has_head() and not self.transport.is_closing():
            self.transport.close()


def _objection(version: str, headers: list[tuple[bytes, bytes]]) -> str | None:
    """Return why a head that llhttp accepts is refused, or None. Proxies could interpret such messages differently."""
    hosts = sum(name == b"host" for name, _ in headers)
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if version not in ("1.0", "1.1"):
        return "only HTTP/1.0 and HTTP/1.1 are supported"
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        return "a request must have exactly one Host header"
    if codings and (codings != [b"chunked"] or version == "1.0"):
        return "the only supported Transfer-Encoding is chunked"
    return None


def _refusal(message: str, part: bytes) -> Response:
    error = sys.exception()
    if isinstance(error, httptools.HttpParserInvalidMethodError) and _METHOD.match(part):
        return _malformed("this method is not supported", 405, {"Allow": _METHODS})
    if isinstance(error, httptools.HttpParserCallbackError) and isinstance(error.__context__, _RefusedHeadError):
        return _malformed(str(error.__context__))
    return _malformed(message)


def _malformed(message: str, status: int = 400, headers: dict[str, str] | None = None) -> Response:
    error = {"message": message, "extensions": {"code": "BAD_REQUEST"}}
    return json_answer({"errors": [error]}, status, headers={"Connection": "close", **(headers or {})})


def hardened_http_protocol(
    head_timeout_s: float,
    heads: HeadLimits | None = None,
    slow_reader_s: float = 20.0,
    access_log: AccessLog | None = None,
    max_idle: int = 500,
) -> type[HardenedHttpProtocol]:
    """Return a subclass with these values, for uvicorn to instantiate."""
    settings = {
        "head_timeout_s": head_timeout_s,
        "heads": heads or HeadLimits(),
        "slow_reader_s": slow_reader_s,
        "refusal_log": access_log or AccessLog(),
        "idle": IdleConnections(max_idle),
    }
    return type("HardenedHttp", (HardenedHttpProtocol,), settings)
