"""Charges as the providers report them, in the form of metered costs, and a comparison of the two."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from billing.amounts import DAY, EXACT, Cell, usd_ms_of
from billing.report_grid import Grid
from billing.reports import Report, Reports, WarmUsage, report_of
from billing.windows import Granularity, Window
from models.billed import BalanceSample, BilledAmount, BilledState
from models.database import Database, Document
from models.rollups import RollupKind
from models.vms import Vm
from providers.base import ProviderName

UNATTRIBUTED: Final = "UNATTRIBUTED"  # the provider does not attribute this charge
_NOTHING: Final = Decimal(0)
_SOME: Final = 20  # documents of which one can be read
_FIELDS: Final = {RollupKind.PROVIDER: "provider", RollupKind.CONSOLE: "console", RollupKind.USER: "user_id"}
_UNITS: Final = {Granularity.HOUR: "hour", Granularity.DAY: "day", Granularity.MONTH: "month"}


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One day of a provider as a whole (`vm_id` is None), or of one VM.

    `billed_usd` is None if the provider has not reported it.
    """

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
        """Return the charges, without running hours and forecast, which no provider reports.

        `as_of` is the time up to which every provider with charges has reported. The report ends there, because later
        charges are unknown, not zero. For one user it has only charges attributed to the user's VMs.
        """
        as_of = await self.as_of()
        if as_of is None or as_of <= window.start:
            return _nothing_known(window, as_of)
        window = Window(window.start, min(window.end, as_of))
        grid = await asyncio.to_thread(_grid, window, granularity)
        for row in await self._sums(window, granularity, _FIELDS.get(group_by, "vm_id"), user_id):
            moment, group = max(row["_id"]["at"], window.start), row["_id"]["group"]
            grid.add(moment, group or UNATTRIBUTED, Cell(usd_ms_of(row["usd"].to_decimal())))
        return await asyncio.to_thread(report_of, window, grid, None, as_of)

    async def as_of(self) -> datetime | None:
        """Return how far all providers go that have said anything; None when that is unknown of one of them."""
        states, unreadable = await self._db.find_readable(BilledState, {})
        return None if unreadable else min((state.as_of for state in states), default=None)

    async def known_windows(self) -> dict[ProviderName, Window]:
        """Return the window in which each provider has reported: from its first amount to its latest report."""
        found: dict[ProviderName, Window] = {}
        states, _ = await self._db.find_readable(BilledState, {})
        for state in states:
            first = await self._first(state.id)
            found[state.id] = Window(min(first or state.as_of, state.as_of), state.as_of)
        return found

    async def _first(self, provider: ProviderName) -> datetime | None:
        """Return the time of a provider's first report: a balance sample, or an exported hour."""
        of_provider: Document = {"provider": provider}
        samples, _ = await self._db.find_readable(BalanceSample, of_provider, sort=[("at", 1)], limit=_SOME)
        amounts, _ = await self._db.find_readable(BilledAmount, of_provider, sort=[("at", 1)], limit=_SOME)
        return min([*(each.at for each in samples), *(each.at for each in amounts)], default=None)

    async def compare(self, window: Window) -> list[ComparisonRow]:
        """Compare by day: each provider as a whole, then its VMs."""
        known = await self.known_windows()
        now = datetime.now(UTC)  # one time for all, so that the VMs add up to their provider
        rows = [*await self._by_provider(window, known, now), *await self._by_vm(window, now)]
        return sorted(rows, key=lambda row: (row.day, row.provider, row.vm_id or ""))

    async def _by_provider(
        self, window: Window, known: Mapping[ProviderName, Window], now: datetime
    ) -> list[ComparisonRow]:
        metered = _lines(await Reports(self._db).report(window, now=now, warm=WarmUsage.BY_PROVIDER))
        billed = await self._by_day(window, "provider")
        return [
            ComparisonRow(
                day,
                ProviderName(name),
                None,
                metered.get((day, name), _NOTHING),
                _known_amount(billed.get((day, name)), day, known.get(ProviderName(name))),
            )
            for day, name in metered.keys() | billed.keys()
        ]

    async def _by_vm(self, window: Window, now: datetime) -> list[ComparisonRow]:
        metered = _lines(await Reports(self._db).report(window, group_by=RollupKind.VM, now=now))
        billed = await self._by_day(window, "vm_id")
        keys = {key for key in metered.keys() | billed.keys() if key[1] != UNATTRIBUTED}
        read = await self._db.read_many(Vm, {vm_id for _, vm_id in keys})
        vms = {vm_id: vm for vm_id, vm in read.items() if isinstance(vm, Vm)}
        return [
            ComparisonRow(
                day, vms[vm_id].provider, vm_id, metered.get((day, vm_id), _NOTHING), billed.get((day, vm_id))
            )
            for day, vm_id in keys
            if vm_id in vms
        ]

    async def _by_day(self, window: Window, field: str) -> dict[tuple[datetime, str], Decimal]:
        rows = await self._sums(window, Granularity.DAY, field, None)
        return {
            (max(row["_id"]["at"], window.start), row["_id"]["group"] or UNATTRIBUTED): row["usd"].to_decimal()
            for row in rows
        }

    async def _sums(self, window: Window, granularity: Granularity, field: str, user_id: str | None) -> list[Document]:
        """Return sums computed by the database."""
        match: Document = {"at": {"$gte": window.start, "$lt": window.end}}
        if user_id is not None:
            match = {"user_id": user_id, **match}
        bucket = {"$dateTrunc": {"date": "$at", "unit": _UNITS[granularity]}}
        group = {"_id": {"at": bucket, "group": f"${field}"}, "usd": {"$sum": "$usd"}}
        return await self._db.aggregate(BilledAmount, [{"$match": match}, {"$group": group}])


def _known_amount(usd: Decimal | None, day: datetime, known: Window | None) -> Decimal | None:
    """Return the charge for a day: zero for a day that the provider covers without a charge, None outside of that."""
    if known is None:
        return None
    if usd is not None:
        return usd
    return _NOTHING if known.start <= day and day + DAY <= known.end else None


def _nothing_known(window: Window, as_of: datetime | None) -> Report:
    return Report(
        window=Window(window.start, window.start),
        total_usd=_NOTHING,
        running_ms=0,
        forecast_usd=None,
        buckets=(),
        groups=(),
        as_of=as_of,
    )


def _grid(window: Window, granularity: Granularity) -> Grid:
    return Grid(window.buckets(granularity))


def _lines(report: Report) -> dict[tuple[datetime, str], Decimal]:
    return {(bucket.window.start, line.group): line.usd for bucket in report.buckets for line in bucket.lines}
