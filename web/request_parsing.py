"""A GraphQL request as HTTP carries it, read strictly: what is not right is refused with the status that says why."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import orjson
from starlette.requests import ClientDisconnect, Request

from schema.execution.executor import GraphQLRequest

_KINDS: Final[dict[str, tuple[type, str]]] = {
    "query": (str, "a string"),
    "operationName": (str, "a string"),
    "variables": (dict, "an object"),
    "extensions": (dict, "an object"),
}


class RequestParseError(Exception):
    """Not a GraphQL request. `status` is HTTP's word for it; `limit` is the one that it is over, with its value."""

    def __init__(self, status: int, message: str, limit: tuple[str, float] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.limit = limit


async def read_body(
    request: Request, limit_bytes: int, patience_s: float, max_batch_size: int
) -> GraphQLRequest | list[GraphQLRequest]:
    """Of a POST; a list only where batches are allowed. Raises UnreadableError."""
    _check_content(request)
    content = decoded(await _bytes(request, limit_bytes, patience_s))
    if not isinstance(content, list):
        return request_from(content)
    if max_batch_size <= 1:
        raise RequestParseError(400, "requests are sent one by one, not as an array", ("batchSize", 1))
    if not 1 <= len(content) <= max_batch_size:
        raise RequestParseError(400, f"an array has 1 to {max_batch_size} requests", ("batchSize", max_batch_size))
    return [request_from(one) for one in content]


async def read_object(request: Request, limit_bytes: int, patience_s: float) -> dict[str, Any]:
    """The JSON object that a request carries; empty when it carries nothing. Raises UnreadableError."""
    raw = await _bytes(request, limit_bytes, patience_s)
    if not raw:
        return {}
    _check_content(request)
    content = decoded(raw)
    if not isinstance(content, dict):
        raise RequestParseError(400, "the request must be a JSON object")
    return content


def read_query(request: Request) -> GraphQLRequest:
    """Of a GET. Raises UnreadableError."""
    found: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in found:
            raise RequestParseError(400, f"{name} is given twice")
        if name in _KINDS and value:
            found[name] = decoded(value.encode()) if name in ("variables", "extensions") else value
    return request_from(found)


def request_from(content: object) -> GraphQLRequest:
    """Of decoded JSON. Raises UnreadableError when its shape is wrong."""
    if not isinstance(content, dict):
        raise RequestParseError(400, "the request must be a JSON object")
    for name, (kind, words) in _KINDS.items():
        if content.get(name) is not None and not isinstance(content[name], kind):
            raise RequestParseError(400, f"{name} must be {words}")
    return GraphQLRequest(
        query=content.get("query"),
        operation_name=content.get("operationName") or None,  # some clients send "" for none
        variables=content.get("variables"),
        extensions=content.get("extensions"),
    )


def decoded(raw: bytes | str) -> Any:
    """JSON as its standard has it. Raises UnreadableError."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise RequestParseError(400, "this is not valid JSON in UTF-8") from None


def _check_content(request: Request) -> None:
    """Only what a browser sends to another site after asking it first: no form can make such a request."""
    kind, *parameters = (part.strip().lower() for part in request.headers.get("content-type", "").split(";"))
    if kind != "application/json":
        raise RequestParseError(415, "the content type must be application/json")
    charset = next((p.removeprefix("charset=").strip('"') for p in parameters if p.startswith("charset=")), "utf-8")
    if charset not in ("utf-8", "utf8"):
        raise RequestParseError(415, "the charset must be utf-8")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestParseError(415, "compressed requests are not read")


async def _bytes(request: Request, limit_bytes: int, patience_s: float) -> bytes:
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:20]) > limit_bytes:
        raise _too_large(limit_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(patience_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit_bytes:
                    raise _too_large(limit_bytes)
    except TimeoutError:
        limit = ("bodySeconds", patience_s)
        raise RequestParseError(408, f"the request did not arrive within {patience_s:g} s", limit) from None
    except ClientDisconnect:
        raise RequestParseError(400, "the request ended early") from None
    return bytes(body)


def _too_large(limit_bytes: int) -> RequestParseError:
    return RequestParseError(413, f"a request may have at most {limit_bytes} bytes", ("bodyBytes", limit_bytes))
