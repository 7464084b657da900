"""The pages that Wolf serves to Moonlight and to browsers on its two HTTP ports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, SubElement, tostring

from simulator.addresses import HTTP, HTTPS, RTSP
from simulator.machines.wolf.answers import Answer
from simulator.machines.wolf.config import Client, app_id
from simulator.machines.wolf.moonlight import Handshakes
from simulator.machines.wolf.state import WolfState

FOR_PAIRED_CLIENTS = ("/serverinfo", "/applist", "/launch", "/resume", "/cancel")
MODE_PARTS = 3
PIN_PAGE = """<!doctype html><title>Wolf</title><h1>Insert PIN</h1>
<form><input name="pin" pattern="[0-9]{4}"><button>Pair</button></form>
"""


class WolfPages:
    def __init__(self, wolf: WolfState) -> None:
        self._wolf = wolf
        self._handshakes = Handshakes(wolf)

    async def answer(
        self, port: int, method: str, target: str, body: bytes, client_ip: str, client: Client | None = None
    ) -> Answer | None:
        """Return the answer, None when nothing listens on this port. `client` is the paired one by its certificate."""
        if port not in (HTTP, HTTPS):
            return None
        path, _, query = target.partition("?")
        path = path.rstrip("/")
        if (method, path) == ("GET", "/pair"):
            return _xml(await self._handshakes.step(dict(parse_qsl(query)), client_ip))
        if path == "/pin" and port == HTTP:
            return self._take_pin(body) if method == "POST" else Answer.text(PIN_PAGE, content_type="text/html")
        if method == "GET" and path in FOR_PAIRED_CLIENTS and port == HTTPS:
            paired = client and self._answer_paired(path, dict(parse_qsl(query)), client_ip, client)
            return await paired if paired else _xml({}, status=401)
        is_info = (method, path) == ("GET", "/serverinfo")
        return _xml(self._server_info(paired=False)) if is_info else Answer.text("NOT FOUND", 404)

    async def _answer_paired(self, path: str, query: Mapping[str, str], client_ip: str, client: Client) -> Answer:
        match path:
            case "/serverinfo":
                return _xml(self._server_info(paired=True))
            case "/applist":
                return self._app_list()
            case "/launch":
                return await self._launch(query, client_ip, client)
            case "/resume":
                if client.id in self._wolf.sessions:
                    self._wolf.resume_session(client.id)
                return _xml({"sessionUrl0": self._session_url(), "resume": "1"})
        self._wolf.end_session(client.id)
        return _xml({"cancel": "1"})

    def _app_list(self) -> Answer:
        root = Element("root", status_code="200")
        for number, app in enumerate(self._wolf.config.apps, 1):
            entry = SubElement(root, "App")
            for name, text in (("IsHdrSupported", "0"), ("AppTitle", app["title"]), ("ID", app_id(app, number))):
                SubElement(entry, name).text = text
        return _document(root)

    async def _launch(self, query: Mapping[str, str], client_ip: str, client: Client) -> Answer:
        apps = {app_id(app, number): app for number, app in enumerate(self._wolf.config.apps, 1)}
        app = apps.get(query.get("appid", ""))
        mode = [int(part) for part in query.get("mode", "1920x1080x60").split("x") if part.isdigit()]
        if app is None or len(mode) != MODE_PARTS or not {"rikey", "rikeyid"} <= query.keys():
            return _xml({}, status=400)
        width, height, rate = mode
        await self._wolf.begin_session(
            client_id=client.id, title=app["title"], client_ip=client_ip, mode=(width, height, rate)
        )
        return _xml({"sessionUrl0": self._session_url(), "gamesession": "1"})

    def _session_url(self) -> str:
        return f"rtsp://{self._wolf.address.ip}:{RTSP}"

    def _server_info(self, *, paired: bool) -> dict[str, str]:
        wolf = self._wolf
        busy = bool(wolf.sessions)
        return {
            "hostname": wolf.config.hostname,
            "appversion": "7.1.431.-1",
            "GfeVersion": "3.23.0.74",
            "uniqueid": wolf.config.uuid,
            "MaxLumaPixelsHEVC": "1869449984",
            "ServerCodecModeSupport": "65793",
            "HttpsPort": str(HTTPS),
            "ExternalPort": str(HTTP),
            "mac": "00:00:00:00:00:00",
            "LocalIP": wolf.address.ip,
            "PairStatus": str(int(paired)),
            "currentgame": next((one.app_id for one in wolf.sessions.values()), "0"),
            "state": "SUNSHINE_SERVER_BUSY" if busy else "SUNSHINE_SERVER_FREE",
        }

    def _take_pin(self, body: bytes) -> Answer:
        try:
            given = json.loads(body)
            found = self._wolf.pairings.give_pin(str(given["secret"]), str(given["pin"]))
        except (ValueError, KeyError, TypeError):
            return Answer.text("Invalid request", 400)
        return Answer.text("OK") if found else Answer.text("Invalid pin secret", 400)


def _xml(content: Mapping[str, str], status: int = 200) -> Answer:
    root = Element("root", status_code=str(status))
    for name, text in content.items():
        SubElement(root, name).text = text
    return _document(root, status)


def _document(root: Element, status: int = 200) -> Answer:
    return Answer(status, "application/xml", b'<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root))
