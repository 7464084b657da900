"""Lists by pages, as Relay has them. Each list names its own edge and connection."""

from __future__ import annotations

import strawberry

from resolvers.pagination import Page


@strawberry.type
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None

    @classmethod
    def of(cls, page: Page[object]) -> PageInfo:
        start, end = (page.cursors[0], page.cursors[-1]) if page.cursors else (None, None)
        return cls(has_next_page=page.has_next, has_previous_page=page.has_previous, start_cursor=start, end_cursor=end)
