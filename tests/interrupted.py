"""Parts of a service whose answers are interrupted: something they share was cancelled by someone else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from billing.alerts import AlertFeed
from models.catalog import ConsoleType
from models.limits import SpendingAlert
from streaming.library import Game
from tests.gateway import ShelfOfGames


class InterruptedShelf(ShelfOfGames):
    async def games(self, console: ConsoleType | None = None) -> list[Game]:
        games: list[Game] = await interrupted()
        return games


class InterruptedFeed(AlertFeed):
    async def follow(self, user_id: str | None) -> AsyncGenerator[SpendingAlert, None]:
        for alert in await interrupted():
            yield alert


async def interrupted() -> Any:
    raise asyncio.CancelledError
