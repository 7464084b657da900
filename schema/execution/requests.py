"""A request as it arrives, as it is ready to run, and as it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson
from graphql import DocumentNode

from auth.callers import Role
from schema.execution.complexity import Measurement
from schema.execution.errors import FormattedError
from schema.execution.plan import OperationPlan
from schema.execution.shared_answers import Key


class OperationKind(StrEnum):
    QUERY = "query"
    MUTATION = "mutation"
    SUBSCRIPTION = "subscription"


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """A request as received: the types are right, but nothing else is checked."""

    query: str | None = None
    operation_name: str | None = None
    variables: Mapping[str, Any] | None = None
    extensions: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that may be run.

    `text` is the document that it sent or named by its hash, `name` the name of a trusted document.
    """

    text: str
    name: str | None
    document: DocumentNode
    kind: OperationKind
    request: GraphQLRequest
    measured: Measurement
    plan: OperationPlan | None = None


class RequestFailedError(Exception):
    """The request was not run, or its stream broke. `faults` are the only content of the response."""

    def __init__(self, *faults: FormattedError) -> None:
        super().__init__(faults[0]["message"])
        self.faults = list(faults)


def refused(message: str, code: str) -> RequestFailedError:
    """Return the error of a request that is not run."""
    return RequestFailedError({"message": message, "extensions": {"code": code}})


def variables_of(prepared: Prepared) -> dict[str, Any]:
    """Return the variables of a request as a dictionary."""
    return dict(prepared.request.variables or {})


def shared_key(text: str, request: GraphQLRequest, role: Role) -> Key | None:
    """Return the key of a shared answer, or None if the variables cannot be part of one."""
    variables = variables_as_json(request.variables)
    return None if variables is None else (text, request.operation_name, variables, role)


def variables_as_json(variables: Mapping[str, Any] | None) -> bytes | None:
    """Return variables as JSON, or None if they are nested too deeply: orjson reads more levels than it writes."""
    try:
        return orjson.dumps(dict(variables or {}), option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return None
