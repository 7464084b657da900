"""How sockets end: with a code after which clients connect again where that helps, always heard, and never with a
traceback in the log that a stranger can write."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import pytest

from models.launches import LaunchStatus
from schema.ids import global_id
from tests.gateway import OPERATIONS, TOKEN_SECRET, GatewayWorld, a_launch, an_event, listening, web_gateway
from tests.web.test_attacks_http import UPGRADE
from tests.web.test_foreign_clients import FOLDER, node
from web.app import create_app
from web.health import Readiness
from web.http_protocol import hardened_http_protocol
from web.websocket_protocol import hardened_websocket_protocol

__all__ = ["node"]

LAUNCH: Final = "100000000000000001"
MASK: Final = b"\0\0\0\0"


class ReferenceClient:
    """A process of its own, in which the reference client of graphql-transport-ws follows the launch."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        said = await asyncio.wait_for(self._process.stdout.readline(), 15)
        found: dict[str, Any] = json.loads(said)
        return found

    def sleep(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def end(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def following(
    node: str, address: str, token_s: float, script: str = "stay.mjs"
) -> AsyncIterator[ReferenceClient]:
    file = (OPERATIONS / "LaunchProgress.graphql").resolve()
    scheme = "ws" if script == "stay.mjs" else "http"
    arguments = (f"{scheme}://{address}/graphql", TOKEN_SECRET, str(token_s), str(file), global_id("Launch", LAUNCH))
    process = await asyncio.create_subprocess_exec(
        *(node, script, *arguments), cwd=FOLDER, stdout=asyncio.subprocess.PIPE
    )
    client = ReferenceClient(process)
    try:
        yield client
    finally:
        await client.end()


async def test_the_reference_client_comes_back_by_itself_when_its_token_has_expired(
    node: str, gateway: GatewayWorld
) -> None:
    await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.RUNNING))
    await gateway.db.insert(an_event(LAUNCH, 1))
    app = create_app(web_gateway(gateway), Readiness())
    async with listening(app) as address, following(node, address, token_s=1.5) as client:
        heard = [await client.line() for _ in range(2)]
        await gateway.db.insert(an_event(LAUNCH, 2, LaunchStatus.READY))
        heard += [await client.line() for _ in range(2)]

    assert heard == [{"sequence": 1}, {"closed": 4403}, {"sequence": 2}, {"ended": "complete"}]


async def test_the_reference_client_comes_back_by_itself_after_its_machine_slept(
    node: str, gateway: GatewayWorld
) -> None:
    await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.RUNNING))
    await gateway.db.insert(an_event(LAUNCH, 1))
    app = create_app(web_gateway(gateway), Readiness())
    async with (
        listening(app, ws_ping_interval=0.2, ws_ping_timeout=0.3) as address,
        following(node, address, token_s=60) as client,
    ):
        heard = [await client.line()]
        client.sleep()
        while app.state.sockets.sockets:  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.02)
        client.wake()
        heard.append(await client.line())
        await gateway.db.insert(an_event(LAUNCH, 2, LaunchStatus.READY))
        heard += [await client.line() for _ in range(2)]

    assert heard == [{"sequence": 1}, {"closed": 1001}, {"sequence": 2}, {"ended": "complete"}]


async def test_the_reference_client_of_event_streams_comes_back_by_itself_when_its_token_has_expired(
    node: str, gateway: GatewayWorld
) -> None:
    await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.RUNNING))
    await gateway.db.insert(an_event(LAUNCH, 1))
    app = create_app(web_gateway(gateway), Readiness())
    async with listening(app) as address, following(node, address, 1.5, "stay_sse.mjs") as client:
        heard = [await client.line() for _ in range(2)]
        await gateway.db.insert(an_event(LAUNCH, 2, LaunchStatus.READY))
        heard += [await client.line() for _ in range(2)]

    assert heard == [{"sequence": 1}, {"error": "UNAUTHENTICATED"}, {"sequence": 2}, {"ended": "complete"}]


def frame(opcode: int, content: bytes = b"") -> bytes:
    """A frame of fewer than 126 bytes, as clients send it."""
    return bytes([0x80 | opcode, 0x80 | len(content)]) + MASK + content


def message(**content: Any) -> bytes:
    return frame(1, json.dumps(content).encode())


PING: Final = frame(9)
NOT_KNOWN: Final = message(id="1", type="subscribe", payload={"query": "{x}"})
NO_CREDENTIALS: Final = message(type="connection_init")
# name: (what is sent after the handshake, the code of the close frame)
ENDS: Final[dict[str, tuple[bytes, int]]] = {
    "a question before a name": (NOT_KNOWN, 4401),
    "no credentials": (NO_CREDENTIALS, 4403),
    "no object": (frame(1, b"[]"), 4400),
    "text that is none": (frame(1, b"\xff\xfe"), 1007),
    "a frame of no kind": (frame(3), 1002),
    "a frame without a mask": (b"\x81\x02{}", 1002),
}


@pytest.fixture
async def address(gateway: GatewayWorld) -> AsyncIterator[str]:
    app = create_app(web_gateway(gateway), Readiness())
    async with listening(
        app, hardened_http_protocol(5), hardened_websocket_protocol(1, 600), log_config=None
    ) as address:
        yield address


@pytest.mark.parametrize("name", ENDS)
async def test_the_close_frame_is_heard_by_a_client_that_goes_on_sending(
    address: str, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    sent, code = ENDS[name]
    reader, writer = await asyncio.open_connection(*address.split(":"))
    writer.write(UPGRADE + b"\r\n")
    await reader.readuntil(b"\r\n\r\n")

    writer.write(sent)
    for _ in range(20):
        await asyncio.sleep(0.01)  # the server has closed by now, and more comes in
        writer.write(PING * 500)
    said = await asyncio.wait_for(reader.read(), 5)
    writer.transport.abort()

    assert code in close_codes(said)
    assert errors_in(caplog) == []


UPGRADE_ELSEWHERE: Final = UPGRADE + b"Origin: https://evil.example\r\n"
CLOSE: Final = frame(8, struct.pack("!H", 1000))
# name: (the handshake, what is sent after it)
HASTY: Final[dict[str, tuple[bytes, bytes]]] = {
    "a socket from another site": (UPGRADE_ELSEWHERE, b""),
    "a socket of another protocol": (UPGRADE.replace(b"graphql-transport-ws", b"chat"), b""),
    "a socket that closes at once": (UPGRADE, CLOSE),
    "a close frame of one byte": (UPGRADE, frame(8, b"\x03")),
    "a close frame and more": (UPGRADE, CLOSE + NO_CREDENTIALS + PING * 2000),
    "many answers and then nonsense": (UPGRADE, message(type="ping") * 50 + frame(3)),
    "a flood after the end": (UPGRADE, NO_CREDENTIALS + PING * 5000),
}


@pytest.mark.parametrize("waits", [True, False], ids=["after the handshake", "with the handshake"])
@pytest.mark.parametrize("name", HASTY)
async def test_a_client_that_leaves_in_haste_writes_no_error_into_the_log(
    address: str, caplog: pytest.LogCaptureFixture, name: str, waits: bool
) -> None:
    handshake, sent = HASTY[name]
    for _ in range(5):
        reader, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(handshake + b"\r\n")
        if waits:
            await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await asyncio.sleep(0)
        writer.transport.abort()

    await settled()
    assert errors_in(caplog) == []


async def settled() -> None:
    """Return when the applications of all sockets have ended."""
    async with asyncio.timeout(5):
        while any("run_asgi" in repr(task) for task in asyncio.all_tasks()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_an_error_that_no_handler_caught_closes_a_socket_with_a_code_to_come_back_after(
    gateway: GatewayWorld, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(web_gateway(gateway, authenticator=None), Readiness())
    async with listening(app) as address:
        reader, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(UPGRADE + b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(NO_CREDENTIALS)
        opcode, length = await asyncio.wait_for(reader.readexactly(2), 5)
        said = await reader.readexactly(length)
        writer.transport.abort()

    assert (opcode, struct.unpack("!H", said[:2])[0]) == (0x88, 1013)
    assert "unexpected error" in errors_in(caplog)


def close_codes(said: bytes) -> list[int]:
    """Of every close frame in what a server said after the handshake."""
    codes, at = [], 0
    while at + 2 <= len(said):
        opcode, length = said[at] & 0x0F, said[at + 1] & 0x7F
        if opcode == 8:
            codes.append(struct.unpack("!H", said[at + 2 : at + 4])[0])
        at += 2 + length
    return codes


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
