"""Explains why a MongoDB cannot be used, in one line with the variable, the cause and an example.

It makes one request with its own client: the driver reports an unknown host, a wrong password and a refused connection
through errors of three kinds, some of them only on a client's first call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from odmantic import Model
from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError

from errors import UnusableError
from models.indexes import missing, of_model

_EXAMPLE: Final = "Example: MONGODB_ATLAS_URI=mongodb+srv://user:password@cluster.example.net/gamer"
_COLLECTION: Final = "deployment"  # it is read at every start
_CODES: Final = {
    13: "does not allow this user to read the database",
    18: "rejects the user or the password",
    8000: "rejects the user or the password",  # Atlas's own code
}
_NO_HOST: Final = "cannot be found: DNS does not respond, or does not know the name"
_NO_TLS: Final = "fails the TLS handshake; Atlas also does so for an address that is not in its access list"
_WORDS: Final = (
    *((words, _NO_HOST) for words in ("name or service not known", "nodename nor", "no address", "getaddrinfo")),
    *((words, _NO_TLS) for words in ("ssl", "tls", "certificate")),
    *((words, "refuses the connection") for words in ("connection refused", "connect call failed")),
)


async def check_address(uri: str, database: str, timeout_s: float = 5.0) -> None:
    """Raise UnusableError with the reason if the database does not respond to a read."""
    async with _client(uri, timeout_s) as client:
        await client[database][_COLLECTION].find_one({}, {"_id": 1})


@asynccontextmanager
async def _client(uri: str, timeout_s: float) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
    """Open a separate client. Raises UnusableError with the reason if the body fails."""
    milliseconds = int(timeout_s * 1000)
    try:
        async with asyncio.timeout(3 * timeout_s):  # DNS is queried twice
            async with AsyncMongoClient[dict[str, Any]](
                uri,
                timeoutMS=milliseconds,
                serverSelectionTimeoutMS=milliseconds,
                connectTimeoutMS=milliseconds,
            ) as client:
                yield client
    except (PyMongoError, OSError, TimeoutError) as error:
        fault = f"MONGODB_ATLAS_URI: {hosts_in(uri)} {_cause(error)}. {_EXAMPLE}"
        raise UnusableError("the database does not respond", fault) from None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a look at a database found. `clock_ahead_s`: how much its clock is ahead of ours, negative if behind."""

    clock_ahead_s: float
    missing_indexes: tuple[str, ...]


async def inspect(uri: str, database: str, models: Sequence[type[Model]], timeout_s: float = 5.0) -> Inspection:
    """Look at the server's clock and at the indexes, without writing. Raises UnusableError, as `check_address` does."""
    async with _client(uri, timeout_s) as client:
        said = await client.admin.command("hello")
        ahead = said["localTime"].replace(tzinfo=UTC) - datetime.now(UTC)
        lacking = [
            await missing(client[database][model.__collection__], of_model(model))  # one after another: few, and small
            for model in models
        ]
    return Inspection(ahead.total_seconds(), tuple(name for names in lacking for name in names))


def hosts_in(uri: str) -> str:
    """Return the hosts of an address, without the user and password in front of them."""
    authority = uri.partition("://")[2].partition("/")[0].partition("?")[0]
    return authority.rpartition("@")[2][:100]


def _cause(error: Exception) -> str:
    if isinstance(error, OperationFailure):
        return _CODES.get(error.code or 0, f"refuses reads (code {error.code})")
    if isinstance(error, ConfigurationError):
        return _NO_HOST
    said = str(error).lower()
    return next((cause for words, cause in _WORDS if words in said), "does not respond")
