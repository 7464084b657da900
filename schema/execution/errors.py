"""Formats errors for callers: a code to act on, and no details of unexpected errors."""

from __future__ import annotations

import logging
import secrets
from typing import Any, Final

from graphql import GraphQLError, GraphQLSyntaxError, ObjectFieldNode, ValueNode, VariableNode

from errors import (
    ConflictError,
    ForbiddenError,
    GatewayError,
    InvalidInputError,
    LimitReachedError,
    ProviderError,
    RefusedError,
    UnauthenticatedError,
    UnavailableError,
    UnreadableRecordError,
)

log = logging.getLogger(__name__)

BAD_USER_INPUT: Final = "BAD_USER_INPUT"
FORBIDDEN: Final = "FORBIDDEN"
INTERNAL: Final = "INTERNAL"
PARSE_FAILED: Final = "GRAPHQL_PARSE_FAILED"
UNAUTHENTICATED: Final = "UNAUTHENTICATED"
UNAVAILABLE: Final = "UNAVAILABLE"
VALIDATION_FAILED: Final = "GRAPHQL_VALIDATION_FAILED"

_MESSAGE_LIMIT: Final = 512
_CODES: Final[tuple[tuple[type[GatewayError], str], ...]] = (
    (InvalidInputError, BAD_USER_INPUT),
    (UnauthenticatedError, UNAUTHENTICATED),
    (ForbiddenError, FORBIDDEN),
    (UnavailableError, UNAVAILABLE),
    (ConflictError, UNAVAILABLE),
    (ProviderError, UNAVAILABLE),
    (UnreadableRecordError, UnreadableRecordError.code),
)

FormattedError = dict[str, Any]


def fault(error: GraphQLError) -> FormattedError:
    """Return an entry of a response's `errors`. Unexpected errors are logged under an id, and only the id is shown."""
    entry: FormattedError = {"message": error.message[:_MESSAGE_LIMIT]}
    if error.locations:
        entry["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path is not None:
        entry["path"] = error.path
    cause = None if error.path is None else cause_of(error)  # without a path, the request itself is wrong
    if cause is None:
        entry["extensions"] = {"code": _code_of_request_error(error), **(error.extensions or {})}
    elif isinstance(cause, GatewayError):
        entry |= fault_of(cause)
    else:
        entry |= masked(cause)
    return entry


def bad_variable(error: GraphQLError) -> FormattedError:
    """Format an error in the variables. The document was valid, so the variables are not."""
    entry = fault(error)
    return {**entry, "extensions": {**entry["extensions"], "code": BAD_USER_INPUT}}


def fault_of(error: GatewayError) -> FormattedError:
    """Format an error that was raised on purpose."""
    extensions: dict[str, Any] = {"code": code_of(error)}
    if isinstance(error, RefusedError) and error.path:
        extensions["field"] = ".".join(error.path)
    if isinstance(error, LimitReachedError):
        extensions |= {"limit": error.limit, "allowed": error.allowed, "retryAfter": error.retry_after_s}
    return {"message": error.message, "extensions": extensions}


def masked(cause: Exception) -> FormattedError:
    """Log an unexpected error, and format it with only its id for the caller."""
    error_id = secrets.token_hex(8)
    log.error("unexpected error", extra={"error_id": error_id}, exc_info=cause)
    return {
        "message": f"Something went wrong on our side. Its id is {error_id}.",
        "extensions": {"code": INTERNAL, "id": error_id},
    }


def code_of(error: GatewayError) -> str:
    """Return the code that callers see."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return error.code if isinstance(error, RefusedError | LimitReachedError) else INTERNAL


def cause_of(error: GraphQLError) -> Exception | None:
    """Return the first error in the chain that is not GraphQL's own."""
    cause = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def _code_of_request_error(error: GraphQLError) -> str:
    if isinstance(error, GraphQLSyntaxError):
        return PARSE_FAILED
    if error.path is not None:
        return BAD_USER_INPUT
    node = error.nodes[0] if error.nodes else None
    bad_value = isinstance(node, ValueNode | ObjectFieldNode) and not isinstance(node, VariableNode)
    return BAD_USER_INPUT if bad_value else VALIDATION_FAILED
