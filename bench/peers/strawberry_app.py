"""The part of the service's schema that the bench asks for, on stock Strawberry over the same collections.

`python -m bench.peers.strawberry_app asgi|fastapi|bytes`; prints its address. `bytes` sends one ready answer, given as
the environment variable READY, which is what Starlette can do at most.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import strawberry
import uvicorn
from pymongo import AsyncMongoClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader

CLIENT: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(os.environ["MONGODB_ATLAS_URI"], tz_aware=True)
DB = CLIENT[os.environ["MONGODB_DATABASE"]]


@strawberry.type
class Location:
    city: str | None
    region: str | None
    country: str | None


@strawberry.type
class Launch:
    id: strawberry.ID
    status: str
    game_id: str | None
    user_id: str
    requested_at: datetime
    warning: str | None


@strawberry.type
class VM:
    id: strawberry.ID
    status: str
    user_id: str
    game_id: str | None
    ip_address: str | None
    hourly_price: str
    provider: str
    provider_id: str | None
    created_at: datetime
    started_at: datetime | None
    stops_at: datetime | None
    warning: str | None
    location: Location
    launch_id: strawberry.Private[str]

    @strawberry.field
    async def launch(self, info: strawberry.Info) -> Launch | None:
        found = await info.context["launch"].load(self.launch_id)
        return None if found is None else launch_of(found)


@strawberry.type
class VMEdge:
    cursor: str
    node: VM


@strawberry.type
class PageInfo:
    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class VMConnection:
    edges: list[VMEdge]
    page_info: PageInfo


@strawberry.type
class Query:
    @strawberry.field
    async def vm(self, id: strawberry.ID) -> VM | None:
        found = await DB.vms.find_one({"_id": id})
        return None if found is None else vm_of(found)

    @strawberry.field
    async def vms(self, first: int = 50) -> VMConnection:
        found = await DB.vms.find().sort([("created_at", -1), ("_id", -1)]).limit(first + 1).to_list()
        edges = [VMEdge(cursor=each["_id"], node=vm_of(each)) for each in found[:first]]
        return VMConnection(edges=edges, page_info=PageInfo(has_next_page=len(found) > first, end_cursor=None))


def vm_of(vm: dict[str, Any]) -> VM:
    """Return the VM of a stored document."""
    place = vm["place"]
    same = ("status", "user_id", "game_id", "ip_address", "provider", "provider_id", "launch_id", "warning")
    times = ("created_at", "started_at", "stops_at")
    values: dict[str, Any] = {name: vm.get(name) for name in (*same, *times)}
    return VM(
        id=vm["_id"],
        hourly_price=str(vm["usd_per_hour"]),
        location=Location(city=place.get("city"), region=place.get("region"), country=place.get("country")),
        **values,
    )


def launch_of(launch: dict[str, Any]) -> Launch:
    """Return the launch of a stored document."""
    names = ("status", "game_id", "user_id", "requested_at", "warning")
    values: dict[str, Any] = {name: launch.get(name) for name in names}
    return Launch(id=launch["_id"], **values)


async def load_launches(ids: list[str]) -> list[dict[str, Any] | None]:
    """Return the launches with these ids, None for those that do not exist."""
    found = {each["_id"]: each async for each in DB.launches.find({"_id": {"$in": ids}})}
    return [found.get(each) for each in ids]


def new_context() -> dict[str, Any]:
    """Return the context of one request."""
    return {"launch": DataLoader(load_launches)}


class StockApp(GraphQL[dict[str, Any], None]):
    async def get_context(self, request: Any, response: Any) -> dict[str, Any]:
        return new_context()


def application(kind: str) -> Any:
    """Return the application of this kind."""
    schema = strawberry.Schema(Query)
    if kind == "fastapi":
        # Installed for the bench alone.
        fastapi = importlib.import_module("fastapi")
        routers = importlib.import_module("strawberry.fastapi")

        async def fastapi_context() -> dict[str, Any]:
            return new_context()

        app = fastapi.FastAPI()
        app.include_router(routers.GraphQLRouter(schema, context_getter=fastapi_context), prefix="/graphql")
        return app
    if kind == "bytes":
        ready = os.environ["READY"].encode()

        async def answer(_: Request) -> Response:
            return Response(ready, media_type="application/json")

        return Starlette(routes=[Route("/graphql", answer, methods=["POST"])])
    return Starlette(routes=[Route("/graphql", StockApp(schema), methods=["POST"])], lifespan=_close)


@asynccontextmanager
async def _close(_: Starlette) -> AsyncIterator[None]:
    yield
    await CLIENT.close()


def main() -> None:
    """Serve the application that the command line names, and print its address."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(application(sys.argv[1]), log_level="error", access_log=False)
    listener.listen(100)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
