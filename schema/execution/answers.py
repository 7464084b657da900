"""The answer to an operation: its data, its errors, and what is said about both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from graphql import ExecutionResult, FieldNode

from errors import ForbiddenError
from models.unreadable import Unreadable
from providers.last_known import Stale
from resolvers.audit import audit_denied
from resolvers.context import Context
from schema.execution.errors import bad_variable, cause_of, fault
from schema.execution.requests import RequestFailedError
from schema.ids import global_id

_TYPES: Final = {"Vm": "VM"}  # models with a differently named GraphQL type


def answer_of(result: ExecutionResult) -> dict[str, Any]:
    """Return a result as the answer that is sent. Raise RequestFailedError if the variables do not fit."""
    if not result.errors:
        return {"data": result.data}
    if result.data is None and all(error.path is None for error in result.errors):
        raise RequestFailedError(*map(bad_variable, result.errors))
    return {"errors": [fault(error) for error in result.errors], "data": result.data}


async def record_denials(context: Context, result: ExecutionResult) -> None:
    """Record in the audit log the fields that the caller's role does not allow, by their own names, not aliases."""
    forbidden = (error for error in result.errors or () if isinstance(cause_of(error), ForbiddenError))
    nodes = [error.nodes[0] for error in forbidden if error.nodes]
    for name in sorted({node.name.value for node in nodes if isinstance(node, FieldNode)}):
        await audit_denied(context, name)


def left_out_records(left_out: Sequence[Unreadable]) -> dict[str, Any]:
    """Return the records that lists omit because this version cannot read them."""
    if not left_out:
        return {}
    return {
        "unreadable": [
            {"id": global_id(_TYPES.get(one.model, one.model), one.id), "reason": one.reason} for one in left_out
        ]
    }


def stale_sources(sources: Sequence[Stale]) -> dict[str, Any]:
    """Return the sources that are unavailable, and the age of their data in the response."""
    if not sources:
        return {}
    return {"stale": [{"source": one.source, "ageSeconds": one.age_s} for one in sources]}
