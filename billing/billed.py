"""What the providers say they charged, in the same shape as what we metered, and the two side by side."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from billing.amounts import EXACT, Cell, usd_ms_of
from billing.grid import Grid
from billing.reports import Report, Reports, report_of
from billing.windows import Granularity, Window
from models.billed import BilledAmount, BilledState
from models.database import Database, Document
from models.rollups import RollupKind
from models.vms import Vm
from providers.base import ProviderName

UNATTRIBUTED: Final = "UNATTRIBUTED"  # the provider does not say whom or what it charged this for
_NOTHING: Final = Decimal(0)
_FIELDS: Final = {RollupKind.PROVIDER: "provider", RollupKind.CONSOLE: "console", RollupKind.USER: "user_id"}
_UNITS: Final = {Granularity.HOUR: "hour", Granularity.DAY: "day", Granularity.MONTH: "month"}


@dataclass(frozen=True, slots=True)
class Compared:
    """One day: a provider as a whole for `vm_id` of None, else one VM. `billed_usd` of None: the provider says
    nothing about this."""

    day: datetime
    provider: ProviderName
    vm_id: str | None
    metered_usd: Decimal
    billed_usd: Decimal | None

    @property
    def difference_usd(self) -> Decimal | None:
        return None if self.billed_usd is None else EXACT.subtract(self.billed_usd, self.metered_usd)


class Billed:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def report(
        self,
        window: Window,
        granularity: Granularity = Granularity.DAY,
        group_by: RollupKind = RollupKind.PROVIDER,
        *,
        user_id: str | None = None,
    ) -> Report:
        """Without hours of running and without a forecast: no provider tells. `as_of` is how far all of them go that
        have said anything. For one user only what a provider charged for its VMs."""
        grid = Grid(window.buckets(granularity))
        for row in await self._sums(window, granularity, _FIELDS.get(group_by, "vm_id"), user_id):
            moment, group = max(row["_id"]["at"], window.start), row["_id"]["group"]
            grid.add(moment, group or UNATTRIBUTED, Cell(usd_ms_of(row["usd"].to_decimal())))
        return report_of(window, grid, None, await self.as_of())

    async def as_of(self) -> datetime | None:
        states = await self._db.find(BilledState, {})
        return min((state.as_of for state in states), default=None)

    async def compared(self, window: Window) -> list[Compared]:
        """Day by day: each provider as a whole, then its VMs."""
        telling = {state.id for state in await self._db.find(BilledState, {})}
        now = datetime.now(UTC)  # one for all, so that the VMs add up to their provider
        rows = [*await self._by_provider(window, telling, now), *await self._by_vm(window, now)]
        return sorted(rows, key=lambda row: (row.day, row.provider, row.vm_id or ""))

    async def _by_provider(self, window: Window, telling: set[ProviderName], now: datetime) -> list[Compared]:
        metered, billed = _lines(await Reports(self._db).report(window, now=now)), _lines(await self.report(window))
        return [
            Compared(
                day,
                ProviderName(name),
                None,
                metered.get((day, name), _NOTHING),
                billed.get((day, name), _NOTHING) if ProviderName(name) in telling else None,
            )
            for day, name in metered.keys() | billed.keys()
        ]

    async def _by_vm(self, window: Window, now: datetime) -> list[Compared]:
        metered = _lines(await Reports(self._db).report(window, group_by=RollupKind.VM, now=now))
        billed = _lines(await self.report(window, group_by=RollupKind.VM))
        keys = {key for key in metered.keys() | billed.keys() if key[1] != UNATTRIBUTED}
        vms = {vm.id: vm for vm in await self._db.get_many(Vm, {vm_id for _, vm_id in keys})}
        return [
            Compared(day, vms[vm_id].provider, vm_id, metered.get((day, vm_id), _NOTHING), billed.get((day, vm_id)))
            for day, vm_id in keys
            if vm_id in vms
        ]

    async def _sums(self, window: Window, granularity: Granularity, field: str, user_id: str | None) -> list[Document]:
        """Added up by the database."""
        match: Document = {"at": {"$gte": window.start, "$lt": window.end}}
        if user_id is not None:
            match = {"user_id": user_id, **match}
        bucket = {"$dateTrunc": {"date": "$at", "unit": _UNITS[granularity]}}
        group = {"_id": {"at": bucket, "group": f"${field}"}, "usd": {"$sum": "$usd"}}
        return await self._db.aggregate(BilledAmount, [{"$match": match}, {"$group": group}])


def _lines(report: Report) -> dict[tuple[datetime, str], Decimal]:
    return {(bucket.window.start, line.group): line.usd for bucket in report.buckets for line in bucket.lines}
