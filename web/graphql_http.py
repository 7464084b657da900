"""GraphQL over HTTP: POST for all operations, GET for queries, and event streams for subscriptions."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from auth.callers import Caller, Role
from errors import ForbiddenError, GatewayError, LimitReachedError, UnauthenticatedError, UnavailableError
from resolvers.context import Context
from schema.execution.errors import fault_of
from schema.execution.requests import GraphQLRequest, OperationKind, Prepared, RequestFailedError
from web import graphiql
from web.content_negotiation import EVENT_STREAM, MULTIPART, MediaType, media_type, stream_format
from web.error_responses import error_response, retry_headers
from web.event_stream import Begin, Results, open_stream
from web.gateway import Gateway
from web.request_parsing import RequestParseError, read_body, read_query
from web.response_status import ResponseStatus
from web.responses import json_answer
from web.shared_responses import shared_response
from web.stream_formats import StreamFormat

_VARY: Final = {"Vary": "Accept"}
_METHODS: Final = "GET, POST"
_NO_SUBSCRIPTIONS: Final = (
    f"subscriptions are served over WebSocket, protocol graphql-transport-ws, as {EVENT_STREAM}, and as {MULTIPART} "
    "with subscriptionSpec=1.0"
)


class GraphQLOverHTTP:
    def __init__(self, gateway: Gateway, *, explorer: bool, for_operators: bool = False) -> None:
        """`explorer` serves GraphiQL to browsers; `for_operators` restricts it to operators."""
        self._gateway = gateway
        self._status = ResponseStatus(draft=gateway.limits.draft_statuses)
        self._explorer = explorer
        self._for_operators = for_operators

    async def answer(self, request: Request) -> Response:
        """Answer any request to /graphql."""
        if self._explorer and graphiql.wants_page(request):
            return await self._page(request)
        accept = request.headers.get("accept")
        kind, stream = media_type(accept), stream_format(accept)
        refused = self._refused(request, kind, stream)
        if refused is not None:
            return refused
        try:
            wanted = await self._read(request)
            await self._gateway.services.pace.step()
            caller = await self._gateway.authenticate_request(request.scope)
            if isinstance(wanted, list):
                return await self._run_all(request, wanted, caller, kind or MediaType.LEGACY)
            await self._gateway.admit(caller)
        except RequestParseError as error:
            return _parse_error_response(error, kind, self._status.of_parse_error(error, kind))
        except (UnauthenticatedError, LimitReachedError, UnavailableError) as error:
            return _error_response(error, kind or MediaType.LEGACY)
        kept = None if kind is None else self._kept(request, wanted, caller, kind)
        return kept or await self._run(request, wanted, caller, kind, stream)

    def _refused(self, request: Request, kind: MediaType | None, stream: StreamFormat | None) -> Response | None:
        """Return a refusal that follows from the request's head alone, or None."""
        if request.method not in ("GET", "POST"):
            return _refusal(405, "send GraphQL requests by POST, or queries by GET", kind, {"Allow": _METHODS})
        if kind is None and stream is None:
            return _refusal(406, f"responses are {MediaType.RESPONSE}, {MediaType.LEGACY} or {EVENT_STREAM}", None)
        if not self._gateway.is_from_listed_site(request.scope):
            return _refusal(403, "requests from pages of this site are not allowed", kind)
        return None

    async def _page(self, request: Request) -> Response:
        if not self._for_operators:
            return graphiql.page(request)
        try:
            caller = await self._gateway.authenticate_request(request.scope)
        except UnauthenticatedError:
            return graphiql.sign_in()
        except (LimitReachedError, UnavailableError) as error:
            return _error_response(error, MediaType.LEGACY)
        if caller.role is not Role.OPERATOR:
            return _error_response(ForbiddenError("this page is for operators"), MediaType.LEGACY)
        return graphiql.page(request)

    async def _read(self, request: Request) -> GraphQLRequest | list[GraphQLRequest]:
        if request.method == "GET":
            return read_query(request)
        limits = self._gateway.limits
        return await read_body(request, limits.max_body_bytes, limits.body_timeout_s, limits.max_batch_size)

    def _kept(self, request: Request, wanted: GraphQLRequest, caller: Caller, kind: MediaType) -> Response | None:
        kept = self._gateway.execution.kept_answer(wanted, caller.role)
        return None if kept is None else shared_response(request, kept, kept.body, kept.etag, kind, _VARY)

    async def _run(
        self,
        request: Request,
        wanted: GraphQLRequest,
        caller: Caller,
        kind: MediaType | None,
        stream: StreamFormat | None,
    ) -> Response:
        context = self._gateway.new_context(caller, request.scope)
        try:
            prepared = self._gateway.execution.prepare(wanted, context)
            if prepared.kind is OperationKind.MUTATION and request.method == "GET":
                return _refusal(405, "send mutations by POST", kind, {"Allow": "POST"})
            if prepared.kind is OperationKind.SUBSCRIPTION and stream is None:
                return _refusal(400, _NO_SUBSCRIPTIONS, kind)
            if stream is not None and (kind is None or prepared.kind is OperationKind.SUBSCRIPTION):
                return await self._stream(request, prepared, context, stream)
            return await self._respond(request, prepared, context, kind or MediaType.LEGACY)
        except RequestFailedError as error:
            if kind is None and stream is not None:
                return await self._open(request, context, _failing(error), stream)
            status = self._status.of_failure(error, kind, names_document=wanted.query is None)
            return _answer({"errors": error.faults}, kind or MediaType.LEGACY, status)

    async def _respond(self, request: Request, prepared: Prepared, context: Context, kind: MediaType) -> Response:
        shared = await self._gateway.execution.execute_shared(prepared, context)
        if shared is None:
            return self._complete(await self._gateway.execution.execute(prepared, context), kind)
        if self._status.of_answer(shared.answer, kind) != 200:
            return self._complete(shared.answer, kind)
        headers = {**_VARY, **retry_headers(shared.answer.get("errors", ()))}
        return shared_response(request, shared, shared.body, shared.etag, kind, headers)

    def _complete(self, answer: dict[str, Any], kind: MediaType) -> Response:
        headers = retry_headers(answer.get("errors", ()))
        return _answer(answer, kind, self._status.of_answer(answer, kind), headers)

    async def _run_all(
        self, request: Request, wanted: list[GraphQLRequest], caller: Caller, kind: MediaType
    ) -> Response:
        """Run a batch one by one, so that it takes no more of this process at a time than a single request."""
        return _answer([await self._run_one(request, one, caller) for one in wanted], kind)

    async def _run_one(self, request: Request, wanted: GraphQLRequest, caller: Caller) -> dict[str, Any]:
        context = self._gateway.new_context(caller, request.scope)
        try:
            await self._gateway.admit(caller)
            prepared = self._gateway.execution.prepare(wanted, context)
            if prepared.kind is OperationKind.SUBSCRIPTION:
                return {"errors": [_bad_request(_NO_SUBSCRIPTIONS)]}
            return await self._gateway.execution.execute(prepared, context)
        except RequestFailedError as error:
            return {"errors": error.faults}
        except LimitReachedError as error:
            return {"errors": [fault_of(error)]}

    async def _stream(self, request: Request, prepared: Prepared, context: Context, stream: StreamFormat) -> Response:
        async def begin() -> Results:
            if prepared.kind is OperationKind.SUBSCRIPTION:
                return await self._gateway.execution.subscribe(prepared, context)
            return _single(await self._gateway.execution.execute(prepared, context))

        return await self._open(request, context, begin, stream)

    async def _open(self, request: Request, context: Context, begin: Begin, stream: StreamFormat) -> Response:
        try:
            return await open_stream(self._gateway, context, request.scope, begin, stream)
        except LimitReachedError as error:
            return _error_response(error, MediaType.LEGACY)


async def _single(answer: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
    yield answer


def _failing(error: RequestFailedError) -> Begin:
    async def begin() -> Results:
        raise error

    return begin


def _answer(content: Any, kind: MediaType, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return json_answer(content, status, kind, {**_VARY, **(headers or {})})


def _error_response(error: GatewayError, kind: MediaType) -> Response:
    return error_response(error, kind, _VARY)


def _parse_error_response(error: RequestParseError, kind: MediaType | None, status: int) -> Response:
    error_entry = _bad_request(error.message)
    if error.limit is not None:
        name, allowed = error.limit
        error_entry["extensions"] = {"code": LimitReachedError.code, "limit": name, "allowed": allowed}
    return _answer({"errors": [error_entry]}, kind or MediaType.LEGACY, status)


def _refusal(status: int, message: str, kind: MediaType | None, headers: dict[str, str] | None = None) -> Response:
    return _answer({"errors": [_bad_request(message)]}, kind or MediaType.LEGACY, status, headers)


def _bad_request(message: str) -> dict[str, Any]:
    return {"message": message, "extensions": {"code": "BAD_REQUEST"}}
