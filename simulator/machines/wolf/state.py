"""The configuration, pairings and sessions of one Wolf, and what a player's Moonlight does to them."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from simulator.machines.addresses import HTTP
from simulator.machines.container import AppContainers, Container
from simulator.machines.host import Host
from simulator.machines.wolf.answers import Events
from simulator.machines.wolf.config import WolfConfig, app_id
from simulator.machines.wolf.identity import Identity
from simulator.machines.wolf.pairing import PairingRequest, Pairings
from simulator.machines.wolf.sessions import StreamSession, container_name
from simulator.machines.wolf.shape import WolfShape

STATE_FOLDER = "/etc/wolf"
CONTROL = 47999
PLAYER_IP = "203.0.113.9"
PLAYER_CERT = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"


class WolfState:
    """`config` and `identity` are read when Wolf starts."""

    config: WolfConfig
    identity: Identity

    def __init__(self, host: Host, container: Container, docker: AppContainers) -> None:
        self.shape = host.wolf_shape
        self.clock = host.clock
        self.address = host.address
        self.events = Events()
        self.pairings = Pairings(self._pairing_ended)
        self.sessions: dict[str, StreamSession] = {}
        self.state_folder = container.environment.get("HOST_APPS_STATE_FOLDER", STATE_FOLDER)
        self.control_port = int(container.environment.get("WOLF_CONTROL_PORT", CONTROL))
        self._host = host
        self._container = container
        self._docker = docker

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
        self._host.root_files.mkdir(home, parents=True)
        self._host.root_files.chown(home, int(client.settings["run_uid"]))
        self.sessions[session.id] = session
        self.events.tell("StreamSession", session.described(numeric_ids=self.shape is WolfShape.Y2024))
        if app["runner"]["type"] == "docker":
            await self._start_app(session)
        self._host.traffic.begin(session.id, self.control_port)
        return session

    def pause_session(self, session_id: str) -> None:
        """The player closes Moonlight: nothing is sent any longer, the session stays listed, the app runs on."""
        self.sessions[session_id].paused = True
        self._host.traffic.end(session_id)
        self.events.tell("PauseStreamEvent", {"session_id": session_id})

    def resume_session(self, session_id: str) -> None:
        """The player connects again."""
        self.sessions[session_id].paused = False
        self._host.traffic.begin(session_id, self.control_port)
        self.events.tell("ResumeStreamEvent", {"session_id": session_id})

    def end_session(self, session_id: str) -> None:
        """The player quits: the app's container is removed, its home stays. Ended already: nothing happens."""
        session = self.sessions.pop(session_id, None)
        if not session:
            return
        self._host.traffic.end(session_id)
        if session.container:
            self._docker.drop(session.container)
        self.events.tell("StopStreamEvent", {"session_id": session_id})

    def app_ended(self, container: str) -> None:
        """Somebody stopped the container of an app."""
        for session in list(self.sessions.values()):
            if session.container == container:
                self.end_session(session.id)

    def log(self, line: str) -> None:
        self._docker.log(self._container.name, line)

    async def _start_app(self, session: StreamSession) -> None:
        runner: dict[str, Any] = session.app["runner"]
        await self._docker.ensure_image(runner["image"])
        session.container = container_name(session.app, session.id)
        environment = dict(one.partition("=")[::2] for one in runner.get("env", ()))
        volumes = [f"{session.home}:/home/retro", *runner.get("mounts", ())]
        self._docker.add_running(
            Container(
                session.container,
                runner["image"],
                environment=environment,
                volumes=volumes,
                parent=self._container.name,
            )
        )
        self.events.tell("StartRunner", {"session_id": session.id, "runner": runner})

    def _player_accepts(self, request: PairingRequest, given: asyncio.Future[str]) -> None:
        if not given.cancelled():
            self.pairings.end(request, right=True)

    def _pairing_ended(self, request: PairingRequest, right: bool) -> None:
        if right:
            self.config.pair(request.cert)
        self.log(f"[INFO] {'Succesfully paired' if right else 'Failed pairing with'} {request.client_ip}")
