"""Checks of what the service keeps its state in: the database and Temporal."""

from __future__ import annotations

from typing import Final

from composition.checks.clients import DATABASE_S, open_database, open_tensordock
from composition.checks.outcome import EMBEDDED, CheckFailedError, CheckSkippedError
from composition.dependencies import engine_address
from composition.identity import describe_difference, identity_of
from composition.providers import secret_text
from launch.temporal_client import connect
from models.database_probe import inspect
from models.deployment import Identity, compare
from models.registry import DOCUMENTS
from models.write_probe import WriteProbe
from settings import Settings

_CLOCK_S: Final = 5.0


async def check_database(settings: Settings) -> str:
    """Check the database's clock, owner and indexes, and that it accepts writes."""
    uri = secret_text(settings.mongodb_atlas_uri)
    if uri is None:
        raise CheckSkippedError(EMBEDDED)
    found = await inspect(uri, settings.mongodb_database, DOCUMENTS, timeout_s=DATABASE_S)
    if abs(found.clock_ahead_s) > _CLOCK_S:
        raise CheckFailedError(
            f"MONGODB_ATLAS_URI: the database's clock and this machine's differ by {abs(found.clock_ahead_s):.0f} "
            "seconds; usage is metered by this machine's clock. Start its time synchronization (NTP)"
        )
    async with open_database(settings, uri) as db:
        difference = await compare(db, await _identity(settings))
        if difference is not None:
            raise CheckFailedError(describe_difference(difference, settings, embedded=False))
        if not await WriteProbe(db).check():
            raise CheckFailedError(
                f"MONGODB_ATLAS_URI: the database {settings.mongodb_database} does not accept writes from this user. "
                "Give the user the role readWrite on it"
            )
    count = len(found.missing_indexes)
    indexes = f"{count} indexes are made at the next start" if count else "all indexes are there"
    return f"reads and writes {settings.mongodb_database}; {indexes}"


async def _identity(settings: Settings) -> Identity:
    async with open_tensordock(settings) as tensordock:
        return await identity_of(settings, tensordock.account)


async def check_temporal(settings: Settings) -> str:
    """Connect to Temporal's namespace."""
    if settings.temporal_address is None:
        raise CheckSkippedError(EMBEDDED)
    await connect(engine_address(settings))
    return f"{settings.temporal_address}, namespace {settings.temporal_namespace}"
