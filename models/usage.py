"""Usage: one interval per VM and state. Every sum of money is derived from these; there are no running totals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Final, Protocol

from bson.decimal128 import Decimal128
from odmantic import Field, Index, Model

from errors import UnreadableRecordError
from models.catalog import ConsoleType
from models.database import Database, Document
from models.unreadable import Unreadable, report_unreadable
from providers.base import ProviderName

# A stored price has up to 34 digits, and the default context would round sums after 28.
_EXACT: Final = Context(prec=60)
_STRANGE: Final = "this version cannot read the interval"
WARM: Final = "WARM"  # the group of the warm pool's usage in every report
WARM_PREFIX: Final = f"{WARM}:"  # before its provider, where usage is summed up by provider or VM
WARM_USER: Final = "gamer:warm"  # user of that usage; names with this prefix are reserved


class UsageState(StrEnum):
    RUNNING = "RUNNING"  # everything is billed
    STOPPED = "STOPPED"  # storage alone is billed


class UsageInterval(Model):
    """Usage from `start` up to, but excluding, `end`; an `end` of None means until now.

    The intervals of a VM are numbered 1, 2, 3, ... and each begins where the previous one ends. Prices are in USD per
    hour, in parts that add up.
    """

    id: str = Field(primary_field=True)  # "<vm>:<number>"
    vm_id: str
    number: int
    user_id: str
    provider: ProviderName
    console: ConsoleType
    state: UsageState
    start: datetime
    end: datetime | None = None
    machine_usd_per_hour: Decimal
    storage_usd_per_hour: Decimal
    egress_usd_per_hour: Decimal = Decimal(0)
    warm: bool = False  # of the warm pool: `vm_id` names a machine that is no VM yet

    model_config = {
        "collection": "usage_intervals",
        "indexes": lambda: [
            Index(UsageInterval.vm_id, UsageInterval.number, name="usage_of_vm", unique=True),
            Index(UsageInterval.user_id, UsageInterval.end, name="usage_of_user_by_end"),
            Index(UsageInterval.end, UsageInterval.start, name="usage_by_end"),
            Index(UsageInterval.start, name="usage_by_start"),
        ],
    }

    @property
    def usd_per_hour(self) -> Decimal:
        return _EXACT.add(_EXACT.add(self.machine_usd_per_hour, self.storage_usd_per_hour), self.egress_usd_per_hour)


class Metered(Protocol):
    """An interval in any form that sums accept."""

    @property
    def id(self) -> str: ...
    @property
    def vm_id(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def console(self) -> str: ...
    @property
    def state(self) -> UsageState: ...
    @property
    def start(self) -> datetime: ...
    @property
    def end(self) -> datetime | None: ...
    @property
    def usd_per_hour(self) -> Decimal: ...


@dataclass(frozen=True, slots=True)
class UsageRow:
    """An interval as sums read it by the thousand: plain values, without the cost of a validated document."""

    id: str
    vm_id: str
    user_id: str
    provider: str
    console: str
    state: UsageState
    start: datetime
    end: datetime | None
    usd_per_hour: Decimal


async def find_usage_rows(db: Database, query: Document, *, whole: bool = False) -> list[UsageRow]:
    """Return the intervals that match; those that this version cannot read are left out and reported.

    With `whole`, for sums that are stored, they raise UnreadableRecordError instead.
    """
    read: list[UsageRow] = []
    for raw in await db.rows(UsageInterval, query):
        try:
            read.append(_row(raw))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            if whole:
                raise UnreadableRecordError(_STRANGE) from error
            report_unreadable(Unreadable(UsageInterval.__name__, str(raw["_id"]), _STRANGE))
    return read


def _row(raw: Document) -> UsageRow:
    warm = WARM_PREFIX + raw["provider"] if raw.get("warm", False) is True else None
    machine, storage, egress = (_decimal(raw[f"{part}_usd_per_hour"].bid) for part in ("machine", "storage", "egress"))
    end = raw["end"]
    return UsageRow(
        id=raw["_id"],
        vm_id=warm or raw["vm_id"],
        user_id=raw["user_id"],
        provider=warm or raw["provider"],
        console=raw["console"] if warm is None else WARM,
        state=UsageState(raw["state"]),
        # The driver's own time zone compares ten times slower.
        start=raw["start"].replace(tzinfo=UTC),
        end=None if end is None else end.replace(tzinfo=UTC),
        usd_per_hour=_EXACT.add(_EXACT.add(machine, storage), egress),
    )


@lru_cache(maxsize=4096)
def _decimal(bid: bytes) -> Decimal:
    """Decode a decimal. Cached, because the driver's decoding is slow and prices are few."""
    return Decimal128.from_bid(bid).to_decimal()
