"""How results are written into a response that stays open: as server-sent events, or as parts of a multipart body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import orjson

from schema.execution.errors import INTERNAL, UNAVAILABLE, FormattedError

Result = Mapping[str, Any]

LAST_EVENT: Final = "end"  # the id of the event that ends a stream
_TEMPORARY: Final = frozenset({UNAVAILABLE, INTERNAL})  # codes of errors after which a client may reconnect
_COMPLETE: Final = b"event: complete\ndata:\n\n"


class StreamFormat(Protocol):
    """Writes results. `start` comes before everything else; `heartbeat` keeps an idle connection open."""

    content_type: str
    start: bytes
    heartbeat: bytes

    def result(self, result: Result, event_id: int | None = None) -> bytes:
        """Return one result."""

    def end(self, faults: list[FormattedError]) -> bytes:
        """Return the end of a stream that is complete. `faults` are the errors of its last result."""

    def refusal(self, faults: list[FormattedError]) -> bytes:
        """Return the whole stream of an operation that cannot begin or that broke."""

    def interruption(self, fault: FormattedError) -> bytes:
        """Return the last bytes of a stream that the service ends before its results do."""


class ServerSentEvents:
    """The distinct connections mode of GraphQL over SSE. Clients reconnect after a stream without `complete`."""

    content_type: str = "text/event-stream; charset=utf-8"
    start: bytes = b""
    heartbeat: bytes = b":\n\n"

    def result(self, result: Result, event_id: int | None = None) -> bytes:
        numbered = b"" if event_id is None else b"id: %d\n" % event_id
        return numbered + b"event: next\ndata: " + orjson.dumps(result) + b"\n\n"

    def end(self, faults: list[FormattedError]) -> bytes:
        """Return `complete`. Clients do not reconnect unless the last result failed temporarily."""
        codes = {fault.get("extensions", {}).get("code") for fault in faults}
        return _COMPLETE if codes & _TEMPORARY else f"id: {LAST_EVENT}\n".encode() + _COMPLETE

    def refusal(self, faults: list[FormattedError]) -> bytes:
        return self.result({"errors": faults}) + self.end(faults)

    def interruption(self, fault: FormattedError) -> bytes:
        return self.result({"errors": [fault]})


class MultipartSubscription:
    """Apollo's multipart subscription protocol 1.0, which Apollo Client uses where it has no WebSocket link.

    A result is the `payload` of a part. `errors` beside it are those of the transport: the client ends the
    subscription with them. Each part is followed by its boundary at once, because clients read a part only then.
    """

    content_type: str = 'multipart/mixed; boundary="graphql"; subscriptionSpec=1.0'
    start: bytes = b"\r\n--graphql"

    def __init__(self) -> None:
        self.heartbeat = _part({})

    def result(self, result: Result, event_id: int | None = None) -> bytes:
        return _part({"payload": result})

    def end(self, faults: list[FormattedError]) -> bytes:
        return b"--\r\n"

    def refusal(self, faults: list[FormattedError]) -> bytes:
        return self.result({"data": None, "errors": faults}) + self.end(faults)

    def interruption(self, fault: FormattedError) -> bytes:
        return _part({"payload": None, "errors": [fault]}) + self.end([fault])


def _part(content: Mapping[str, Any]) -> bytes:
    return b"\r\nContent-Type: application/json\r\n\r\n" + orjson.dumps(content) + b"\r\n--graphql"


SERVER_SENT_EVENTS: Final = ServerSentEvents()
MULTIPART_SUBSCRIPTION: Final = MultipartSubscription()
