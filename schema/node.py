"""The Node interface, and the type of `info` in all resolvers."""

from __future__ import annotations

import strawberry

from resolvers.context import Context

Info = strawberry.Info[Context, None]


@strawberry.interface(description="An object with a global id.")
class Node:
    id: strawberry.ID = strawberry.field(
        description="The global id: opaque, unique across all types, and accepted by `Query.node`."
    )
