"""Serves HTTP with uvicorn: the socket, the limits of connections, and the orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette

from composition.dependencies import Dependencies
from settings import Settings, SettingsError
from web.access_log import AccessLog
from web.header_limits import HeadLimits
from web.http_protocol import hardened_http_protocol
from web.websocket_protocol import hardened_websocket_protocol

_BACKLOG: Final = 4096
# asyncio accepts this many connections before it does anything else. If thousands were accepted at once, responses of
# the database would wait past their timeouts.
_ACCEPTED_AT_ONCE: Final = 16


def listen(host: str, port: int, variable: str) -> socket.socket:
    """Listen on the port before anything else starts. Raise SettingsError, naming `variable`, if it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only if the listener names TCP. Without it each answer on a kept-alive
    # connection waits for the client's delayed acknowledgement, about 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno or 0)
        raise SettingsError(
            f"{variable}: cannot listen on {host}:{port}: {reason}. Example: {variable}={port + 1}"
        ) from None
    return listener


class Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Restore the long queue of connections to accept, which uvicorn shortens to the number accepted at once."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield  # this module handles signals, so that gateway and worker stop together


def _server_config(settings: Settings, parts: Dependencies, app: Starlette) -> uvicorn.Config:
    heads = HeadLimits(settings.max_head_bytes, settings.max_headers)
    access_log = AccessLog(parts.metrics.http_answered)
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        backlog=_ACCEPTED_AT_ONCE,
        proxy_headers=False,  # the application reads them: see web.proxies
        http=hardened_http_protocol(
            settings.header_timeout_seconds,
            heads,
            settings.slow_reader_seconds,
            access_log=access_log,
            max_idle=settings.max_idle_connections,
        ),
        timeout_keep_alive=settings.keep_alive_seconds,
        ws=hardened_websocket_protocol(settings.slow_reader_seconds, settings.max_messages_per_minute, access_log),
        ws_max_size=settings.max_body_bytes,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=3,
        server_header=False,
    )


async def serve_http(
    settings: Settings, parts: Dependencies, app: Starlette, listener: socket.socket, stopping: asyncio.Event
) -> None:
    """Serve on the listener until `stopping` is set, or uvicorn ends; then set it."""
    server = Server(_server_config(settings, parts, app))
    serving = asyncio.create_task(server.serve([listener]))
    await asyncio.wait([serving, asyncio.ensure_future(stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
    if hasattr(app.state, "stopping"):
        app.state.stopping.set()  # event streams end before their connections are closed
    server.should_exit = True
    await serving
    stopping.set()
