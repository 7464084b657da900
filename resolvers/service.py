"""The caller, the service and its clouds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from auth.authorization import require
from auth.callers import Caller
from models.orphans import Sweep
from providers.base import ProviderHealth, ProviderName
from resolvers.context import Context

SERVICE_NAME: Final = "provisioner-api"
_NOT_CONFIGURED: Final = ProviderHealth(configured=False, healthy=False, simulated=False, detail="not configured")


@dataclass(frozen=True, slots=True)
class ProviderState:
    name: ProviderName
    health: ProviderHealth


def viewer(context: Context) -> Caller:
    """Return the caller."""
    require(context.caller, "Query.viewer")
    return context.caller


def version(context: Context) -> str:
    """Return the version of the service."""
    require(context.caller, "Query.service")
    return context.services.version


async def sweeps(context: Context) -> list[Sweep]:
    """Return when the sweeper last read each cloud."""
    require(context.caller, "Query.sweeps")
    found, _ = await context.services.db.find_readable(Sweep, {})
    return sorted(found, key=lambda sweep: sweep.id)


async def providers(context: Context) -> list[ProviderState]:
    """Return the state of every cloud, configured or not. All clouds are queried at once."""
    require(context.caller, "Query.providers")
    configured = context.services.registry.all()
    found = dict(
        zip([p.name for p in configured], await asyncio.gather(*(p.health() for p in configured)), strict=True)
    )
    return [ProviderState(name, found.get(name, _NOT_CONFIGURED)) for name in ProviderName]
