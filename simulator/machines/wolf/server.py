"""Wolf: the streaming server as others see it. No picture is ever encoded; everything around it is there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from simulator.machines.addresses import HTTP, HTTPS, RTSP, SHARED_ADDRESS
from simulator.machines.container import Container
from simulator.machines.traffic import CountingSocket
from simulator.machines.uncut import uncut
from simulator.machines.wolf import client_certificates, identity, rtsp
from simulator.machines.wolf.answers import Events
from simulator.machines.wolf.api import WolfApi, WolfShape
from simulator.machines.wolf.config import ConfigError, WolfConfig, app_id
from simulator.machines.wolf.pages import WolfPages
from simulator.machines.wolf.pairing import PairingRequest, Pairings
from simulator.machines.wolf.sessions import StreamSession, container_name

if TYPE_CHECKING:
    from simulator.machines.machine import Machine

STATE_FOLDER = "/etc/wolf"
RUNTIME_FOLDER = "/tmp/sockets"
CONTROL = 47999
PLAYER_IP = "203.0.113.9"
PLAYER_CERT = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"


class WolfFailedError(Exception):
    """Wolf did not come up."""


class Wolf:
    """One running Wolf. `begin_pairing` and `begin_session` do what a player's Moonlight would."""

    ports = (HTTP, HTTPS, RTSP)

    def __init__(self, machine: Machine, container: Container) -> None:
        self.shape: WolfShape = machine.wolf_shape
        self.clock = machine.clock
        self.address = machine.address
        self.events = Events()
        self.pairings = Pairings(self._pairing_ended)
        self.sessions: dict[str, StreamSession] = {}
        self.socket_inside = self._socket_path(container)
        self.socket_outside = container.host_path(self.socket_inside)
        self._machine = machine
        self._container = container
        self._runners: list[web.AppRunner] = []
        self._rtsp: asyncio.Server | None = None
        self._control: asyncio.DatagramTransport | None = None
        self.control_port = int(container.environment.get("WOLF_CONTROL_PORT", CONTROL))
        self.config: WolfConfig

    async def start(self) -> None:
        """Read the configuration and listen. Raises WolfFailedError, with what its log would say."""
        folder = self._container.environment.get("HOST_APPS_STATE_FOLDER", STATE_FOLDER)
        inside = self._container.environment.get("WOLF_CFG_FILE", f"{folder}/cfg/config.toml")
        path = self._container.host_path(inside)
        if not path:
            raise WolfFailedError(f"{inside} is not bound")
        self._machine.root_files.mkdir(f"{folder}/cfg", parents=True)
        try:
            self.config = WolfConfig(self._machine.tree.host_path(path))
        except (ConfigError, OSError) as error:
            raise WolfFailedError(str(error) if isinstance(error, ConfigError) else error.strerror or "") from error
        self.state_folder = folder
        key, cert = (self._machine.tree.host_path(f"{folder}/cfg/{name}.pem") for name in ("key", "cert"))
        try:
            self.identity = await asyncio.to_thread(identity.ensure, key, cert)
        except ValueError as error:
            raise WolfFailedError(f"key.pem: {error}") from error
        self.api, self.pages = WolfApi(self), WolfPages(self)
        try:
            await uncut(self._listen(key, cert), lambda _: self.stop())
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
            self._machine.root_files.remove(self.socket_outside or "")

    def begin_pairing(
        self, client_ip: str = PLAYER_IP, *, pin: str | None = None, cert: str | None = None
    ) -> PairingRequest:
        """A Moonlight asks to be paired. With `cert` alone it goes on by itself; else `pin` settles it, any if None."""
        own_cert = cert or PLAYER_CERT.format(os.urandom(32).hex())
        request = self.pairings.begin(client_ip, own_cert, pin)
        self.log(f"[INFO] Insert pin at http://{self.address.ip}:{HTTP}/pin/#{request.secret}")
        self.events.tell(
            "PairSignal", {"client_ip": client_ip, "host_ip": self.address.ip, "pair_secret": request.secret}
        )
        if cert is None and pin is None:
            request.given.add_done_callback(lambda given: self._player_accepts(request, given))
        return request

    async def begin_session(
        self,
        *,
        client_id: str | None = None,
        title: str | None = None,
        client_ip: str = PLAYER_IP,
        mode: tuple[int, int, int] = (1920, 1080, 60),
    ) -> StreamSession:
        """A paired client starts an app. LookupError when there is no such client or app."""
        clients = [client for client in self.config.clients if client_id in (None, client.id)]
        apps = [(number, app) for number, app in enumerate(self.config.apps, 1) if title in (None, app["title"])]
        if not clients or not apps:
            raise LookupError("no paired client, or no app")
        (number, app), client = apps[0], clients[0]
        if client.id in self.sessions:
            self.end_session(client.id)
        home = f"{self.state_folder}/{client.app_state_folder}/{app['title']}"
        session = StreamSession(client, app, app_id(app, number), client_ip, *mode, home)
        self._machine.root_files.mkdir(home, parents=True)
        self._machine.root_files.chown(home, int(client.settings["run_uid"]))
        self.sessions[session.id] = session
        self.events.tell("StreamSession", session.described(numeric_ids=self.shape is WolfShape.Y2024))
        if app["runner"]["type"] == "docker":
            await self._start_app(session)
        self._machine.traffic.begin(session.id, self.control_port)
        return session

    def pause_session(self, session_id: str) -> None:
        """The player closes Moonlight: nothing is sent any longer, the session stays listed, the app runs on."""
        self.sessions[session_id].paused = True
        self._machine.traffic.end(session_id)
        self.events.tell("PauseStreamEvent", {"session_id": session_id})

    def resume_session(self, session_id: str) -> None:
        """The player connects again."""
        self.sessions[session_id].paused = False
        self._machine.traffic.begin(session_id, self.control_port)
        self.events.tell("ResumeStreamEvent", {"session_id": session_id})

    def end_session(self, session_id: str) -> None:
        """The player quits: the app's container is removed, its home stays. Ended already: nothing happens."""
        session = self.sessions.pop(session_id, None)
        if not session:
            return
        self._machine.traffic.end(session_id)
        if session.container:
            self._machine.containers.take_away(session.container)
        self.events.tell("StopStreamEvent", {"session_id": session_id})

    def app_ended(self, container: str) -> None:
        """Somebody stopped the container of an app."""
        for session in list(self.sessions.values()):
            if session.container == container:
                self.end_session(session.id)

    def log(self, line: str) -> None:
        self._machine.containers.log(self._container.name, line)

    async def _start_app(self, session: StreamSession) -> None:
        runner: dict[str, Any] = session.app["runner"]
        if not self._machine.containers.images.has(runner["image"]):
            await self._machine.containers.pull(runner["image"])
        session.container = container_name(session.app, session.id)
        environment = dict(one.partition("=")[::2] for one in runner.get("env", ()))
        volumes = [f"{session.home}:/home/retro", *runner.get("mounts", ())]
        self._machine.containers.add_running(
            Container(
                session.container,
                runner["image"],
                environment=environment,
                volumes=volumes,
                parent=self._container.name,
            )
        )
        self.events.tell("StartRunner", {"session_id": session.id, "runner": runner})

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
            lambda: CountingSocket(self._machine.traffic, self.control_port),
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

    def _player_accepts(self, request: PairingRequest, given: asyncio.Future[str]) -> None:
        if not given.cancelled():
            self.pairings.end(request, right=True)

    def _pairing_ended(self, request: PairingRequest, right: bool) -> None:
        if right:
            self.config.pair(request.cert)
        self.log(f"[INFO] {'Succesfully paired' if right else 'Failed pairing with'} {request.client_ip}")

    def _socket_path(self, container: Container) -> str:
        runtime = container.environment.get("XDG_RUNTIME_DIR", RUNTIME_FOLDER)
        default = "/tmp/wolf.sock" if self.shape is WolfShape.Y2024 else f"{runtime}/wolf.sock"
        return container.environment.get("WOLF_SOCKET_PATH", default)

    def _place_socket(self) -> None:
        if not self.socket_outside:
            return
        files = self._machine.root_files
        files.mkdir(self.socket_outside.rpartition("/")[0], parents=True)
        if files.exists(self.socket_outside):
            files.remove(self.socket_outside)
        try:
            os.mknod(self._machine.tree.host_path(self.socket_outside), stat.S_IFSOCK | 0o755)
        except PermissionError:  # some systems let only root make one: a file shows where it would be
            files.write(self.socket_outside, "")
