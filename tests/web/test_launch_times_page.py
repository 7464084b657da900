"""Launch times that a deployment shows to everyone: without credentials, and only if it is switched on."""

from __future__ import annotations

from datetime import UTC, date, datetime

from errors import UnavailableError
from launch.launch_times import MonthOfLaunches
from providers.base import ProviderName
from providers.http import Http
from tests.gateway import GatewayWorld, listening, web_gateway
from web.app import create_app
from web.health import Readiness
from web.launch_times_page import LaunchTimesPage, this_quarter

MONTH = MonthOfLaunches(
    month=date(2026, 11, 1),
    provider=ProviderName.TENSORDOCK,
    site_id="<b>dallas</b>",
    warm=True,
    launches=12,
    median_seconds=58.5,
    p90_seconds=71.0,
    promises=10,
    kept_share=0.9,
)


async def asked(gateway: GatewayWorld, page: LaunchTimesPage | None, *paths: str) -> list[tuple[int, str]]:
    app = create_app(web_gateway(gateway), Readiness({}), routes=() if page is None else page.routes())
    http = Http()
    async with listening(app) as address:
        replies = [await http.get(f"http://{address}{path}") for path in paths]
    await http.close()
    return [(reply.status, reply.body.decode()) for reply in replies]


async def test_the_figures_are_public_as_json_and_as_a_page(gateway: GatewayWorld) -> None:
    reads: list[int] = []

    async def read() -> list[MonthOfLaunches]:
        reads.append(1)
        return [MONTH]

    (status, data), (page_status, page) = await asked(
        gateway, LaunchTimesPage(read), "/launch-times.json", "/launch-times"
    )

    assert (status, page_status, len(reads)) == (200, 200, 1)
    assert data == (
        '{"launchTimes":[{"month":"2026-11-01","provider":"TENSORDOCK","siteKey":"<b>dallas</b>","warm":true,'
        '"launches":12,"medianSeconds":58.5,"p90Seconds":71.0,"promises":10,"keptShare":0.9}]}'
    )
    assert "<td>&lt;b&gt;dallas&lt;/b&gt;</td><td>ready before</td><td>12</td><td>58 s</td><td>71 s</td>" in page
    assert "<td>90.0% of 10</td>" in page


async def test_they_are_not_served_unless_a_deployment_shows_them(gateway: GatewayWorld) -> None:
    answers = await asked(gateway, None, "/launch-times.json", "/launch-times")

    assert [status for status, _ in answers] == [404, 404]


async def test_without_the_database_the_page_says_so(gateway: GatewayWorld) -> None:
    async def read() -> list[MonthOfLaunches]:
        raise UnavailableError("the database does not respond")

    answers = await asked(gateway, LaunchTimesPage(read), "/launch-times.json", "/launch-times")

    assert [status for status, _ in answers] == [503, 503]


def test_three_months_are_shown() -> None:
    assert this_quarter(datetime(2026, 11, 30, 12, tzinfo=UTC)) == datetime(2026, 9, 1, tzinfo=UTC)
    assert this_quarter(datetime(2026, 2, 1, tzinfo=UTC)) == datetime(2025, 12, 1, tzinfo=UTC)
