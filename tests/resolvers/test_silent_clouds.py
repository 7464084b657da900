"""A cloud or a library that hangs holds up no answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from billing.limits import SpendingLimits
from launch.service import LaunchService
from providers.storage.bucket import StoredObject
from streaming.library import Library, PromptLibrary
from tests.gateway import DALLAS, GatewayWorld

PLACEMENTS = "{ placements(console: SNES) { hourlyPrice } }"
CLOSEST = "query($from: CoordinatesInput!) { closestHostnodes(from: $from, console: SNES) { hourlyPrice } }"
GAMES = "{ games { edges { node { gameId } } } }"
LAUNCH = """mutation($game: String!) { launchGame(input: {console: SNES, gameId: $game}) {
  launch { status } errors { code message } } }"""


class HangingBucket:
    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.answers.set()

    async def list(self, prefix: str) -> list[StoredObject]:
        await self.answers.wait()
        return [StoredObject(f"{prefix}zelda.sfc", 1, 1)] if "snes" in prefix else []


@pytest.fixture
async def silent(gateway: GatewayWorld) -> AsyncIterator[tuple[GatewayWorld, HangingBucket]]:
    """A gateway as it is composed, with less patience, that knows stock and games; then both fall silent."""
    bucket = HangingBucket()
    library = PromptLibrary(Library(bucket, keep_s=0), patience_s=0.3)  # type: ignore[arg-type]
    services = gateway.services
    placements = services.placements.with_patience(0.3)
    launches = LaunchService(
        gateway.db, gateway.engine, services.registry, placements, library, SpendingLimits(gateway.db)
    )
    gateway.services = replace(services, placements=placements, library=library, launches=launches)
    yield gateway, bucket
    await placements.close()
    await library.close()


Silent = tuple[GatewayWorld, HangingBucket]


async def asked(gateway: GatewayWorld, document: str, **variables: Any) -> dict[str, Any]:
    return await asyncio.wait_for(gateway.ask(document, **variables), 10)


@pytest.mark.parametrize(("document", "source"), [(PLACEMENTS, "TENSORDOCK"), (CLOSEST, "TENSORDOCK")])
async def test_placements_show_the_last_known_stock_and_its_age(silent: Silent, document: str, source: str) -> None:
    gateway, _ = silent
    variables = {"from": DALLAS} if document is CLOSEST else {}
    fresh = await asked(gateway, document, **variables)
    gateway.cloud.hold("sites")

    stale = await asked(gateway, document, **variables)

    assert stale["data"] == fresh["data"]
    assert "stale" not in fresh["extensions"]
    (note,) = stale["extensions"]["stale"]
    assert (note["source"], 0.3 <= note["ageSeconds"] < 60) == (source, True)
    gateway.cloud.let_go("sites")


async def test_games_show_the_last_known_library_and_its_age(silent: Silent) -> None:
    gateway, bucket = silent
    fresh = await asked(gateway, GAMES)
    bucket.answers.clear()

    stale = await asked(gateway, GAMES)

    assert stale["data"] == fresh["data"]
    assert [one["source"] for one in stale["extensions"]["stale"]] == ["the game library"]


@pytest.mark.parametrize("known", [True, False], ids=["with last known data", "from the start"])
@pytest.mark.parametrize("game", ["zelda", "added-since"])
async def test_a_launch_is_queued_while_stock_and_library_are_unknown(silent: Silent, known: bool, game: str) -> None:
    gateway, bucket = silent
    if known:
        await asked(gateway, PLACEMENTS)
        await asked(gateway, GAMES)
    gateway.cloud.hold("sites")
    bucket.answers.clear()

    answer = await asked(gateway, LAUNCH, game=game)

    assert answer["data"]["launchGame"] == {"launch": {"status": "QUEUED"}, "errors": []}
    assert len(gateway.engine.started) == 1
    gateway.cloud.let_go("sites")


async def test_a_game_that_a_fresh_list_lacks_is_still_refused(silent: Silent) -> None:
    gateway, _ = silent

    answer = await asked(gateway, LAUNCH, game="added-since")

    (error,) = answer["data"]["launchGame"]["errors"]
    assert error["code"] == "NOT_FOUND"
    assert gateway.engine.started == []
