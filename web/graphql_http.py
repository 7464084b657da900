"""GraphQL over HTTP: POST for everything but subscriptions, GET for queries."""

from __future__ import annotations

import math
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from auth.callers import Caller
from errors import GatewayError, LimitReachedError, UnauthenticatedError, UnavailableError
from schema.execution import GraphQLRequest, OperationKind, RequestFailedError
from schema.faults import fault_of
from web import graphiql
from web.answers import json_answer
from web.gateway import Gateway
from web.negotiation import MediaType, media_type
from web.reading import UnreadableError, read_body, read_query

_VARY: Final = {"Vary": "Accept"}
_METHODS: Final = "GET, POST"


class GraphQLOverHTTP:
    def __init__(self, gateway: Gateway, *, explorer: bool) -> None:
        """`explorer`: a browser that opens the address gets GraphiQL."""
        self._gateway = gateway
        self._explorer = explorer

    async def answer(self, request: Request) -> Response:
        if self._explorer and graphiql.wants_page(request):
            return graphiql.page(request)
        kind = media_type(request.headers.get("accept"))
        if request.method not in ("GET", "POST"):
            return _refusal(405, "GraphQL is asked by POST, or GET for queries", kind, {"Allow": _METHODS})
        if kind is None:
            return _refusal(406, f"answers are {MediaType.RESPONSE} or {MediaType.LEGACY}", None)
        try:
            asked = await self._read(request)
        except UnreadableError as error:
            return _refusal(error.status, error.message, kind)
        return await self._run(request, asked, kind)

    async def _read(self, request: Request) -> GraphQLRequest:
        if request.method == "GET":
            return read_query(request)
        limits = self._gateway.limits
        return await read_body(request, limits.max_body_bytes, limits.body_timeout_s)

    async def _run(self, request: Request, asked: GraphQLRequest, kind: MediaType) -> Response:
        try:
            caller = await self._caller(request)
            await self._gateway.admit(caller)
        except (UnauthenticatedError, LimitReachedError, UnavailableError) as error:
            return _turned_away(error, kind)
        context = self._gateway.context(caller, request.scope)
        try:
            prepared = self._gateway.execution.prepare(asked, context)
            if prepared.kind is OperationKind.MUTATION and request.method == "GET":
                return _refusal(405, "a mutation is asked by POST", kind, {"Allow": "POST"})
            if prepared.kind is OperationKind.SUBSCRIPTION:
                return _refusal(400, "subscriptions are served over WebSocket, protocol graphql-transport-ws", kind)
            return _answer(await self._gateway.execution.execute(prepared, context), kind)
        except RequestFailedError as error:
            status = 400 if kind is MediaType.RESPONSE or asked.query is None else 200
            return _answer({"errors": error.faults}, kind, status)

    async def _caller(self, request: Request) -> Caller:
        try:
            return await self._gateway.caller(request.scope)
        except UnauthenticatedError:
            await self._gateway.admit_stranger(request.scope)
            raise


def _answer(content: Any, kind: MediaType, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return json_answer(content, status, kind, {**_VARY, **(headers or {})})


def _turned_away(error: GatewayError, kind: MediaType) -> Response:
    match error:
        case UnauthenticatedError():
            return _fault(401, error, kind, {"WWW-Authenticate": "Bearer"})
        case LimitReachedError():
            return _fault(429, error, kind, {"Retry-After": str(math.ceil(error.retry_after_s or 1))})
    return _fault(503, error, kind, {"Retry-After": "2"})


def _fault(status: int, error: GatewayError, kind: MediaType, headers: dict[str, str]) -> Response:
    return _answer({"errors": [fault_of(error)]}, kind, status, headers)


def _refusal(status: int, message: str, kind: MediaType | None, headers: dict[str, str] | None = None) -> Response:
    fault = {"message": message, "extensions": {"code": "BAD_REQUEST"}}
    return _answer({"errors": [fault]}, kind or MediaType.LEGACY, status, headers)
