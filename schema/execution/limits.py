"""Limits of a document, checked before validation: tokens while it is parsed, the rest on its tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from graphql import DocumentNode, GraphQLError, GraphQLSchema, GraphQLSyntaxError, parse

from schema.execution.complexity import Measurement, measure

QUERY_TOO_COMPLEX: Final = "QUERY_TOO_COMPLEX"


@dataclass(frozen=True, slots=True)
class Limits:
    """The defaults allow graphql/operations/ and GraphiQL's introspection with room to spare."""

    max_tokens: int = 1000
    max_depth: int = 12
    max_introspection_depth: int = 15
    max_aliases: int = 30
    max_directives: int = 30
    max_fragments: int = 50
    max_root_fields: int = 20
    max_page_size: int = 100
    max_cost: int = 10_000
    max_repeated_fields: int = 50


class QueryTooComplexError(GraphQLError):
    """A document exceeds a limit. `extensions` name the limit, the allowed and the requested value."""

    def __init__(self, limit: str, allowed: int, asked: int, what: str) -> None:
        super().__init__(
            f"{what} {asked}; at most {allowed} is allowed.",
            extensions={"code": QUERY_TOO_COMPLEX, "limit": limit, "allowed": allowed, "asked": asked},
        )


def parse_within(source: str, limits: Limits) -> DocumentNode:
    """Parse a document, but not beyond the limit. Raise GraphQLSyntaxError or QueryTooComplexError."""
    try:
        return parse(source, max_tokens=limits.max_tokens)
    except GraphQLSyntaxError as error:
        if _TOKENS_EXHAUSTED in error.message:
            # The actual number is unknown: the limit forbids reading on.
            raise QueryTooComplexError(
                "tokens", limits.max_tokens, limits.max_tokens + 1, "The number of tokens is at least"
            ) from None
        raise


def check_document(
    schema: GraphQLSchema,
    document: DocumentNode,
    limits: Limits,
    variables: Mapping[str, Any] | None = None,
    operation_name: str | None = None,
) -> Measurement:
    """Measure a document. Raise QueryTooComplexError for the first limit that it exceeds."""
    measured = measure(schema, document, variables, operation_name, limits.max_page_size)
    for limit, allowed, asked, what in _compared(measured, limits):
        if asked > allowed:
            raise QueryTooComplexError(limit, allowed, asked, what)
    return measured


def cost_report(measured: Measurement, limits: Limits) -> dict[str, int]:
    """Return `extensions.cost` of an executed operation."""
    return {"requested": measured.cost, "allowed": limits.max_cost}


def _compared(measured: Measurement, limits: Limits) -> tuple[tuple[str, int, int, str], ...]:
    return (
        ("directives", limits.max_directives, measured.directives, "The number of directives is"),
        ("aliases", limits.max_aliases, measured.aliases, "The number of aliases is"),
        ("fragments", limits.max_fragments, measured.fragments, "The number of fragments is"),
        ("repeatedFields", limits.max_repeated_fields, measured.repeated_fields, "The number of repeated fields is"),
        ("rootFields", limits.max_root_fields, measured.root_fields, "The number of root fields is"),
        ("depth", limits.max_depth, measured.depth, "The depth is"),
        (
            "introspectionDepth",
            limits.max_introspection_depth,
            measured.introspection_depth,
            "The depth of the introspection is",
        ),
        ("pageSize", limits.max_page_size, measured.page_size, "The page size is"),
        ("cost", limits.max_cost, measured.cost, "The cost is"),
    )


_TOKENS_EXHAUSTED: Final = "tokens. Parsing aborted."
