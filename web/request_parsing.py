"""Parses GraphQL requests strictly: anything invalid is refused with the HTTP status that fits."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import orjson
from starlette.requests import ClientDisconnect, Request

from schema.execution.requests import GraphQLRequest

_KINDS: Final[dict[str, tuple[type, str]]] = {
    "query": (str, "a string"),
    "operationName": (str, "a string"),
    "variables": (dict, "an object"),
    "extensions": (dict, "an object"),
}


class RequestParseError(Exception):
    """The request is not a valid GraphQL request.

    `status` is the HTTP status. `limit` is the name and value of the limit that was exceeded, if any.
    """

    def __init__(self, status: int, message: str, limit: tuple[str, float] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.limit = limit


class MalformedRequestError(RequestParseError):
    """The request is JSON, but not a GraphQL request."""

    def __init__(self, message: str) -> None:
        super().__init__(400, message)


async def read_body(
    request: Request, limit_bytes: int, timeout_s: float, max_batch_size: int
) -> GraphQLRequest | list[GraphQLRequest]:
    """Parse a POST body: one request, or a list if batches are allowed. Raise RequestParseError."""
    _check_content(request)
    content = parse_json(await _read_bytes(request, limit_bytes, timeout_s))
    if not isinstance(content, list):
        return parse_request(content)
    if max_batch_size <= 1:
        raise RequestParseError(400, "arrays of requests are not allowed", ("batchSize", 1))
    if not 1 <= len(content) <= max_batch_size:
        raise RequestParseError(
            400, f"an array must have 1 to {max_batch_size} requests", ("batchSize", max_batch_size)
        )
    return [parse_request(one) for one in content]


async def read_object(request: Request, limit_bytes: int, timeout_s: float) -> dict[str, Any]:
    """Parse a body that is a JSON object; an empty body is an empty object. Raise RequestParseError."""
    raw = await _read_bytes(request, limit_bytes, timeout_s)
    if not raw:
        return {}
    _check_content(request)
    content = parse_json(raw)
    if not isinstance(content, dict):
        raise RequestParseError(400, "the request must be a JSON object")
    return content


def read_query(request: Request) -> GraphQLRequest:
    """Parse the query string of a GET. Raise RequestParseError."""
    found: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in found:
            raise MalformedRequestError(f"{name} must be given only once")
        if name in _KINDS and value:
            found[name] = parse_json(value.encode()) if name in ("variables", "extensions") else value
    return parse_request(found)


def parse_request(content: object) -> GraphQLRequest:
    """Return the request in decoded JSON. Raise RequestParseError if its shape is wrong."""
    if not isinstance(content, dict):
        raise MalformedRequestError("the request must be a JSON object")
    for name, (kind, expected) in _KINDS.items():
        if content.get(name) is not None and not isinstance(content[name], kind):
            raise MalformedRequestError(f"{name} must be {expected}")
    return GraphQLRequest(
        query=content.get("query"),
        operation_name=content.get("operationName") or None,  # some clients send "" for no name
        variables=content.get("variables"),
        extensions=content.get("extensions"),
    )


def parse_json(raw: bytes | str) -> Any:
    """Decode standard JSON. Raise RequestParseError if it is malformed."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise RequestParseError(400, "the request is not valid JSON in UTF-8") from None


def _check_content(request: Request) -> None:
    """Require JSON without compression. No HTML form can send it, so browsers ask before they send it across sites."""
    kind, *parameters = (part.strip().lower() for part in request.headers.get("content-type", "").split(";"))
    if kind != "application/json":
        raise RequestParseError(415, "the content type must be application/json")
    charset = next((p.removeprefix("charset=").strip('"') for p in parameters if p.startswith("charset=")), "utf-8")
    if charset not in ("utf-8", "utf8"):
        raise RequestParseError(415, "the charset must be utf-8")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestParseError(415, "compressed requests are not supported")


async def _read_bytes(request: Request, limit_bytes: int, timeout_s: float) -> bytes:
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:20]) > limit_bytes:
        raise _too_large(limit_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit_bytes:
                    raise _too_large(limit_bytes)
    except TimeoutError:
        limit = ("bodySeconds", timeout_s)
        raise RequestParseError(408, f"the request did not arrive within {timeout_s:g} s", limit) from None
    except ClientDisconnect:
        raise RequestParseError(400, "the request ended early") from None
    return bytes(body)


def _too_large(limit_bytes: int) -> RequestParseError:
    return RequestParseError(413, f"a request may have at most {limit_bytes} bytes", ("bodyBytes", limit_bytes))
