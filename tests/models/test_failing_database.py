"""A database that answers, and says that it failed: its disk is full, or it has a fault of its own."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Any

import bson
import pytest

from errors import UnavailableError
from models.api_keys import ApiKey
from models.database import Database

_OP_MSG = 2013
_HELLO = {
    "ok": 1.0,
    "isWritablePrimary": True,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "maxBsonObjectSize": 16777216,
}


class FailingServer:
    """Greets as MongoDB does, and fails every other command as it is told to."""

    def __init__(self) -> None:
        self.failure: dict[str, Any] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                length, request_id, _, operation = struct.unpack("<iiii", await reader.readexactly(16))
                body = await reader.readexactly(length - 16)
                greeting = operation != _OP_MSG or next(iter(bson.decode(body[5:]))) in {"hello", "ismaster"}
                document = bson.encode(_HELLO if greeting else {"ok": 0.0, **self.failure})
                answer = struct.pack("<IB", 0, 0) + document
                kind = _OP_MSG
                if operation != _OP_MSG:  # the very first greeting is of the older form
                    answer, kind = struct.pack("<iqii", 8, 0, 0, 1) + document, 1
                writer.write(struct.pack("<iiii", 16 + len(answer), 1, request_id, kind) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@pytest.fixture
async def failing() -> AsyncIterator[tuple[FailingServer, Database]]:
    failing = FailingServer()
    server = await asyncio.start_server(failing.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    db = Database(f"mongodb://127.0.0.1:{port}/?directConnection=true", "any", timeout_s=2)
    yield failing, db
    await db.close()
    server.close()


@pytest.mark.parametrize(
    "failure",
    [
        {"code": 1, "codeName": "InternalError", "errmsg": "internal server error"},
        {"code": 14031, "codeName": "OutOfDiskSpace", "errmsg": "available disk space is less than required"},
    ],
)
async def test_its_own_faults_are_unavailability(
    failing: tuple[FailingServer, Database], failure: dict[str, Any], forgotten_sockets: None
) -> None:
    server, db = failing
    server.failure = failure

    with pytest.raises(UnavailableError, match="the database failed"):
        await db.find_one(ApiKey, {})
