"""Paging as in the Relay connection specification. Each list defines its own edge and connection types."""

from __future__ import annotations

from typing import Final

import strawberry

from resolvers.pagination import Page

CURSOR: Final = "The item's position in the list. Opaque: pass it as `after`."
NODE: Final = "The item."
EDGES: Final = "The items of the page, in order, each with its cursor."
PAGE_INFO: Final = "Where the page is within the list."


@strawberry.type(description="Where a page is within its list, as the Relay connection specification defines it.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more items follow this page.")
    has_previous_page: bool = strawberry.field(description="Whether items precede this page.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first item. Null if the page is empty.")
    end_cursor: str | None = strawberry.field(
        description="The cursor of the last item; pass it as `after` to get the next page. Null if the page is empty."
    )

    @classmethod
    def of(cls, page: Page[object]) -> PageInfo:
        start, end = (page.cursors[0], page.cursors[-1]) if page.cursors else (None, None)
        return cls(has_next_page=page.has_next, has_previous_page=page.has_previous, start_cursor=start, end_cursor=end)
