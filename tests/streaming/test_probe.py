from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from errors import ProviderBusyError
from streaming.addresses import Address
from streaming.probe import identity, verify_stream

SERVERINFO = '<?xml version="1.0"?><root status_code="200"><hostname>g</hostname><state>FREE</state></root>'
STRANGER = '<?xml version="1.0"?><root status_code="401" status_message="The client is not authorized."></root>'


@dataclass
class Wolf:
    """Answers as Wolf does: plain to all, over TLS to clients that show a certificate."""

    plain: str = SERVERINFO
    encrypted: str = STRANGER
    rtsp: bool = True
    head: str = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def running(wolf: Wolf, folder: Path) -> AsyncIterator[Address]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (folder / "wolf.pem").write_bytes(identity())
    tls.load_cert_chain(folder / "wolf.pem")
    tls.load_verify_locations(folder / "wolf.pem")
    tls.verify_mode = ssl.CERT_REQUIRED

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        encrypted = writer.get_extra_info("ssl_object") is not None
        if await reader.readline():
            writer.write(f"{wolf.head}{wolf.encrypted if encrypted else wolf.plain}".encode())
        writer.close()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with (
        await asyncio.start_server(answer, "127.0.0.1", 0) as http,
        await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls) as https,
        await asyncio.start_server(accept, "127.0.0.1", 0) as rtsp,
    ):
        ports = [server.sockets[0].getsockname()[1] for server in (https, http, rtsp)]
        if not wolf.rtsp:
            rtsp.close()
            await rtsp.wait_closed()
        yield Address("127.0.0.1", 22, "user", None, *ports)


async def test_a_stream_that_answers_on_all_three_ports_is_there(tmp_path: Path) -> None:
    async with running(Wolf(), tmp_path) as address:
        await verify_stream(address)


async def test_a_build_that_tells_strangers_everything_is_there_too(tmp_path: Path) -> None:
    async with running(Wolf(encrypted=SERVERINFO), tmp_path) as address:
        await verify_stream(address)


BOMB = '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><root><hostname>&b;</hostname><state/></root>'


@pytest.mark.parametrize(
    "answer",
    ["", "<html></html>", "<root>", "not xml", BOMB, '<root status_code="401"/>', "\0\0", "<root" + "x" * 90_000],
)
async def test_an_answer_that_is_no_serverinfo_is_none(tmp_path: Path, answer: str) -> None:
    async with running(Wolf(plain=answer), tmp_path) as address:
        with pytest.raises(ProviderBusyError, match="but not as a streaming server"):
            await verify_stream(address)


async def test_an_https_port_with_something_else_behind_it_is_none(tmp_path: Path) -> None:
    async with running(Wolf(encrypted="<html></html>"), tmp_path) as address:
        with pytest.raises(ProviderBusyError, match="HTTPS port"):
            await verify_stream(address)


async def test_an_https_port_without_tls_is_none(tmp_path: Path) -> None:
    async with running(Wolf(), tmp_path) as address:
        with pytest.raises(ProviderBusyError, match="HTTPS port"):
            await verify_stream(replace(address, https_port=address.http_port))


async def test_a_closed_rtsp_port_is_no_stream(tmp_path: Path) -> None:
    async with running(Wolf(rtsp=False), tmp_path) as address:
        with pytest.raises(ProviderBusyError, match="RTSP port"):
            await verify_stream(address)


async def test_silence_is_no_stream() -> None:
    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    held: list[asyncio.StreamWriter] = []
    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ProviderBusyError, match="does not respond"):
            await verify_stream(Address("127.0.0.1", 22, "user", None, port, port, port), timeout_s=0.2)
        for writer in held:
            writer.close()
