"""Commands that run once, beside a service: they share its settings, and claim its database."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from billing.rollups import Rollups
from composition.dependencies import Dependencies, compose
from composition.embedded_defaults import completed, embedded
from composition.identity import claim_database, identity_of
from composition.providers import secret_text
from embedded.child import EmbeddedError
from errors import MigrationError, UnavailableError, UnusableError
from fleet.sweep_plan import Action
from models.database_probe import check_address
from models.deployment import Identity
from models.registry import DOCUMENTS
from settings import Settings, SettingsError, load_settings
from streaming.addresses import Address

if TYPE_CHECKING:
    from fleet.rescue import RescuedSlot

log = logging.getLogger("server")

_ONE_LINE: Final = (SettingsError, EmbeddedError, UnavailableError, MigrationError)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """End the process with status 2 and a one-line message on an invalid setting or an unavailable dependency."""
    try:
        yield
    except (*_ONE_LINE, BaseExceptionGroup) as error:
        first = _first(error)
        if not isinstance(first, _ONE_LINE):
            raise
        line = first.fault if isinstance(first, UnusableError) else first
        print(line, file=sys.stderr)  # noqa: T201  (output of a command)
        raise SystemExit(2) from None


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def rebuild_rollups(settings: Settings) -> None:
    """Recompute all sums of closed days; reports keep working. Share a running service's embedded services."""
    async with open_claimed(settings) as parts:
        await parts.db.ensure_indexes(DOCUMENTS)
        days = await Rollups(parts.db).rebuild(datetime.now(UTC))
        log.info("sums of closed days recomputed", extra={"days": days})


async def sweep_once(*, dry_run: bool, confirm: bool) -> list[Action]:
    """Run the sweeper once. Next to a running service, share its embedded services."""
    settings = load_settings()
    async with open_claimed(settings) as parts:
        if not dry_run:
            await parts.db.ensure_indexes(DOCUMENTS)
        from composition.worker import sweeper_of  # noqa: PLC0415  (a gateway never loads the worker)

        return await sweeper_of(settings, parts).sweep(dry_run=dry_run, confirm=confirm)


async def adopt_once() -> list[Action]:
    """Create records for machines that the sweeper holds and that have none, and return the outcome of each."""
    settings = load_settings()
    async with open_claimed(settings) as parts:
        await parts.db.ensure_indexes(DOCUMENTS)
        from composition.worker import adoption_of, sweeper_of  # noqa: PLC0415  (a gateway never loads the worker)

        held = await sweeper_of(settings, parts).sweep(dry_run=True)
        return await adoption_of(parts).adopt(held)


async def build_images_once(location: str) -> list[str]:
    """Have the running service make the disk image of a location; return its name at Google, if it was made."""
    from launch.golden_images import BUILD_IMAGES, BuildImagesWorkflow, ImageBuilds  # noqa: PLC0415
    from launch.temporal_client import connect  # noqa: PLC0415  (loads the worker's packages)

    async with open_claimed(load_settings()) as parts:
        address = parts.engine_address
        client = await connect(address)
        return await client.execute_workflow(
            BuildImagesWorkflow.run,
            ImageBuilds((location,)),
            id=f"{BUILD_IMAGES}-{location}-{address.task_queue}",
            task_queue=address.task_queue,
        )


async def rescue_once(address: Address) -> list[RescuedSlot]:
    """Bring the saves that lie on a host into the bucket; return the outcome of each slot."""
    from fleet.rescue import rescue  # noqa: PLC0415  (a gateway never loads asyncssh)

    async with open_claimed(load_settings()) as parts:
        assert parts.streaming is not None, "a rescue reaches a machine"
        return await rescue(parts.db, parts.streaming, address)


@contextlib.asynccontextmanager
async def open_claimed(given: Settings) -> AsyncIterator[Dependencies]:
    """Open the shared objects, and claim the database for this deployment."""
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(embedded(given))
        settings = completed(given, running)
        parts = await stack.enter_async_context(compose(settings))
        await claim_with(parts, settings, given)()
        yield parts


def claim_with(
    parts: Dependencies, settings: Settings, given: Settings, *, adopt: bool = False
) -> Callable[[], Awaitable[None]]:
    """Return a function that claims the database for this deployment. `given` are the settings as they were set."""
    is_embedded = given.mongodb_atlas_uri is None
    known: list[Identity] = []

    async def claim() -> None:
        if not is_embedded:
            await check_address(secret_text(settings.mongodb_atlas_uri) or "", settings.mongodb_database)
        if not known:
            known.append(await identity_of(settings, parts.tensordock_account))
        await claim_database(parts.db, settings, known[0], adopt=adopt, embedded=is_embedded)

    return claim
