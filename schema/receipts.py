"""Receipts of play sessions."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

import strawberry

import billing.receipts
from billing.amounts import tidy
from billing.reports import CURRENCY
from models.usage import UsageState
from resolvers import costs
from schema.arguments import UserId
from schema.enums import ConsoleType, ProviderName
from schema.execution.chunked_lists import unhurried
from schema.ids import global_id
from schema.node import Info


@strawberry.type(description="A part of a receipt with one price.")
class ReceiptLine:
    start: datetime = strawberry.field(description="The beginning, inclusive.")
    end: datetime | None = strawberry.field(description="The end, exclusive. Null while it goes on.")
    hourly_price: Decimal = strawberry.field(description="The price per hour in USD.")
    amount: Decimal = strawberry.field(description="What this part cost, in USD.")


@strawberry.type(description="What one machine cost while it ran without a stop, or while it was kept stopped.")
class Receipt:
    vm_id: strawberry.ID = strawberry.field(description="The VM's global id.")
    user_id: str = strawberry.field(description="The user whom the machine was for.")
    provider: ProviderName = strawberry.field(description="The cloud.")
    console: ConsoleType = strawberry.field(description="The console that the machine played.")
    played: bool = strawberry.field(
        description="Whether the machine ran. False: it was kept stopped, which costs its storage."
    )
    start: datetime = strawberry.field(description="The beginning within the period, inclusive.")
    end: datetime | None = strawberry.field(description="The end within the period, exclusive. Null while it goes on.")
    amount: Decimal = strawberry.field(description="What it cost, in USD: the exact sum of the lines.")
    receipt: strawberry.Private[billing.receipts.Receipt]

    @strawberry.field(description="The receipt by price, in order of time.")
    def lines(self) -> list[ReceiptLine]:
        return [
            ReceiptLine(start=line.start, end=line.end, hourly_price=tidy(line.usd_per_hour), amount=tidy(line.usd))
            for line in self.receipt.lines
        ]

    @classmethod
    def of(cls, receipt: billing.receipts.Receipt) -> Receipt:
        return cls(
            vm_id=global_id("VM", receipt.vm_id),
            user_id=receipt.user_id,
            provider=ProviderName(receipt.provider),
            console=ConsoleType(receipt.console),
            played=receipt.state is UsageState.RUNNING,
            start=receipt.start,
            end=receipt.end,
            amount=tidy(receipt.usd),
            receipt=receipt,
        )


@strawberry.type(description="The receipts of a period.")
class ReceiptList:
    start: datetime = strawberry.field(description="The beginning of the period, inclusive.")
    end: datetime = strawberry.field(description="The end of the period, exclusive.")
    currency: str = strawberry.field(description="The currency of all amounts: always USD.")
    total: Decimal = strawberry.field(
        description="The exact sum of all receipts. It equals the total of `playerCostReport` for the same days."
    )
    found: strawberry.Private[billing.receipts.Receipts]

    @strawberry.field(description="The receipts, newest first.")
    def receipts(self) -> list[Receipt]:
        return unhurried(self.found.receipts, Receipt.of)


@strawberry.type
class ReceiptQuery:
    @strawberry.field(
        description="List one receipt for each play session, and for each time that a machine was kept stopped, over "
        "whole days, UTC. Players see their own."
    )
    async def receipts(
        self,
        info: Info,
        start: Annotated[date, strawberry.argument(description="The first day, UTC, inclusive.")],
        end: Annotated[
            date, strawberry.argument(description="The last day, UTC, inclusive; at most 31 days in total.")
        ],
        user_id: UserId = None,
    ) -> ReceiptList:
        found = await costs.receipts(info.context, start, end, user_id)
        return ReceiptList(
            start=found.window.start,
            end=found.window.end,
            currency=CURRENCY,
            total=tidy(found.total_usd),
            found=found,
        )
