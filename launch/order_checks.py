"""Checks of an order that only other systems can answer: whether the game, the machine and the cloud exist."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from errors import (
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    ProviderDownError,
    ProviderError,
    ProviderSilentError,
    StockUnknownError,
    UnavailableError,
)
from launch.orders import LaunchOrder
from models.catalog import Console
from models.database import Database, Document
from models.vms import Vm, VmStatus
from placement.ranking import Placements
from placement.reasons import price_words
from providers.last_known import collect_stale
from providers.registry import Registry

if TYPE_CHECKING:
    from launch.game_source import Games

_STOCK_PATIENCE_S: Final = 2.0


class OrderChecks:
    def __init__(self, db: Database, registry: Registry, placements: Placements, games: Games) -> None:
        self._db = db
        self._registry = registry
        self._placements = placements
        self._games = games

    async def check(self, order: LaunchOrder, wanted: Console) -> None:
        """Raise a RefusedError with the `path` of the input field.

        Raises UnavailableError if the game library does not respond.
        """
        await self.check_game_and_cloud(order, wanted)
        if order.vm_id is not None:
            await self._check_vm(order)
        elif not await self._has_machine(order):
            await self._check_stock(order, wanted)

    async def check_game_and_cloud(self, order: LaunchOrder, wanted: Console) -> None:
        """Raise what `check` does about the game and the cloud, which later launches need too."""
        if order.provider is not None and not self._registry.is_configured(order.provider):
            raise ProviderDownError(f"{order.provider} is not configured", order.provider, ("provider",))
        enabled = {preference.provider for preference in wanted.providers if preference.enabled}
        if order.provider is not None and order.provider not in enabled:
            raise ProviderDownError(f"{order.provider} is disabled for {wanted.name}", order.provider, ("provider",))
        if order.game_id is not None:
            await self._check_game(order, wanted)

    async def _check_game(self, order: LaunchOrder, wanted: Console) -> None:
        assert order.game_id is not None
        try:
            known = await self._games.find(order.console, order.game_id)
        except ProviderSilentError:
            return  # the launch checks again, and for longer
        except ProviderError as error:
            raise UnavailableError("the game library does not respond") from error
        if known is None:
            raise NotFoundError(f"there is no game {order.game_id} for {wanted.name} in the library", ("gameId",))

    async def _has_machine(self, order: LaunchOrder) -> bool:
        """Return whether the launch will use a machine that is already running."""
        running: Document = {"user_id": order.user_id, "status": VmStatus.RUNNING, "console": order.console}
        if order.max_usd_per_hour is not None:
            running["usd_per_hour"] = {"$lte": order.max_usd_per_hour}
        return order.game_id is not None and await self._db.count(Vm, running) > 0

    async def _check_stock(self, order: LaunchOrder, wanted: Console) -> None:
        """Check whether anything could be rented now.

        A slow cloud does not delay the response: the launch itself asks again, and for longer.
        """
        try:
            with collect_stale() as stale:
                async with asyncio.timeout(_STOCK_PATIENCE_S):
                    ranked = await self._placements.rank(
                        wanted, order.near, provider=order.provider, max_usd_per_hour=order.max_usd_per_hour, limit=1
                    )
                    if not ranked and not stale:
                        raise await self._placements.explain_empty(
                            wanted, provider=order.provider, max_usd_per_hour=order.max_usd_per_hour
                        )
        except (TimeoutError, StockUnknownError):
            return

    async def _check_vm(self, order: LaunchOrder) -> None:
        vm = await self._db.get(Vm, order.vm_id)
        if vm is None or vm.user_id != order.user_id:
            raise NotFoundError("there is no such VM", ("vmId",))
        if vm.console is not order.console:
            raise InvalidInputError(f"this machine was set up for {vm.console}", ("vmId",))
        if vm.status is not VmStatus.RUNNING:
            raise InvalidStateError(f"the machine is {vm.status}, not RUNNING", vm.status, ("vmId",))
        if order.max_usd_per_hour is not None and vm.usd_per_hour > order.max_usd_per_hour:
            raise InvalidInputError(
                f"this machine costs {price_words(vm.usd_per_hour)}; maxHourlyPrice allows "
                f"{price_words(order.max_usd_per_hour)}",
                ("maxHourlyPrice",),
            )
