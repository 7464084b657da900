"""`<control>/machines/<id>/...`: actions of a player on a machine, without a Moonlight."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from simulator.machines.container import WolfShape
from simulator.machines.files import Files
from simulator.machines.pool import MachinePark, UnknownMachineError
from simulator.machines.wolf.server import Wolf
from simulator.machines.wolf.state import PLAYER_IP

Handler = Callable[[web.Request], Awaitable[web.Response]]


class PlayerRoutes:
    """The routes. Answers are JSON: 404 for an unknown machine, 409 for one without a running Wolf."""

    def __init__(self, park: MachinePark) -> None:
        self._park = park

    def add_routes(self, router: web.UrlDispatcher, base: str) -> None:
        machine = f"{base}/machines/{{id}}"
        router.add_post(f"{machine}/pairings", _errors_as_json(self._begin_pairing))
        router.add_get(f"{machine}/clients", _errors_as_json(self._clients))
        router.add_post(f"{machine}/sessions", _errors_as_json(self._begin_session))
        router.add_get(f"{machine}/sessions", _errors_as_json(self._sessions))
        router.add_patch(f"{machine}/sessions/{{session}}", _errors_as_json(self._connect_session))
        router.add_delete(f"{machine}/sessions/{{session}}", _errors_as_json(self._end_session))
        router.add_put(f"{machine}/sessions/{{session}}/home/{{path:.+}}", _errors_as_json(self._write_at_home))
        router.add_put(f"{machine}/wolf", _errors_as_json(self._shape_wolf))

    async def _begin_pairing(self, request: web.Request) -> web.Response:
        """Request pairing for a device: `{"client_ip": ..., "pin": ...}`. Without a PIN it takes any."""
        body = await _body(request)
        pin = body.get("pin")
        begun = self._wolf(request).begin_pairing(
            str(body.get("client_ip", PLAYER_IP)), pin=None if pin is None else str(pin)
        )
        return web.json_response({"secret": begun.secret, "client_ip": begun.client_ip}, status=201)

    async def _clients(self, request: web.Request) -> web.Response:
        clients = self._wolf(request).config.clients
        return web.json_response(
            {"clients": [{"id": one.id, "app_state_folder": one.app_state_folder} for one in clients]}
        )

    async def _begin_session(self, request: web.Request) -> web.Response:
        """Start an app on a paired device: `{"client_id": ..., "title": ...}`, by default the first of each."""
        body = await _body(request)
        session = await self._wolf(request).begin_session(client_id=body.get("client_id"), title=body.get("title"))
        return web.json_response({"id": session.id, "title": session.app["title"], "home": session.home}, status=201)

    async def _sessions(self, request: web.Request) -> web.Response:
        sessions = self._wolf(request).sessions.values()
        return web.json_response({"sessions": [{"id": one.id, "title": one.app["title"]} for one in sessions]})

    async def _connect_session(self, request: web.Request) -> web.Response:
        """Close (`{"connected": false}`) or reopen (`true`) the player's Moonlight."""
        wolf, session_id = self._wolf(request), request.match_info["session"]
        if session_id not in wolf.sessions:
            raise LookupError("no such session")
        connected = (await _body(request)).get("connected") is True
        (wolf.resume_session if connected else wolf.pause_session)(session_id)
        return web.json_response({"id": session_id, "connected": connected})

    async def _end_session(self, request: web.Request) -> web.Response:
        self._wolf(request).end_session(request.match_info["session"])
        return web.json_response({})

    async def _write_at_home(self, request: web.Request) -> web.Response:
        """Write a file, such as a save, into the app's home folder, as the app."""
        session = self._wolf(request).sessions.get(request.match_info["session"])
        if not session:
            raise LookupError("no such session")
        machine = self._park.machine(request.match_info["id"])
        path = posixpath.normpath(posixpath.join(session.home, request.match_info["path"]))
        files = Files(machine.tree, int(session.client.settings["run_uid"]))
        files.mkdir(posixpath.dirname(path), parents=True)
        files.write(path, await request.content.read())
        return web.json_response({"path": path})

    async def _shape_wolf(self, request: web.Request) -> web.Response:
        """Set the age of Wolf's interface from its next start: `{"shape": "2024"}` or `"newer"`."""
        machine = self._park.machine(request.match_info["id"])
        machine.wolf_shape = WolfShape(str((await _body(request)).get("shape")))
        return web.json_response({"shape": machine.wolf_shape})

    def _wolf(self, request: web.Request) -> Wolf:
        return self._park.wolf(request.match_info["id"])


async def _body(request: web.Request) -> dict[str, Any]:
    content = await request.content.read()
    body = json.loads(content) if content.strip() else {}
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body


def _errors_as_json(handler: Handler) -> Handler:
    async def explained(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except UnknownMachineError:
            return web.json_response({"error": "no such machine"}, status=404)
        except LookupError as error:
            return web.json_response({"error": str(error)}, status=409)
        except (ValueError, OSError) as error:
            text = error.strerror if isinstance(error, OSError) else str(error)
            return web.json_response({"error": text}, status=400)

    return explained
