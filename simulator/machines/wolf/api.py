"""Wolf's REST interface on its unix socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from simulator.machines.container import WolfShape
from simulator.machines.wolf.answers import Answer, EventStream
from simulator.machines.wolf.config import Client
from simulator.machines.wolf.state import WolfState

BASE = "/api/v1/"
SETTING_TYPES: Mapping[str, type | tuple[type, ...]] = {
    **{"run_uid": int, "run_gid": int, "controllers_override": list},
    **{
        "mouse_acceleration": (int, float),
        "v_scroll_acceleration": (int, float),
        "h_scroll_acceleration": (int, float),
    },
}


class WolfApi:
    def __init__(self, wolf: WolfState) -> None:
        self._wolf = wolf
        self._shape = wolf.shape
        self._routes: dict[tuple[str, str], Callable[[dict[str, Any]], Answer | EventStream]] = {
            ("GET", "openapi-schema"): self._schema,
            ("GET", "events"): lambda _: EventStream(wolf.events, wolf.clock),
            ("GET", "pair/pending"): self._pending,
            ("POST", "pair/client"): self._pair,
            ("GET", "clients"): self._clients,
            ("GET", "apps"): self._apps,
            ("POST", "apps/add"): self._add_app,
            ("POST", "apps/delete"): self._delete_app,
            ("GET", "sessions"): self._sessions,
            ("POST", "sessions/pause"): lambda body: self._end_session(body, paused=True),
            ("POST", "sessions/stop"): lambda body: self._end_session(body, paused=False),
        }
        if self._shape is WolfShape.NEWER:
            self._routes |= {
                ("POST", "unpair/client"): self._unpair,
                ("POST", "clients/settings"): self._settings,
                ("GET", "profiles"): self._profiles,
                ("GET", "lobbies"): lambda _: Answer.json({"success": True, "lobbies": []}),
            }

    async def answer(self, method: str, target: str, body: bytes) -> Answer | EventStream:
        path = target.partition("?")[0].removeprefix(BASE)
        route = self._routes.get((method, path)) if target.startswith(BASE) else None
        if not route:
            return Answer.failure("Not found", 404)
        try:
            parsed = json.loads(body) if body else {}
            if not isinstance(parsed, dict):
                raise ValueError("the body is no object")
            return route(parsed)
        except (ValueError, KeyError, TypeError) as error:
            return Answer.failure(f"Invalid request: {error}", 500)

    def _id(self, identity: str) -> int | str:
        return int(identity) if self._shape is WolfShape.Y2024 else identity

    def _schema(self, _: dict[str, Any]) -> Answer:
        paths: dict[str, dict[str, Any]] = {}
        for method, path in self._routes:
            paths.setdefault(f"{BASE}{path}", {})[method.lower()] = {"responses": {"200": {"description": "OK"}}}
        return Answer.json({"openapi": "3.1.0", "info": {"title": "Wolf API", "version": "0.1"}, "paths": paths})

    def _pending(self, _: dict[str, Any]) -> Answer:
        ip_field = "pin" if self._shape is WolfShape.Y2024 else "client_ip"
        requests = [{"pair_secret": one.secret, ip_field: one.client_ip} for one in self._wolf.pairings.pending()]
        return Answer.json({"success": True, "requests": requests})

    def _pair(self, body: dict[str, Any]) -> Answer:
        if not self._wolf.pairings.give_pin(str(body["pair_secret"]), str(body["pin"])):
            return Answer.failure("Invalid pair secret")
        return Answer.json({"success": True})

    def _unpair(self, body: dict[str, Any]) -> Answer:
        client = self._client(body)
        if not client:
            return Answer.failure("Client not found", 404)
        self._wolf.config.unpair(client)
        return Answer.json({"success": True})

    def _clients(self, _: dict[str, Any]) -> Answer:
        clients = [
            {"client_id": self._id(one.id), "app_state_folder": one.app_state_folder, "settings": one.settings}
            for one in self._wolf.config.clients
        ]
        return Answer.json({"success": True, "clients": clients})

    def _settings(self, body: dict[str, Any]) -> Answer:
        missing = {"client_id", "app_state_folder", "settings"} - body.keys()
        if missing:
            return Answer.failure(f"field {sorted(missing)[0]} is missing", 400)
        client = self._client(body)
        if not client:
            return Answer.failure("Client not found", 404)
        settings = body["settings"] or {}
        for key, value in settings.items():
            if key not in SETTING_TYPES or not isinstance(value, SETTING_TYPES[key]):
                return Answer.failure(f"invalid setting {key}", 400)
        client.settings |= settings
        client.app_state_folder = str(body["app_state_folder"] or client.app_state_folder)
        self._wolf.config.save()
        return Answer.json({"success": True})

    def _apps(self, _: dict[str, Any]) -> Answer:
        return Answer.json({"success": True, "apps": [_described(number, app) for number, app in self._numbered()]})

    def _add_app(self, body: dict[str, Any]) -> Answer:
        self._wolf.config.apps.append({"title": body["title"], "runner": body["runner"], "id": str(body["id"])})
        return Answer.json({"success": True})

    def _delete_app(self, body: dict[str, Any]) -> Answer:
        apps = self._wolf.config.apps
        kept = [app for number, app in self._numbered() if number != str(body["id"])]
        if len(kept) == len(apps):
            return Answer.failure("App not found")
        apps[:] = kept
        return Answer.json({"success": True})

    def _numbered(self) -> list[tuple[str, dict[str, Any]]]:
        return [(str(app.get("id") or number), app) for number, app in enumerate(self._wolf.config.apps, start=1)]

    def _profiles(self, _: dict[str, Any]) -> Answer:
        apps = [_described(number, app) for number, app in self._numbered()]
        profile = {"id": "moonlight-profile-id", "name": "Moonlight", "icon_png_path": None, "apps": apps}
        return Answer.json({"success": True, "profiles": [profile]})

    def _sessions(self, _: dict[str, Any]) -> Answer:
        numeric = self._shape is WolfShape.Y2024
        sessions = [one.described(numeric_ids=numeric) for one in self._wolf.sessions.values()]
        return Answer.json({"success": True, "sessions": sessions})

    def _end_session(self, body: dict[str, Any], *, paused: bool) -> Answer:
        session_id = str(body["session_id"])
        if session_id not in self._wolf.sessions:
            return Answer.failure("Session not found")
        (self._wolf.pause_session if paused else self._wolf.end_session)(session_id)
        return Answer.json({"success": True})

    def _client(self, body: dict[str, Any]) -> Client | None:
        return self._wolf.config.client(str(body["client_id"]))


def _described(number: str, app: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": app["title"],
        "id": number,
        "support_hdr": False,
        "icon_png_path": app.get("icon_png_path"),
        **{f"{kind}_gst_pipeline": f"{kind} pipeline" for kind in ("h264", "hevc", "av1", "opus")},
        "render_node": app.get("render_node", "/dev/dri/renderD128"),
        "start_virtual_compositor": app.get("start_virtual_compositor", True),
        "start_audio_server": app.get("start_audio_server", True),
        "runner": app["runner"],
    }
