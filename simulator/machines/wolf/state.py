"""The configuration, pairings and sessions of one Wolf, and the actions of a player's Moonlight on them."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import Any

from simulator.addresses import HTTP
from simulator.machines.container import AppContainers, Container, WolfShape
from simulator.machines.host import Host
from simulator.machines.wolf.answers import Events
from simulator.machines.wolf.config import Client, WolfConfig, app_id
from simulator.machines.wolf.identity import Identity
from simulator.machines.wolf.pairing import PairingRequest, Pairings

STATE_FOLDER = "/etc/wolf"
CONTROL = 47999
PLAYER_IP = "203.0.113.9"
PLAYER_CERT = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"


@dataclass(slots=True)
class StreamSession:
    """One client that plays one app. Its id is the client's."""

    client: Client
    app: dict[str, Any]
    app_id: str
    client_ip: str
    width: int
    height: int
    refresh_rate: int
    home: str  # the app's home folder, as the host sees it
    container: str | None = None
    paused: bool = False

    @property
    def id(self) -> str:
        return self.client.id

    def described(self, *, numeric_ids: bool) -> dict[str, Any]:
        """Return the session as Wolf's API shows it, the stream's keys included."""
        return {
            "app_id": self.app_id,
            "client_id": int(self.id) if numeric_ids else self.id,
            "client_ip": self.client_ip,
            "aes_key": "0" * 32,
            "aes_iv": "1",
            "rtsp_fake_ip": "127.0.0.2",
            "video_width": self.width,
            "video_height": self.height,
            "video_refresh_rate": self.refresh_rate,
            "audio_channel_count": 2,
            "client_settings": self.client.settings,
        }


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
        """Request pairing, as a Moonlight. With `cert` it goes on by itself; without, `pin` settles it, any if None."""
        own_cert = cert or PLAYER_CERT.format(os.urandom(32).hex())
        request = self.pairings.begin(client_ip, own_cert, pin)
        self.log(f"[INFO] Insert pin at http://{self.address.ip}:{HTTP}/pin/#{request.secret}")
        self.events.send(
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
        """Start an app for a paired client. Raises LookupError when there is no such client or app."""
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
        self.events.send("StreamSession", session.described(numeric_ids=self.shape is WolfShape.Y2024))
        if app["runner"]["type"] == "docker":
            await self._start_app(session)
        self._host.traffic.begin(session.id, self.control_port)
        return session

    def pause_session(self, session_id: str) -> None:
        """Close the player's Moonlight: it sends nothing more, the session stays listed, the app runs on."""
        self.sessions[session_id].paused = True
        self._host.traffic.end(session_id)
        self.events.send("PauseStreamEvent", {"session_id": session_id})

    def resume_session(self, session_id: str) -> None:
        """Connect the player again."""
        self.sessions[session_id].paused = False
        self._host.traffic.begin(session_id, self.control_port)
        self.events.send("ResumeStreamEvent", {"session_id": session_id})

    def end_session(self, session_id: str) -> None:
        """Quit the app: its container is removed, its home stays. May be repeated."""
        session = self.sessions.pop(session_id, None)
        if not session:
            return
        self._host.traffic.end(session_id)
        if session.container:
            self._docker.drop(session.container)
        self.events.send("StopStreamEvent", {"session_id": session_id})

    def app_ended(self, container: str) -> None:
        """End the session of an app after its container was stopped."""
        for session in list(self.sessions.values()):
            if session.container == container:
                self.end_session(session.id)

    def log(self, line: str) -> None:
        self._docker.log(self._container.name, line)

    async def _start_app(self, session: StreamSession) -> None:
        runner: dict[str, Any] = session.app["runner"]
        await self._docker.ensure_image(runner["image"])
        session.container = f"{runner['name']}_{session.id}"
        environment = dict(one.partition("=")[::2] for one in runner.get("env", ()))
        volumes = [f"{session.home}:/home/retro", *runner.get("mounts", ())]
        app = Container(session.container, runner["image"], environment=environment, volumes=volumes)
        app.parent = self._container.name
        self._docker.add_running(app)
        self.events.send("StartRunner", {"session_id": session.id, "runner": runner})

    def _player_accepts(self, request: PairingRequest, given: asyncio.Future[str]) -> None:
        if not given.cancelled():
            self.pairings.end(request, right=True)

    def _pairing_ended(self, request: PairingRequest, right: bool) -> None:
        if right:
            self.config.pair(request.cert)
        self.log(f"[INFO] {'Succesfully paired' if right else 'Failed pairing with'} {request.client_ip}")
