"""What has an id of its own."""

from __future__ import annotations

import strawberry

from resolvers.context import Context

Info = strawberry.Info[Context, None]


@strawberry.interface
class Node:
    id: strawberry.ID
