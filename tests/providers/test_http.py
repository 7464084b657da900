from __future__ import annotations

import asyncio
import gzip
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ssl import PROTOCOL_TLS_SERVER, SSLContext

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from embedded.ports import free_port
from errors import ProviderBusyError, ProviderRefusedError
from providers.http import Http, NothingSentError, Request

SECRET = "canary" + "-81f3"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    opened = Http(timeout_s=5, body_limit_bytes=1000)
    yield opened
    await opened.close()


@asynccontextmanager
async def serving(handler: Handler, tls: SSLContext | None = None) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_reply_is_plain_values_whatever_its_status(http: Http) -> None:
    async def teapot(request: web.Request) -> web.Response:
        return web.Response(status=418, body=await request.read(), headers={"X-Kind": "Earl Grey"})

    async with serving(teapot) as url:
        reply = await http.send(Request("POST", f"{url}/tea", {"Content-Type": "text/plain"}, b"hot"))

    assert (reply.status, reply.headers["x-kind"], reply.body) == (418, "Earl Grey", b"hot")


async def test_a_redirect_is_not_followed(http: Http) -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://192.0.2.1/"})

    async with serving(elsewhere) as url:
        assert (await http.get(url)).status == 302


async def test_silence_ends_with_the_time_limit(http: Http) -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with serving(silent) as url:
        with pytest.raises(ProviderBusyError, match="no response in time") as caught:
            await http.get(f"{url}/slow", timeout_s=0.1)

    assert not isinstance(caught.value, NothingSentError)


async def test_a_cut_connection_may_have_carried_the_request_out(http: Http) -> None:
    async def cut(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(cut) as url:
        with pytest.raises(ProviderBusyError) as caught:
            await http.send(Request("POST", url, body=b"order"))

    assert not isinstance(caught.value, NothingSentError)


async def test_a_body_that_breaks_off_is_no_answer(http: Http) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(half) as url:
        with pytest.raises(ProviderBusyError, match="was cut off"):
            await http.get(url)


@pytest.mark.parametrize("limit_bytes", [None, 2000])
async def test_a_body_above_the_cap_is_not_read_to_its_end(http: Http, limit_bytes: int | None) -> None:
    async def bomb(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b"0" * 10_000_000), headers={"Content-Encoding": "gzip"})

    async with serving(bomb) as url:
        with pytest.raises(ProviderBusyError, match="too large"):
            await http.send(Request("GET", url, body_limit_bytes=limit_bytes))


async def test_nothing_was_sent_where_nobody_listens(http: Http) -> None:
    with pytest.raises(NothingSentError, match="no connection"):
        await http.get(f"http://127.0.0.1:{free_port()}/")


@pytest.mark.parametrize("url", ["http://[::1", "not an address", "http://host:99999/", "file:///etc/passwd"])
async def test_what_is_no_address_is_refused(http: Http, url: str) -> None:
    with pytest.raises(ProviderRefusedError):
        await http.get(url)


async def test_a_header_with_a_line_break_is_refused_and_not_shown(http: Http) -> None:
    async def unreached(_: web.Request) -> web.Response:
        raise AssertionError("it was sent")

    async with serving(unreached) as url:
        with pytest.raises(ProviderRefusedError) as caught:
            await http.get(url, headers={"Authorization": f"Bearer {SECRET}\nX: y"})

    assert SECRET not in everything_of(caught.value)


async def test_a_broken_answer_does_not_show_the_requests_credentials(http: Http) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 two hundred\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    async with server:
        url = f"http://user:{SECRET}@127.0.0.1:{server.sockets[0].getsockname()[1]}/path?api_token={SECRET}"
        request = Request("POST", url, {"X-Token": SECRET}, SECRET.encode())
        with pytest.raises(ProviderBusyError, match=r"127\.0\.0\.1/path") as caught:
            await http.send(request)

    assert SECRET not in everything_of(caught.value)
    assert SECRET not in repr(request)


async def test_a_self_signed_certificate_is_taken_only_when_asked_for(http: Http, tls: SSLContext) -> None:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    async with serving(hello, tls) as url:
        with pytest.raises(NothingSentError, match="certificate"):
            await http.get(url)
        reply = await http.get(url, verify_tls=False)

    assert reply.body == b"hello"


async def test_after_close_nothing_is_sent() -> None:
    http = Http()
    await http.close()
    await http.close()

    with pytest.raises(ProviderBusyError):
        await http.get("http://127.0.0.1:1/")


def everything_of(error: BaseException) -> str:
    """All that a log or an error tracker could print of an error and of those behind it."""
    told = "".join(traceback.format_exception(error)) + repr(error) + repr(error.args)
    behind = [cause for cause in (error.__cause__, error.__context__) if cause is not None]
    return told + "".join(everything_of(cause) for cause in behind)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "wolf")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
    ).sign(key, hashes.SHA256())
    file = tmp_path_factory.mktemp("tls") / "wolf.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
