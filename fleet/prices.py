"""Compares a provider's price of a machine with the offer, and handles differences."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final

from billing.meter import Meter
from errors import MachineLostError
from models.database import Database
from models.launches import Launch
from models.vms import Vm
from placement.reasons import price_words
from placement.unavailable_sites import FullSites
from providers.base import Machine, SiteId

_ROUNDED_TO: Final = -2  # decimal places: a price with fewer may be anything
_NOTICEABLE: Final = Decimal("1.01")  # times the offered price


class ProviderPrices:
    def __init__(self, db: Database, meter: Meter) -> None:
        self._db = db
        self._meter = meter
        self._full_sites = FullSites(db)

    async def follow(self, vm: Vm, machine: Machine, since: datetime) -> Vm:
        """Record the provider's price and apply it to the meter from `since` on.

        A provider that does not report it changes nothing.
        """
        told = provider_price(machine, vm.usd_per_hour)
        if told is None:
            return vm
        if told != vm.usd_per_hour:
            offered = vm.usd_per_hour_offered or vm.usd_per_hour
            warning = await self._warning(vm, told, offered)
            changes = {"usd_per_hour": told, "usd_per_hour_offered": offered, "price_warning": warning}
            vm = await self._db.update(Vm, {"_id": vm.id}, {"$set": changes}) or vm
        await self._meter.reprice(vm, since)
        return vm

    async def require_cap(self, vm: Vm) -> None:
        """Raise MachineLostError if the machine costs more than its launch allows.

        The launch then releases it and tries the next placement; all processes skip this site.
        """
        cap = await self._cap(vm)
        if cap is None or vm.usd_per_hour <= cap:
            return
        reason = f"it costs {price_words(vm.usd_per_hour)}, and the launch allows {price_words(cap)}"
        await self._full_sites.mark_full(vm.provider, SiteId(vm.place.site_id), reason)
        raise MachineLostError(reason)

    async def _warning(self, vm: Vm, told: Decimal, offered: Decimal) -> str | None:
        cap = await self._cap(vm)
        if cap is not None and told > cap:
            return f"The machine costs {price_words(told)}, more than the {price_words(cap)} that was allowed"
        if told > offered * _NOTICEABLE:
            return f"The machine costs {price_words(told)}; {price_words(offered)} was offered"
        return None

    async def _cap(self, vm: Vm) -> Decimal | None:
        launch = await self._db.get(Launch, vm.launch_id)
        return None if launch is None else launch.max_usd_per_hour


def provider_price(machine: Machine, known: Decimal) -> Decimal | None:
    """Return the provider's price, or None if it does not report one.

    A rounded form of the known price counts as the known price.
    """
    told = machine.usd_per_hour
    if told is None or not told.is_finite() or told <= 0:
        return None
    exponent = told.as_tuple().exponent
    rounds = isinstance(exponent, int) and exponent <= _ROUNDED_TO
    half = Decimal((0, (5,), exponent - 1)) if isinstance(exponent, int) else Decimal(0)
    return known if rounds and abs(told - known) <= half else told
