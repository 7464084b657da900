"""Describes the REST paths as OpenAPI 3.1, from the table of paths and the types of the documents' variables."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLNonNull,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_required_input_field,
)

from schema.execution.rest_variables import Variables
from schema.execution.trusted_documents import text_of
from web.rest_routes import PATHS, Part, RestPath

Document = dict[str, Any]

_SCALARS: Final[dict[str, Document]] = {
    "Int": {"type": "integer"},
    "Float": {"type": "number"},
    "Boolean": {"type": "boolean"},
    "Decimal": {"type": "string", "format": "decimal", "examples": ["1.25"]},
    "DateTime": {"type": "string", "format": "date-time"},
}
_STREAMS: Final = frozenset({"LaunchProgress"})
_ERROR: Final[Document] = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "string", "description": "What went wrong, from a fixed list."},
        "message": {"type": "string", "description": "What is wrong, what is allowed, and what to do."},
        "field": {"type": "string", "description": "The parameter or body field at fault."},
        "path": {"type": "array", "description": "Where in the response or the input the error belongs."},
    },
}
_ERRORS: Final[Document] = {
    "type": "object",
    "required": ["errors"],
    "properties": {"errors": {"type": "array", "items": {"$ref": "#/components/schemas/Error"}}},
}
_REFUSAL: Final[Document] = {
    "description": "The request failed; the status is that of the first error.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Errors"}}},
}


@cache
def openapi(version: str) -> Document:
    """Return the description of all paths for this version of the service."""
    schemas: Document = {"Error": _ERROR, "Errors": _ERRORS}
    paths: Document = {}
    for row in PATHS:
        for address in (row.path, *row.earlier):
            for method in row.methods:
                paths.setdefault(address, {})[method.lower()] = _operation(row, address, method, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Gamer Provisioner",
            "version": version,
            "description": "Each path runs a GraphQL document, with the same access rules and limits as /graphql.",
        },
        "servers": [{"url": "."}],
        "security": [{"token": []}, {"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _operation(row: RestPath, address: str, method: str, schemas: Document) -> Document:
    text = text_of(row.document)
    variables = Variables(text)
    name = f"{row.document}_{method}_{re.sub(r'[^A-Za-z0-9]+', '_', address).strip('_')}"
    operation: Document = {
        "operationId": name,
        "summary": _summary(text),
        "responses": {"200": _success(row), "default": _REFUSAL},
    }
    if address != row.path:
        operation["deprecated"] = True
    if parameters := _parameters(row, variables, schemas):
        operation["parameters"] = parameters
    if body := _body(row, variables, schemas):
        operation["requestBody"] = body
    return operation


def _summary(text: str) -> str:
    """Return the comment in front of a document, as one line."""
    lines = [line[1:].strip() for line in text.splitlines() if line.startswith("#")]
    return " ".join(lines)


def _success(row: RestPath) -> Document:
    media_type = "text/event-stream" if row.document in _STREAMS else "application/json"
    schema: Document = {} if row.document in _STREAMS else {"schema": {"type": "object"}}
    return {"description": f"The data of the document {row.document}.", "content": {media_type: schema}}


def _parameters(row: RestPath, variables: Variables, schemas: Document) -> list[Document]:
    found: list[Document] = []
    for target, source in row.variables.items():
        if source.part is Part.BODY:
            continue
        kind = variables.type_of(tuple(target.split(".")))
        in_path = source.part is Part.PATH
        found.append(
            {
                "name": source.name,
                "in": "path" if in_path else "query",
                "required": in_path or _is_required(variables, target),
                "schema": _schema(kind, schemas),
            }
        )
    return found


def _is_required(variables: Variables, target: str) -> bool:
    """Return whether a parameter must be given: everything around it and itself must not be null."""
    parts = target.split(".")
    kinds = [variables.type_of(tuple(parts[:count])) for count in range(1, len(parts) + 1)]
    return all(isinstance(kind, GraphQLNonNull) for kind in kinds) and parts[0] in variables.required


def _body(row: RestPath, variables: Variables, schemas: Document) -> Document | None:
    targets = {target: source for target, source in row.variables.items() if source.part is Part.BODY}
    if not targets:
        return None
    whole = next((target for target, source in targets.items() if not source.name), None)
    if whole is not None:
        schema = _schema(variables.type_of((whole,)), schemas)
    else:
        fields = {source.name: _schema(variables.type_of((target,)), schemas) for target, source in targets.items()}
        schema = {"type": "object", "required": list(fields), "properties": fields}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _schema(kind: Any, schemas: Document) -> Document:
    kind = get_nullable_type(kind)
    if is_list_type(kind):
        return {"type": "array", "items": _schema(kind.of_type, schemas)}
    named = get_named_type(kind)
    if isinstance(named, GraphQLEnumType):
        schemas.setdefault(named.name, {"type": "string", "enum": list(named.values), **_description(named)})
        return {"$ref": f"#/components/schemas/{named.name}"}
    if isinstance(named, GraphQLInputObjectType):
        if named.name not in schemas:
            schemas[named.name] = _object(named, schemas)
        return {"$ref": f"#/components/schemas/{named.name}"}
    return dict(_SCALARS.get(named.name, {"type": "string"}))


def _object(kind: GraphQLInputObjectType, schemas: Document) -> Document:
    required = [name for name, field in kind.fields.items() if is_required_input_field(field)]
    fields = {name: {**_schema(field.type, schemas), **_description(field)} for name, field in kind.fields.items()}
    described = {"type": "object", "properties": fields, "additionalProperties": False, **_description(kind)}
    return {**described, "required": required} if required else described


def _description(thing: Any) -> Document:
    return {"description": thing.description} if thing.description else {}
