"""Limits of GraphQL documents."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class GraphqlSettings(BaseSettings):
    trusted_documents_only: bool = Field(
        False, description="Run only the documents in graphql/operations/.", examples=["true"]
    )
    graphql_draft_statuses: bool = Field(
        False,
        description="Answer `application/graphql-response+json` with the HTTP statuses of GraphQL over HTTP's draft of "
        "August 2026: 294 for data with errors, 422 for requests that are refused before they are executed.",
        examples=["true"],
    )
    max_query_tokens: int = Field(
        1000, ge=100, le=100_000, description="Largest number of tokens in a GraphQL document.", examples=["1000"]
    )
    max_query_depth: int = Field(
        12, ge=1, le=100, description="Deepest nesting of fields in a GraphQL document.", examples=["12"]
    )
    max_query_introspection_depth: int = Field(
        15, ge=1, le=100, description="Deepest nesting within `__schema` and `__type`.", examples=["15"]
    )
    max_query_aliases: int = Field(
        30, ge=0, le=10_000, description="Largest number of aliases in a GraphQL document.", examples=["30"]
    )
    max_query_directives: int = Field(
        30, ge=0, le=10_000, description="Largest number of directives in a GraphQL document.", examples=["30"]
    )
    max_query_fragments: int = Field(
        50, ge=0, le=10_000, description="Largest number of fragments in a GraphQL document.", examples=["50"]
    )
    max_query_root_fields: int = Field(
        20, ge=1, le=10_000, description="Largest number of root fields in an operation.", examples=["20"]
    )
    max_query_repeated_fields: int = Field(
        50,
        ge=0,
        le=10_000,
        description="Largest number of fields that repeat the name of a sibling in a GraphQL document.",
        examples=["50"],
    )
    max_query_cost: int = Field(
        10_000,
        ge=1,
        le=1_000_000_000,
        description="Highest cost of an operation: roughly the number of values that it may return.",
        examples=["10000"],
    )
    max_page_size: int = Field(100, ge=1, le=100, description="Largest `first` or `limit` of a list.", examples=["100"])
