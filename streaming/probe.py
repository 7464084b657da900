"""Checks from outside whether a player's client can reach the stream, at the client's ports."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final
from xml.parsers import expat

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from errors import ProviderBusyError
from streaming.addresses import Address
from streaming.patience import PAUSE_S

_PATH: Final = "/serverinfo"
_CONNECT_S: Final = 2.0
_LIMIT_BYTES: Final = 64 * 1024
_TELLING: Final = {"state", "uniqueid", "PairStatus"}
_STRANGER: Final = "401"  # Wolf's status for a client that is not paired: it responds, which is enough


async def verify_stream(address: Address, timeout_s: float = 10) -> None:
    """Raise ProviderBusyError until HTTP and HTTPS respond like a streaming server and RTSP accepts connections."""
    found = await asyncio.gather(
        _check_serverinfo(address.host, address.http_port, None, timeout_s),
        _check_serverinfo(address.host, address.https_port, _any_server(), timeout_s),
        _check_port(address.host, address.rtsp_port, timeout_s),
        return_exceptions=True,
    )
    for fault in found:
        if fault is not None:
            raise fault


async def await_port(host: str, port: int, within_s: float) -> bool:
    """Return as soon as something accepts connections there; False when nothing does for so long.

    A machine that is off drops the first packet, and it is sent again only after a second or more: so a new connection
    is begun every 200 ms, whatever became of the others.
    """
    trying: set[asyncio.Task[bool]] = set()
    deadline = asyncio.get_running_loop().time() + within_s
    try:
        while asyncio.get_running_loop().time() < deadline:
            trying.add(asyncio.create_task(_is_open(host, port)))
            await asyncio.sleep(PAUSE_S)
            if any(task.done() and task.result() for task in trying):
                return True
            trying = {task for task in trying if not task.done()}
        return False
    finally:
        for task in trying:
            task.cancel()
        await asyncio.gather(*trying, return_exceptions=True)


async def _is_open(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


async def _check_serverinfo(host: str, port: int, tls: ssl.SSLContext | None, timeout_s: float) -> None:
    kind = "HTTP" if tls is None else "HTTPS"
    async with _connect(host, port, kind, timeout_s, tls) as (reader, writer):
        # With 1.0 the response ends with the connection and is not chunked.
        writer.write(f"GET {_PATH} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        answer = await reader.read(_LIMIT_BYTES)
        while len(answer) < _LIMIT_BYTES and (more := await reader.read(_LIMIT_BYTES)):
            answer += more
    if not _is_serverinfo(answer, paired=tls is None):
        raise ProviderBusyError(f"the stream's {kind} port {port} responds, but not as a streaming server")


async def _check_port(host: str, port: int, timeout_s: float) -> None:
    async with _connect(host, port, "RTSP", timeout_s, None):
        return


@asynccontextmanager
async def _connect(
    host: str, port: int, kind: str, timeout_s: float, tls: ssl.SSLContext | None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port, ssl=tls, limit=_LIMIT_BYTES)
            yield reader, writer
    except OSError as error:  # includes TimeoutError and ssl.SSLError
        raise ProviderBusyError(f"the stream's {kind} port {port} does not respond ({type(error).__name__})") from error
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()


def _is_serverinfo(answer: bytes, *, paired: bool) -> bool:
    document = _Document.read(answer.partition(b"\r\n\r\n")[2])
    if document is None:
        return False
    if not paired and document.status_code == _STRANGER:
        return True
    return "hostname" in document.elements and bool(document.elements & _TELLING)


class _Document:
    """The element names of an XML document and its root's status.

    A document with a DTD is rejected: no streaming server sends one, and its entities are a way to attack XML readers.
    """

    def __init__(self) -> None:
        self.elements: set[str] = set()
        self.status_code: str | None = None

    @classmethod
    def read(cls, body: bytes) -> _Document | None:
        document = cls()
        parser = expat.ParserCreate()
        parser.StartElementHandler = document._element
        parser.StartDoctypeDeclHandler = _refuse
        try:
            parser.Parse(body, True)
        except (expat.ExpatError, ValueError):
            return None
        return document

    def _element(self, name: str, attributes: dict[str, str]) -> None:
        if not self.elements:
            self.status_code = attributes.get("status_code")
        self.elements.add(name)


def _refuse(*_: object) -> None:
    raise ValueError("a document type declaration")


@cache
def _any_server() -> ssl.SSLContext:
    """Return a TLS context that accepts any server.

    Wolf's certificate is self-signed, and it requires a client certificate, of which any is enough for a check.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "client.pem"
        file.touch(0o600)
        file.write_bytes(identity())
        context.load_cert_chain(file)
    return context


@cache
def identity() -> bytes:
    """Return a new key and its self-signed certificate as PEM, for connections that need any certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gamer-provisioner")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
