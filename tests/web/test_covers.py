from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from streaming.covers import Covers
from tests.gateway import ANN, listening, token, web_gateway
from tests.saves_shelf import Shelf, account, shelf
from web.app import create_app
from web.health import Readiness

__all__ = ["account", "shelf"]


@pytest.fixture
async def address(shelf: Shelf) -> AsyncIterator[str]:
    """A gateway whose bucket has a cover of one game."""
    shelf.store.write("games", "covers/snes/zelda.png", b"a picture")
    shelf.gateway.services = replace(shelf.gateway.services, covers=Covers(shelf.bucket))
    async with listening(create_app(web_gateway(shelf.gateway), Readiness())) as served:
        yield f"http://{served}/"


async def test_the_address_of_a_cover_is_in_the_list_of_games_and_leads_to_the_picture(
    shelf: Shelf, address: str
) -> None:
    games = (await shelf.gateway.data("Games", ANN, console="SNES"))["games"]["edges"]
    urls = {edge["node"]["gameId"]: edge["node"]["coverUrl"] for edge in games}
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token(ANN)}"}) as session,
        session.get(address + urls["zelda"]) as answer,
    ):
        assert (answer.status, answer.content_type, await answer.read()) == (200, "image/png", b"a picture")
        assert answer.headers["cache-control"] == "private, max-age=2592000, immutable"

    assert urls["zelda"].startswith("covers/SNES/zelda?v=")
    assert urls["metroid"] is None


@pytest.mark.parametrize("path", ["covers/SNES/metroid", "covers/SNES/unknown", "covers/XBOX/zelda", "covers/GB/zelda"])
async def test_what_has_no_cover_is_not_found(address: str, path: str) -> None:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token(ANN)}"}) as session,
        session.get(address + path) as answer,
    ):
        assert (answer.status, (await answer.json())["errors"][0]["extensions"]["code"]) == (404, "NOT_FOUND")


async def test_a_cover_needs_credentials(address: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{address}covers/SNES/zelda") as answer:
        assert answer.status == 401
