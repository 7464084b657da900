"""Wolf, the streaming server, as its clients see it. It encodes no picture."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import stat
from pathlib import Path

from aiohttp import web

from simulator.addresses import HTTP, HTTPS, RTSP, SHARED_ADDRESS
from simulator.cancellation import undo_when_cancelled
from simulator.machines.container import AppContainers, Container, WolfShape
from simulator.machines.host import Host
from simulator.machines.traffic import CountingSocket
from simulator.machines.wolf import client_certificates, identity, rtsp
from simulator.machines.wolf.api import WolfApi
from simulator.machines.wolf.config import ConfigError, WolfConfig
from simulator.machines.wolf.pages import WolfPages
from simulator.machines.wolf.state import WolfState

RUNTIME_FOLDER = "/tmp/sockets"


class WolfFailedError(Exception):
    """Wolf did not come up."""


class Wolf(WolfState):
    """One running Wolf with its ports and its socket."""

    ports = (HTTP, HTTPS, RTSP)

    def __init__(self, host: Host, container: Container, docker: AppContainers) -> None:
        super().__init__(host, container, docker)
        self.socket_inside = self._socket_path(container)
        self.socket_outside = container.host_path(self.socket_inside)
        self.api, self.pages = WolfApi(self), WolfPages(self)
        self._runners: list[web.AppRunner] = []
        self._rtsp: asyncio.Server | None = None
        self._control: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        """Read the configuration and listen. Raises WolfFailedError with the line of its log."""
        folder = self.state_folder
        inside = self._container.environment.get("WOLF_CFG_FILE", f"{folder}/cfg/config.toml")
        path = self._container.host_path(inside)
        if not path:
            raise WolfFailedError(f"{inside} is not bound")
        self._host.root_files.mkdir(f"{folder}/cfg", parents=True)
        try:
            self.config = WolfConfig(self._host.tree.host_path(path))
        except (ConfigError, OSError) as error:
            raise WolfFailedError(str(error) if isinstance(error, ConfigError) else error.strerror or "") from error
        key, cert = (self._host.tree.host_path(f"{folder}/cfg/{name}.pem") for name in ("key", "cert"))
        try:
            self.identity = await asyncio.to_thread(identity.ensure, key, cert)
        except ValueError as error:
            raise WolfFailedError(f"key.pem: {error}") from error
        try:
            await undo_when_cancelled(self._listen(key, cert), lambda _: self.stop())
        except OSError as error:
            await self.stop()
            raise WolfFailedError(f"bind: {error.strerror}") from error
        self._place_socket()
        self.log(f"[INFO] Starting API server on {self.socket_inside}")

    async def stop(self) -> None:
        for session_id in list(self.sessions):
            self.end_session(session_id)
        self.pairings.drop_all()
        self.events.end()
        for runner in self._runners:
            await runner.cleanup()
        self._runners = []
        if self._rtsp:
            self._rtsp.close()
            await self._rtsp.wait_closed()
            self._rtsp = None
        if self._control:
            self._control.close()
            self._control = None
        with contextlib.suppress(OSError):
            self._host.root_files.remove(self.socket_outside or "")

    async def _listen(self, key: Path, cert: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        client_certificates.ask_for_any(context)
        for port, tls in ((HTTP, None), (HTTPS, context)):
            runner = web.AppRunner(self._application(port), access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            self._runners.append(runner)
            await web.TCPSite(
                runner, self.address.ip, self.address.port(port), ssl_context=tls, reuse_address=True
            ).start()
            self.log(f"[INFO] {'HTTPS' if tls else 'HTTP'} server listening on port {port}")
        self._rtsp = await asyncio.start_server(
            rtsp.serve, self.address.ip, self.address.port(RTSP), reuse_address=True
        )
        self.log(f"[INFO] RTSP server started on port: {RTSP}")
        self._control = await self._listen_for_control()

    async def _listen_for_control(self) -> asyncio.DatagramTransport | None:
        """Count real packets as well. Machines that share one address have no such port of their own."""
        if self.address.ip == SHARED_ADDRESS:
            return None
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: CountingSocket(self._host.traffic, self.control_port),
            local_addr=(self.address.ip, self.control_port),
        )
        return transport

    def _application(self, port: int) -> web.Application:
        async def handle(request: web.Request) -> web.Response:
            body = await request.read()
            tls = request.transport.get_extra_info("ssl_object") if request.transport else None
            client = self.config.client_with(tls.getpeercert(binary_form=True) if tls else None)
            answer = await self.pages.answer(port, request.method, request.path_qs, body, request.remote or "", client)
            assert answer is not None, "this port is ours"
            return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type)

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handle)
        return application

    def _socket_path(self, container: Container) -> str:
        runtime = container.environment.get("XDG_RUNTIME_DIR", RUNTIME_FOLDER)
        default = "/tmp/wolf.sock" if self.shape is WolfShape.Y2024 else f"{runtime}/wolf.sock"
        return container.environment.get("WOLF_SOCKET_PATH", default)

    def _place_socket(self) -> None:
        if not self.socket_outside:
            return
        files = self._host.root_files
        files.mkdir(self.socket_outside.rpartition("/")[0], parents=True)
        if files.exists(self.socket_outside):
            files.remove(self.socket_outside)
        try:
            os.mknod(self._host.tree.host_path(self.socket_outside), stat.S_IFSOCK | 0o755)
        except PermissionError:  # some systems let only root make one: a file shows where it would be
            files.write(self.socket_outside, "")
