"""What Wolf serves to Moonlight and to browsers on its two HTTP ports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, SubElement, tostring

from simulator.machines.addresses import HTTP, HTTPS
from simulator.machines.wolf.answers import Answer
from simulator.machines.wolf.moonlight import Handshakes

if TYPE_CHECKING:
    from simulator.machines.wolf.server import Wolf

KNOWN_TO_PAIRED_CLIENTS = ("/applist", "/launch", "/resume", "/cancel")
PIN_PAGE = """<!doctype html><title>Wolf</title><h1>Insert PIN</h1>
<form><input name="pin" pattern="[0-9]{4}"><button>Pair</button></form>
"""


class WolfPages:
    def __init__(self, wolf: Wolf) -> None:
        self._wolf = wolf
        self._handshakes = Handshakes(wolf)

    async def answer(self, port: int, method: str, target: str, body: bytes, client_ip: str) -> Answer | None:
        """None when nothing listens on this port."""
        if port not in (HTTP, HTTPS):
            return None
        path, _, query = target.partition("?")
        path = path.rstrip("/")
        if (method, path) == ("GET", "/pair"):
            return _xml(await self._handshakes.step(dict(parse_qsl(query)), client_ip))
        if path == "/pin" and port == HTTP:
            return self._take_pin(body) if method == "POST" else Answer.text(PIN_PAGE, content_type="text/html")
        if method == "GET" and path in KNOWN_TO_PAIRED_CLIENTS and port == HTTPS:
            return _xml({}, status=401)
        if (method, path) == ("GET", "/serverinfo"):
            return _xml(self._server_info(paired=False))
        return Answer.text("NOT FOUND", 404)

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
    document = b'<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root)
    return Answer(200, "application/xml", document)
