"""Reads the account's balance. Only version 0 of the API has it, and only with the API key."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from errors import AccountBalanceError, ProviderError
from providers.base import Offer
from providers.single_flight import Depart, SingleFlight
from providers.tensordock import parse
from providers.tensordock.client import TensorDockClient
from providers.tensordock.operations import Operation
from providers.tensordock.responses import ResponseReader, accept_any

_KEPT_S: Final = 10.0
_ORDERS_NEED_MORE_THAN_USD: Final = Decimal(1)


class AccountBalance:
    def __init__(self, client: TensorDockClient, responses: ResponseReader) -> None:
        self._client = client
        self._responses = responses
        self._balance: SingleFlight[Decimal] = SingleFlight(self._read_balance, _KEPT_S)

    async def close(self) -> None:
        await self._balance.close()

    async def require_funds(self, offer: Offer) -> None:
        """Raise AccountBalanceError if the balance does not cover an hour of this offer.

        A balance that cannot be read blocks no order: TensorDock itself rejects orders that are not covered.
        """
        if not self._client.has_key:
            return
        try:
            usd = await self._balance.get()
        except ProviderError:
            return
        if not can_order_with(usd) or usd < offer.usd_per_hour:
            raise AccountBalanceError(
                f"TensorDock's balance of {usd:.2f} USD is too low: an order needs more than 1 USD"
                f" and an hour of the machine ({offer.usd_per_hour:.4f} USD)",
                usd if can_order_with(usd) else None,
            )

    async def balance(self) -> Decimal:
        """Return the balance in USD, at most a few seconds old. Needs the API key."""
        return await self._balance.get()

    async def test_credentials(self) -> None:
        """Raise ProviderRefusedError if key and token do not belong together. Needs the API key."""
        tested = self._client.test_credentials()
        await self._responses.must_read(Operation.TEST_CREDENTIALS, tested, accept_any)

    async def _read_balance(self, _: Depart) -> Decimal:
        return await self._responses.must_read(Operation.READ_BALANCE, self._client.balance(), parse.balance)


def can_order_with(usd: Decimal) -> bool:
    """Return whether TensorDock accepts orders at this balance."""
    return usd > _ORDERS_NEED_MORE_THAN_USD
