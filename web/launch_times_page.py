"""Public launch times, where a deployment shows them: `/launch-times` for people, `/launch-times.json` for programs.

Both show what `launchTimes` shows to operators: medians and shares, and nothing about single launches or players. The
figures are read at most once a minute, whatever the number of requests.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from errors import GatewayError
from launch.launch_times import MonthOfLaunches
from web.error_responses import error_response
from web.responses import json_answer

_FRESH_S: Final = 60.0
_STYLE: Final = (
    "body{font-family:system-ui,sans-serif;margin:2rem;max-width:70rem}table{border-collapse:collapse;width:100%}"
    "th,td{padding:.4rem .8rem;text-align:right;border-bottom:1px solid #8886}"
    "th:nth-child(-n+4),td:nth-child(-n+4){text-align:left}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": f"public, max-age={_FRESH_S:.0f}",
}
_JSON_HEADERS: Final = {"Cache-Control": f"public, max-age={_FRESH_S:.0f}"}
_COLUMNS: Final = ("Month", "Cloud", "Site", "Machine", "Launches", "Median", "90 % within", "Promises kept")

Read = Callable[[], Awaitable[Sequence[MonthOfLaunches]]]


class LaunchTimesPage:
    def __init__(self, read: Read, *, fresh_s: float = _FRESH_S) -> None:
        """Set up the page. `read` returns the months to show, the newest first."""
        self._read = read
        self._fresh_s = fresh_s
        self._lock = asyncio.Lock()
        self._months: Sequence[MonthOfLaunches] = ()
        self._read_at = float("-inf")

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the page and its data."""
        return [
            Route("/launch-times", self.answer_page, methods=["GET"]),
            Route("/launch-times.json", self.answer_json, methods=["GET"]),
        ]

    async def answer_json(self, _: Request) -> Response:
        """Answer with the months as JSON, under the names of the GraphQL API."""
        try:
            months = await self._current()
        except GatewayError as error:
            return error_response(error)
        return json_answer({"launchTimes": [_as_json(month) for month in months]}, headers=_JSON_HEADERS)

    async def answer_page(self, _: Request) -> Response:
        """Answer with the months as a table."""
        try:
            months = await self._current()
        except GatewayError as error:
            return error_response(error)
        return Response(_page(months), media_type="text/html", headers=_PAGE_HEADERS)

    async def _current(self) -> Sequence[MonthOfLaunches]:
        async with self._lock:
            if monotonic() - self._read_at >= self._fresh_s:
                self._months = await self._read()
                self._read_at = monotonic()
        return self._months


def this_quarter(now: datetime | None = None) -> datetime:
    """Return the start of the month before the last one, UTC: what is shown begins there."""
    first = (now or datetime.now(UTC)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    months = first.year * 12 + first.month - 1 - 2
    return first.replace(year=months // 12, month=months % 12 + 1)


def _as_json(month: MonthOfLaunches) -> dict[str, Any]:
    return {
        "month": month.month.isoformat(),
        "provider": month.provider,
        "siteKey": month.site_id,
        "warm": month.warm,
        "launches": month.launches,
        "medianSeconds": month.median_seconds,
        "p90Seconds": month.p90_seconds,
        "promises": month.promises,
        "keptShare": month.kept_share,
    }


def _page(months: Sequence[MonthOfLaunches]) -> str:
    rows = "".join(_row(month) for month in months)
    head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    table = (
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if months else "<p>No launches yet.</p>"
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Launch times</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><h1>Launch times</h1>'
        "<p>How long launches took from the request until the game could be started, and how many of them were "
        f"playable within the time that was promised for nine of ten.</p>{table}</body></html>\n"
    )


def _row(month: MonthOfLaunches) -> str:
    kept = "none promised" if month.kept_share is None else f"{month.kept_share:.1%} of {month.promises}"
    return _cells(
        (
            f"{month.month:%Y-%m}",
            str(month.provider),
            month.site_id,
            "ready before" if month.warm else "new",
            str(month.launches),
            f"{month.median_seconds:.0f} s",
            f"{month.p90_seconds:.0f} s",
            kept,
        )
    )


def _cells(texts: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in texts) + "</tr>"
