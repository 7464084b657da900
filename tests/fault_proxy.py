"""A proxy between the driver and a MongoDB server that answers chosen commands with errors, delays or silence.

It reads OP_MSG, the only message that today's drivers send after their first greeting, and passes everything else on
unchanged. A `FormattedError` says which commands it meets and what becomes of them:

    async with fault_proxy(mongodb_uri) as proxy:
        db = Database(proxy.uri, "any")
        with proxy.fault(Fault("insert", collections=["launch_events"], error=Error(262, "ExceededTimeLimit"))):
            ...  # every insert into launch_events is refused while the body runs
        proxy.add(Fault("findAndModify", skip=2, times=1, reset=True))  # the third one from now on, once
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import bson

WRITES: Final = ("insert", "update", "delete", "findAndModify", "commitTransaction")
READS: Final = ("find", "aggregate", "getMore", "count", "distinct")
_OP_MSG: Final = 2013
_CHECKSUM_PRESENT: Final = 1
_HEADER: Final = struct.Struct("<iiii")
_NO_WAIT: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


@dataclass(frozen=True, slots=True)
class Error:
    """An error as the server words it. `write_concern`: the write is carried out, and only its durability fails."""

    code: int
    name: str
    labels: Sequence[str] = ()
    message: str = ""
    write_concern: bool = False


@dataclass(slots=True)
class Fault:
    """What becomes of some commands. The first `skip` that match pass, the next `times` (None: all) are met. `when` is
    asked last of all.

    Give one of: `error`; `reset`, the connection is reset before the command is carried out; `lose_answer`, it is
    carried out, and then the connection is reset; `silent`, it is neither carried out nor answered. `delay_s` comes
    before any of them, and alone only delays. `reset_next_read` closes the connection after the answer was sent.
    """

    commands: str | Sequence[str]
    collections: Sequence[str] = ()  # empty: any
    error: Error | None = None
    reset: bool = False
    lose_answer: bool = False
    silent: bool = False
    reset_next_read: bool = False
    delay_s: float = 0.0
    skip: int = 0
    times: int | None = None
    when: Callable[[Command], bool] | None = None
    met: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)  # set when the first command is met
    counted: dict[int, asyncio.Event] = field(default_factory=dict)

    def takes(self, command: Command) -> bool:
        """Whether this fault meets the command. Counts it."""
        names = [self.commands] if isinstance(self.commands, str) else self.commands
        if command.name not in names or (self.collections and command.collection not in self.collections):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None and self.met >= self.times:
            return False
        if self.when is not None and not self.when(command):
            return False
        self.met += 1
        self.reached.set()
        if (counted := self.counted.get(self.met)) is not None:
            counted.set()
        return True

    def after(self, count: int) -> asyncio.Event:
        """Return an event that is set when so many commands were met."""
        event = self.counted.setdefault(count, asyncio.Event())
        if self.met >= count:
            event.set()
        return event


@dataclass(frozen=True, slots=True)
class Command:
    """A command as the driver sent it. `documents`: what an insert brings, or the statements of an update or delete."""

    name: str
    collection: str | None
    body: dict[str, Any]
    documents: tuple[dict[str, Any], ...] = ()


class FaultProxy:
    """`commands` are those that came since the start or the last `forget`, in order."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.commands: list[Command] = []
        self._upstream = upstream
        self._faults: list[Fault] = []
        self._ids = itertools.count(1)
        self._port = 0
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def uri(self) -> str:
        """Return a connection string. `directConnection` keeps the driver from asking for the real server's address.

        A server that steps down ends the driver's waiting `hello` at once; here only a command is answered with the
        error, and without the shorter heartbeat the driver would wait ten seconds until it uses the server again.
        """
        return f"mongodb://127.0.0.1:{self._port}/?directConnection=true&heartbeatFrequencyMS=500"

    def add(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        with contextlib.suppress(ValueError):
            self._faults.remove(fault)

    def clear(self) -> None:
        self._faults.clear()

    def forget(self) -> None:
        self.commands.clear()

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[Fault]:
        """The fault exists while the body runs."""
        self.add(fault)
        try:
            yield fault
        finally:
            self.remove(fault)

    def reset_connections(self) -> None:
        """Reset every connection that is open now."""
        for writer in list(self._writers):
            _reset(writer)

    async def serve(self, server: asyncio.Server) -> None:
        self._port = server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._writers.add(writer)
        try:
            await self._connection(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            self._connections.discard(task)
            writer.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._upstream)
        link = _Link(writer)
        answers = asyncio.create_task(_pass_answers(server_reader, link))
        try:
            while True:
                message = await _message(reader)
                command = _command(message)
                fault = None if command is None else self._fault_for(command)
                if fault is None:
                    server_writer.write(message)
                elif not await self._apply(fault, message, server_writer, link):
                    return
        finally:
            answers.cancel()
            server_writer.close()
            await asyncio.gather(answers, return_exceptions=True)

    def _fault_for(self, command: Command) -> Fault | None:
        self.commands.append(command)
        return next((fault for fault in self._faults if fault.takes(command)), None)

    async def _apply(self, fault: Fault, message: bytes, server: asyncio.StreamWriter, link: _Link) -> bool:
        """Return whether the connection lives on."""
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault.silent:
            return True
        if fault.reset:
            _reset(link.writer)
            return False
        if fault.error is not None and not fault.error.write_concern:
            link.writer.write(self._refusal(message, fault.error))
            return True
        link.expect(_request_id(message), fault)
        server.write(message)
        return True

    def _refusal(self, message: bytes, error: Error) -> bytes:
        document: dict[str, Any] = {
            "ok": 0.0,
            "errmsg": error.message or error.name,
            "code": error.code,
            "codeName": error.name,
        }
        if error.labels:
            document["errorLabels"] = list(error.labels)
        return _answer(document, next(self._ids), _request_id(message))


class _Link:
    """The driver's side of one connection, and which answers to it are not passed on as they are."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._expected: dict[int, Fault] = {}

    def expect(self, request_id: int, fault: Fault) -> None:
        self._expected[request_id] = fault

    def answered(self, message: bytes) -> None:
        request_id = _HEADER.unpack_from(message)[2]
        fault = self._expected.pop(request_id, None)
        if self.writer.is_closing():
            return  # it was reset, and the server answers what came before
        if fault is None:
            self.writer.write(message)
        elif fault.lose_answer:
            _reset(self.writer)
        elif fault.error is not None:
            self.writer.write(_with_write_concern_error(message, fault.error))
        else:
            self.writer.write(message)
            if fault.reset_next_read:
                self.writer.close()


@asynccontextmanager
async def fault_proxy(mongodb_uri: str) -> AsyncIterator[FaultProxy]:
    """A proxy in front of the server at `mongodb_uri`, on a free port of its own."""
    address = urlsplit(mongodb_uri)
    proxy = FaultProxy((address.hostname or "127.0.0.1", address.port or 27017))
    server = await asyncio.start_server(proxy.connected, "127.0.0.1", 0)
    await proxy.serve(server)
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()


async def _pass_answers(reader: asyncio.StreamReader, link: _Link) -> None:
    try:
        while True:
            link.answered(await _message(reader))
    except (asyncio.IncompleteReadError, ConnectionError):
        link.writer.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(4)
    return head + await reader.readexactly(int.from_bytes(head, "little") - 4)


def _command(message: bytes) -> Command | None:
    """Return the command of an OP_MSG: the document of its body section, and those of its document sequences."""
    if _HEADER.unpack_from(message)[3] != _OP_MSG:
        return None
    end = len(message) - (4 if message[16] & _CHECKSUM_PRESENT else 0)
    position = 20
    body: dict[str, Any] = {}
    documents: list[dict[str, Any]] = []
    while position < end:
        kind, (length,) = message[position], struct.unpack_from("<i", message, position + 1)
        section = message[position + 1 : position + 1 + length]
        if kind == 0:
            body = bson.decode(section)
        else:
            documents += bson.decode_all(section[section.index(b"\0", 4) + 1 :])
        position += 1 + length
    name = next(iter(body))
    collection = body.get("collection") if name == "getMore" else body[name]
    return Command(name, collection if isinstance(collection, str) else None, body, tuple(documents))


def _with_write_concern_error(message: bytes, error: Error) -> bytes:
    length = struct.unpack_from("<i", message, 21)[0]
    document = bson.decode(message[21 : 21 + length])
    document["writeConcernError"] = {
        "code": error.code,
        "codeName": error.name,
        "errmsg": error.message or error.name,
    }
    if error.labels:
        document["errorLabels"] = list(error.labels)
    _, answer_id, request_id, _ = _HEADER.unpack_from(message)
    return _answer(document, answer_id, request_id)


def _answer(document: dict[str, Any], answer_id: int, request_id: int) -> bytes:
    body = b"\0\0\0\0\0" + bson.encode(document)
    return _HEADER.pack(_HEADER.size + len(body), answer_id, request_id, _OP_MSG) + body


def _request_id(message: bytes) -> int:
    request_id: int = _HEADER.unpack_from(message)[1]
    return request_id


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_WAIT)
    writer.transport.abort()
