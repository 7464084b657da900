"""A small service that answers by the contract, with fixed answers: what the page is tried on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from inspect import isawaitable
from pathlib import Path
from typing import Any, Final

import uvicorn
from graphql import ExecutionResult, build_schema, graphql, parse, subscribe
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from web import graphiql

CONTRACT: Final = Path("graphql/contract.graphql")
SWITCH: Final = {
    "type": "SWITCH",
    "name": "Nintendo Switch",
    "preset": {"name": "PREMIUM", "vcpus": 8, "ramGb": 16, "storageGb": 200, "gpu": {"minVramGb": 12, "models": []}},
    "emulator": {"name": "Ryujinx", "image": "example/ryujinx"},
}


class ContractService:
    """Remembers with which credentials it was asked."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.connection_params: list[dict[str, Any]] = []
        self._schema = build_schema(CONTRACT.read_text())
        self._root = {"consoles": [SWITCH], "launchGame": launch_game, "launchProgress": launch_progress}

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Its address, for as long as it serves."""
        routes = [
            Route("/graphql", self._get, methods=["GET"]),
            Route("/graphql", self._post, methods=["POST"]),
            WebSocketRoute("/graphql", self._socket),
            *graphiql.routes(),
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_level="error", lifespan="off", ws="websockets-sansio")
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            server.should_exit = True
            await serving

    async def _get(self, request: Request) -> Response:
        assert graphiql.wants_page(request)
        return graphiql.page(request)

    async def _post(self, request: Request) -> Response:
        self.headers.append(dict(request.headers))
        asked = await request.json()
        answer = await graphql(
            self._schema,
            asked["query"],
            self._root,
            variable_values=asked.get("variables"),
            operation_name=asked.get("operationName"),
        )
        return JSONResponse(answer.formatted)

    async def _socket(self, socket: WebSocket) -> None:
        await socket.accept("graphql-transport-ws")
        opening = await socket.receive_json()
        self.connection_params.append(opening.get("payload"))
        await socket.send_json({"type": "connection_ack"})
        asked = await socket.receive_json()
        events = subscribe(
            self._schema, parse(asked["payload"]["query"]), self._root, variable_values=asked["payload"]["variables"]
        )
        if isawaitable(events):
            events = await events
        assert not isinstance(events, ExecutionResult), events
        async for event in events:
            await socket.send_json({"type": "next", "id": asked["id"], "payload": event.formatted})
        await socket.send_json({"type": "complete", "id": asked["id"]})
        await socket.receive()


def launch_game(_info: Any, input: dict[str, Any]) -> dict[str, Any]:
    return {"launch": {"id": f"launch-of-{input['gameId']}", "status": "QUEUED"}, "errors": []}


async def launch_progress(_info: Any, **asked: Any) -> AsyncIterator[dict[str, Any]]:
    for sequence, message in enumerate(("choosing", f"{asked['launchId']} is ready"), start=1):
        launch = {"status": "RUNNING", "vm": None}
        yield {"launchProgress": {"sequence": sequence, "progress": 0.5, "message": message, "launch": launch}}
