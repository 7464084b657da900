"""The REST endpoints. They execute trusted GraphQL documents, under the same access rules, limits and audit log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from auth.callers import Caller
from errors import ForbiddenError, GatewayError, LimitReachedError
from resolvers.context import Context
from schema.execution.errors import BAD_USER_INPUT, fault_of
from schema.execution.requests import GraphQLRequest, OperationKind, Prepared, RequestFailedError
from schema.execution.rest_variables import UnfitError, Variables
from schema.execution.shared_answers import etag_of
from schema.execution.trusted_documents import sha256_of, text_of
from web.error_responses import headers_of, retry_headers, status_of
from web.event_stream import Results, has_ended, open_stream
from web.gateway import Gateway
from web.request_parsing import RequestParseError, read_object
from web.responses import json_answer
from web.rest_names import ConflictingNamesError, known_spellings, pick, rename_fields
from web.rest_routes import PATHS, Part, RestPath, Source
from web.shared_responses import shared_response

Problem = dict[str, Any]
_MESSAGE_LIMIT: Final = 512
_NOT_FOUND: Final = {"code": "NOT_FOUND", "message": "not found"}


def rest_routes(gateway: Gateway, paths: Sequence[RestPath] = PATHS) -> list[Route]:
    """Return one route per path for all its methods, so that a 405 response lists every allowed method."""
    by_path: dict[str, dict[str, _Operation]] = {}
    for row in paths:
        operation = _Operation(gateway, row)
        for name in (row.path, *row.earlier):
            by_path.setdefault(name, {}).update(dict.fromkeys(row.methods, operation))
    return [_route(path, operations) for path, operations in by_path.items()]


def _route(path: str, operations: Mapping[str, _Operation]) -> Route:
    async def answer(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await operations[method].answer(request)

    return Route(path, answer, methods=list(operations))


class _NameError(Exception):
    """A parameter or a body field is unknown, or given under two names with different values."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field[:_MESSAGE_LIMIT]
        self.message = message


class _Operation:
    """The endpoint of one row of the table of paths."""

    def __init__(self, gateway: Gateway, row: RestPath) -> None:
        text = text_of(row.document)
        self._gateway = gateway
        self._variables = Variables(text)
        self._sources = {tuple(target.split(".")): source for target, source in row.variables.items()}
        self._extensions = {"persistedQuery": {"version": 1, "sha256Hash": sha256_of(text)}}

    async def answer(self, request: Request) -> Response:
        """Answer a request to this path."""
        try:
            self._check_origin(request)
            body = await self._body(request)
            caller = await self._gateway.authenticate_request(request.scope)
            await self._gateway.admit(caller)
            return await self._run(request, self._values(request, body), caller)
        except RequestParseError as error:
            return _parse_error(error)
        except _NameError as error:
            return _problems([_bad_input(error.message, error.field)])
        except UnfitError as error:
            return _problems([_bad_input(error.message, self._field(error.path))])
        except RequestFailedError as error:
            return _problems([self._problem_of_fault(fault) for fault in error.faults])
        except GatewayError as error:
            return _problems([self._problem_of_fault(fault_of(error))])

    def _check_origin(self, request: Request) -> None:
        """Raise ForbiddenError for pages of other sites: browsers let them send an empty POST without a preflight."""
        reads = request.method in ("GET", "HEAD")
        if not self._gateway.is_from_listed_site(request.scope) or not (
            reads or self._gateway.is_from_listed_origin(request.scope)
        ):
            raise ForbiddenError("requests from pages of this site are not allowed")

    async def _body(self, request: Request) -> dict[str, Any]:
        limits = self._gateway.limits
        return await read_object(request, limits.max_body_bytes, limits.body_timeout_s)

    async def _run(self, request: Request, values: dict[str, Any], caller: Caller) -> Response:
        context = self._gateway.new_context(caller, request.scope)
        execution = self._gateway.execution
        prepared = execution.prepare(GraphQLRequest(variables=values, extensions=self._extensions), context)
        if prepared.kind is OperationKind.SUBSCRIPTION:
            if has_ended(request.scope):
                return Response(status_code=204)
            # Begin before the status is sent, so that an unknown launch is a 404.
            answers = await execution.subscribe(prepared, context)
            return await self._stream(request, context, answers)
        shared = await execution.execute_shared(prepared, context)
        if shared is None:
            return self._respond(prepared, await execution.execute(prepared, context))
        response = self._respond(prepared, shared.answer)
        if "errors" in shared.answer or response.status_code != 200:
            return response
        body = bytes(response.body)
        return shared_response(request, shared, body, etag_of(body), "application/json", {})

    async def _stream(self, request: Request, context: Context, answers: Results) -> Response:
        async def begin() -> Results:
            return answers

        return await open_stream(self._gateway, context, request.scope, begin)

    def _respond(self, prepared: Prepared, answer: dict[str, Any]) -> Response:
        data: dict[str, Any] = answer["data"] or {}
        problems = [self._problem_of_fault(fault) for fault in answer.get("errors", ())]
        if prepared.kind is OperationKind.MUTATION:
            problems += [
                self._problem_of_refusal(entry) for payload in data.values() if payload for entry in payload["errors"]
            ]
        elif problems and all(value is not None for value in data.values()) and data:
            # a partial result: some fields failed
            return json_answer({**data, "errors": problems}, headers=retry_headers(problems))
        elif not problems and None in data.values():
            problems = [_NOT_FOUND]
        return _problems(problems) if problems else json_answer(data)

    def _values(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Return the document's variables. Raise UnfitError."""
        self._check_names(request, body)
        values: dict[str, Any] = {}
        try:
            for target, source in self._sources.items():
                for value in self._values_of(request, body, target, source):
                    _put(values, target, value)
        except ConflictingNamesError as error:
            raise _NameError(error.name, str(error)) from None
        self._variables.check(values)
        return values

    def _check_names(self, request: Request, body: dict[str, Any]) -> None:
        named = known_spellings(source.name for source in self._sources.values() if source.part is Part.QUERY)
        for name in request.query_params:
            if name not in named:
                raise _NameError(name, "there is no such parameter")
        fields = {source.name for source in self._sources.values() if source.part is Part.BODY}
        known = known_spellings(fields)
        for name in body:
            if "" not in fields and name not in known:
                raise _NameError(name, "there is no such field")

    def _values_of(
        self, request: Request, body: dict[str, Any], target: tuple[str, ...], source: Source
    ) -> Iterator[Any]:
        """Yield the value of one source, if the request has it."""
        match source.part:
            case Part.PATH:
                yield self._variables.read(target, [request.path_params[source.name]])
            case Part.QUERY if texts := pick(_texts(request), source.name):
                yield self._variables.read(target, texts)
            case Part.BODY if not source.name:
                yield rename_fields(self._variables.type_of(target), body)
            case Part.BODY if (value := pick(body, source.name)) is not None or source.name in body:
                yield rename_fields(self._variables.type_of(target), value)

    def _problem_of_fault(self, fault: dict[str, Any]) -> Problem:
        """Convert an entry of the GraphQL response's `errors`."""
        problem = {"message": fault["message"], **fault["extensions"]}
        if "path" in fault:
            problem["path"] = fault["path"]
        if "field" in problem:
            problem["field"] = self._field(tuple(problem["field"].split(".")))
        return problem

    def _problem_of_refusal(self, entry: dict[str, Any]) -> Problem:
        """Convert an entry of a mutation payload's `errors`."""
        problem = {name: value for name, value in entry.items() if name != "__typename" and value is not None}
        if "path" in problem:
            problem["field"] = self._field(tuple(problem["path"]))
        return problem

    def _field(self, path: tuple[str, ...]) -> str:
        """Return the request's own name for the variable or input field at this path."""
        for start in (path, path[1:] if path[:1] == ("input",) else path):
            for target, source in sorted(self._sources.items(), key=lambda one: -len(one[0])):
                if start[: len(target)] == target:
                    return ".".join(filter(None, (source.name, *start[len(target) :])))
        return ".".join(path)


def _texts(request: Request) -> dict[str, list[str]]:
    return {name: request.query_params.getlist(name) for name in request.query_params}


def _put(values: dict[str, Any], target: tuple[str, ...], value: Any) -> None:
    for name in target[:-1]:
        values = values.setdefault(name, {})
    if target[-1] in values:
        raise UnfitError(target, "is already set by the path")
    values[target[-1]] = value


def _bad_input(message: str, field: str) -> Problem:
    text = f"{field}: {message}" if field else message
    return {"code": BAD_USER_INPUT, "message": text[:_MESSAGE_LIMIT], "field": field}


def _problems(problems: list[Problem]) -> Response:
    status = status_of(problems[0].get("code", "INTERNAL"))
    return json_answer({"errors": problems}, status, headers=headers_of(status, problems[0].get("retryAfter")))


def _parse_error(error: RequestParseError) -> Response:
    problem: Problem = {"code": "BAD_REQUEST", "message": error.message}
    if error.limit is not None:
        name, allowed = error.limit
        problem |= {"code": LimitReachedError.code, "limit": name, "allowed": allowed}
    return json_answer({"errors": [problem]}, error.status)
