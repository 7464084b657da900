"""The console as people use it: in a browser in which no name outside this machine resolves."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fleet.pairing_service import PairingService
from models.launches import Launch, LaunchStatus
from models.vms import VmStatus
from placement.geocoding import Geocoder
from placement.measured_rtt import RttProbe
from placement.ranking import Placements
from providers.base import ProviderName, SiteId
from simulator.probes import Probes
from streaming.covers import Covers
from tests.gateway import ANN, GatewayWorld, listening, token, web_gateway
from tests.saves_shelf import MONDAY, ON_M1, ON_M2, Shelf, account, shelf
from tests.web.chromium import EXECUTABLE, Page, open_page
from tests.web.cut_line import CutLine, line_to
from tests.world import World, world
from web.app import create_app
from web.health import Readiness

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        EXECUTABLE is None, reason="the console was NOT tried in a browser: no Chromium; `apt-get install chromium`"
    ),
]

__all__ = ["account", "shelf", "world"]

A_PICTURE: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
# Answers the first request for a cover with the status of a service that is busy.
ONE_COVER_LATER: Final = """{
    const ask = window.fetch;
    window.fetch = async (address, options) => {
        if (window.unavailable || !String(address).includes('zelda')) return ask(address, options);
        window.unavailable = true;
        return new Response('', {status: 503});
    };
}"""
STATUS: Final = "document.querySelector('[data-status]')?.dataset.status"
STEPS: Final = "[...document.querySelectorAll('.steps li')].map(step => step.dataset.status)"
PLACES: Final = "[...document.querySelectorAll('.placements > li')].map(place => place.innerText)"
SEQUENCES: Final = "[...document.querySelectorAll('[data-sequence]')].map(line => Number(line.dataset.sequence))"


async def sign_in(page: Page) -> None:
    await page.until("document.querySelector('#credential')")
    await page.write("#credential", token(ANN, lasting_s=600))
    await page.click(".sign-in button")


async def press(page: Page, label: str, within: str = "body") -> None:
    """Click on the button or link of this name, once it is there and can be used."""
    named = f"""[...document.querySelectorAll({json.dumps(within)} + ' :is(button, a, summary)')]
        .find(one => one.innerText.trim() === {json.dumps(label)} && !one.disabled)"""
    await page.until(named)
    await page.evaluate(f"({named}).click()")


@dataclass
class Opened:
    """A browser with the console, and the world behind it. The line between both can be cut."""

    page: Page
    world: World
    line: CutLine

    async def launch_near_dallas(self) -> None:
        """Choose a game and a place, and launch the game."""
        await press(self.page, "Nintendo Switch\nmenu only")
        await press(self.page, "Mario Odyssey")
        await self.page.write(".degrees label:nth-child(1) input", "32.78")
        await self.page.write(".degrees label:nth-child(2) input", "-96.8")
        await self.page.evaluate("document.activeElement.blur()")
        await self.page.until("document.querySelector('.placements li')?.innerText.includes('Dallas')")
        await self.page.until("/\\$[0-9.]+/.test(document.querySelector('.evening')?.innerText)")
        await press(self.page, "Launch Mario Odyssey")
        await self.page.until(f"{STATUS} === 'RUNNING'")


@pytest.fixture
async def saves(shelf: Shelf, tmp_path: Path) -> AsyncIterator[tuple[Page, Shelf]]:
    """A browser that shows ann's saves of the Game Boy."""
    app = create_app(web_gateway(shelf.gateway), Readiness())
    async with listening(app) as address, open_page(f"http://{address}/console#/saves?console=GB", tmp_path) as page:
        await sign_in(page)
        yield page, shelf
        (tmp_path / "page.png").write_bytes(await page.picture())


@pytest.fixture
async def opened(gateway: GatewayWorld, world: World, tmp_path: Path) -> AsyncIterator[Opened]:
    gateway.services = replace(
        gateway.services,
        registry=world.registry,
        placements=Placements(world.db, world.registry, Geocoder(world.db, online=False)),
        launches=world.launches,
        fleet=world.fleet,
        pairings=PairingService(world.db, world.engine),
    )
    app = create_app(web_gateway(gateway), Readiness())
    async with (
        listening(app) as address,
        line_to(address) as line,
        open_page(f"http://{line.address}/", tmp_path / "profile") as page,
    ):
        yield Opened(page, world, line)
        (tmp_path / "page.png").write_bytes(await page.picture())  # to look at: pytest keeps the last runs' folders


@asynccontextmanager
async def probes(**delays_ms: float) -> AsyncIterator[list[RttProbe]]:
    """Endpoints of the simulator for TensorDock's sites, with these delays."""
    simulated, app = Probes(), web.Application()
    simulated.add_routes(app.router, "/_control")
    simulated.delays_ms = delays_ms
    async with TestServer(app) as server:
        urls = {SiteId(site): str(server.make_url(f"/ping/{site}")) for site in delays_ms}
        yield [RttProbe((ProviderName.TENSORDOCK, site), url) for site, url in urls.items()]


async def the_launch(world: World) -> Launch:
    (launch,) = await world.db.find(Launch, {}, sort=[("_id", 1)])
    return launch


async def test_a_player_launches_a_game_and_follows_it_over_a_full_site_and_a_lost_network(opened: Opened) -> None:
    page, world = opened.page, opened.world
    world.cloud.full.add(SiteId("dallas"))
    installing = world.streaming.hold("install")

    await sign_in(page)
    await opened.launch_near_dallas()
    await installing.wait()
    await page.until("document.querySelectorAll('.attempts li').length === 2")
    await page.until("document.querySelector('[data-step=INSTALL_STREAMING]').dataset.status === 'RUNNING'")
    opened.line.cut()
    await page.until("!document.querySelector('.lost').hidden")
    world.streaming.release_gate("install")
    launch = await world.until_over(await the_launch(world))
    opened.line.mend()
    await page.until(f"{STATUS} === 'READY'")

    told = [event.sequence for event in await world.events(launch)]
    await page.until(f"{SEQUENCES}.includes({told[-1]})")
    assert await page.evaluate(SEQUENCES) == told
    assert await page.evaluate(STEPS) == ["DONE"] * 9
    assert launch.user_id == "ann"
    await page.until("document.querySelector('.address code')?.innerText === '127.0.0.1'")
    await page.until("document.querySelector('.lost').hidden")
    await press(page, "Get a PIN")
    await page.until("/^[0-9]{4}$/.test(document.querySelector('.pin')?.innerText)")
    assert await page.evaluate("document.querySelector('.qr').decode().then(() => true)")
    assert [url for url in page.requests if opened.line.address not in url] == []
    assert [words for words in page.complaints if "401" not in words and "net::ERR_" not in words] == []


async def test_a_player_cancels_a_launch_and_sees_that_nothing_is_left(opened: Opened) -> None:
    page, world = opened.page, opened.world
    installing = world.streaming.hold("install")
    await sign_in(page)
    await opened.launch_near_dallas()
    await installing.wait()

    await press(page, "Cancel the launch")
    await page.until("document.querySelector('dialog[open]')")
    await press(page, "Cancel it")
    await page.until(f"{STATUS} === 'CANCELLED'")

    launch = await the_launch(world)
    assert launch.status is LaunchStatus.CANCELLED
    assert (await world.vm(launch)).status is VmStatus.DELETED
    assert world.cloud.rented == {}


async def test_a_player_settles_a_conflict_restores_an_older_save_and_takes_a_deletion_back(
    saves: tuple[Page, Shelf],
) -> None:
    page, shelf = saves
    await shelf.upload(MONDAY, b"level 1")
    await shelf.upload(MONDAY + timedelta(hours=1), b"level 2", ON_M2)
    await shelf.conflict(b"level 3", ON_M1)
    await page.reload()

    await page.until("document.querySelectorAll('.choices li').length === 2")
    await press(page, "Keep this version", ".choices li:nth-child(2)")
    await page.until("document.querySelector('.slot') && !document.querySelector('.choices')")
    assert await shelf.current() == b"level 3"

    await press(page, "3 versions")
    await press(page, "Restore", ".versions tr:last-child")
    await press(page, "Restore", "dialog")
    await page.until("document.querySelector('.versions tr:last-child .tag')?.innerText === 'current'")
    assert await shelf.current() == b"level 1"

    await press(page, "Delete", ".slot")
    await press(page, "Delete", "dialog")
    await page.until("!document.querySelector('.slot')")
    assert await shelf.slots() == []
    await press(page, "Bring it back")
    await page.until("document.querySelector('.slot')")
    assert await shelf.current() == b"level 1"
    assert [words for words in page.complaints if "401" not in words] == []


async def test_places_are_ranked_by_the_round_trips_that_the_browser_measures(
    gateway: GatewayWorld, tmp_path: Path
) -> None:
    async with probes(dallas=250, chicago=0) as named:
        gateway.services = replace(gateway.services, rtt_probes=named)
        app = create_app(web_gateway(gateway), Readiness())
        async with (
            listening(app) as address,
            open_page(f"http://{address}/console#/play?console=SWITCH", tmp_path) as page,
        ):
            await sign_in(page)
            await page.until(f"/measured/.test({PLACES}[1])")

            first, second = await page.evaluate(PLACES)
            assert ("Chicago" in first, "Dallas" in second) == (True, True)
            assert 250 <= int(re.findall(r"(\d+) ms round trip, measured", second)[0]) < 1000
            ours = (f"http://{address}/", f"ws://{address}/", *(one.url for one in named))
            assert [url for url in page.requests if not url.startswith(ours)] == []
            assert [words for words in page.complaints if "401" not in words] == []


async def test_games_have_their_covers_and_no_other_host_is_asked_for_them(shelf: Shelf, tmp_path: Path) -> None:
    shelf.store.write("games", "covers/snes/zelda.png", A_PICTURE)
    shelf.gateway.services = replace(shelf.gateway.services, covers=Covers(shelf.bucket))
    app = create_app(web_gateway(shelf.gateway), Readiness())
    async with (
        listening(app) as address,
        open_page(f"http://{address}/console#/play?console=SNES", tmp_path) as page,
    ):
        await page.evaluate(ONE_COVER_LATER)
        await sign_in(page)
        await page.until("window.unavailable")
        await page.evaluate("location.hash = '#/saves'")
        await page.until("!document.querySelector('.cover')")
        await page.evaluate("location.hash = '#/play?console=SNES'")
        await page.until("document.querySelector('.cover img')?.complete")

        shown = "[...document.querySelectorAll('.games li')].map(game => [game.innerText, !!game.querySelector('img')])"
        assert await page.evaluate(shown) == [["Metroid", False], ["Zelda", True]]
        assert await page.evaluate("document.querySelector('.cover img').naturalWidth") == 1
        assert [url for url in page.requests if address not in url] == []
        assert [words for words in page.complaints if "401" not in words] == []
