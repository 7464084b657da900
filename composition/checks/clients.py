"""Clients that exist for one check: of the database, of TensorDock, of HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from composition.checks.outcome import CHECK_S
from composition.providers import tensordock_options
from models.database import Database
from providers.http import Http
from providers.tensordock.provider import TensorDock
from settings import Settings

DATABASE_S: Final = 3.0


@asynccontextmanager
async def open_database(settings: Settings, uri: str) -> AsyncIterator[Database]:
    """Connect to the database for one check."""
    db = Database(uri, settings.mongodb_database, timeout_s=DATABASE_S)
    try:
        yield db
    finally:
        await db.close()


@asynccontextmanager
async def open_http() -> AsyncIterator[Http]:
    """Open an HTTP client for one check."""
    http = Http(timeout_s=CHECK_S)
    try:
        yield http
    finally:
        await http.close()


@asynccontextmanager
async def open_tensordock(settings: Settings) -> AsyncIterator[TensorDock]:
    """Open a client of TensorDock for one check."""
    async with open_http() as http:
        tensordock = TensorDock(tensordock_options(settings, None), http)
        try:
            yield tensordock
        finally:
            await tensordock.close()
