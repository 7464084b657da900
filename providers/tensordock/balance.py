"""What is left on the account. Only version 0 tells, and only to who has the key."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from errors import ProviderError, ProviderRefusedError
from providers.base import Offer
from providers.single_flight import Depart, SingleFlight
from providers.tensordock import parse
from providers.tensordock.client import TensorDockClient
from providers.tensordock.operations import Operation
from providers.tensordock.responses import ResponseReader, ignored

_KEPT_S: Final = 10.0
_ORDERS_NEED_MORE_THAN_USD: Final = Decimal(1)


class AccountBalance:
    def __init__(self, client: TensorDockClient, answers: ResponseReader) -> None:
        self._client = client
        self._answers = answers
        self._balance: SingleFlight[Decimal] = SingleFlight(self._read_balance, _KEPT_S)

    async def close(self) -> None:
        await self._balance.close()

    async def require(self, offer: Offer) -> None:
        """Raises ProviderRefusedError when an hour of this offer cannot be paid. A balance that cannot be read stops
        nobody: TensorDock itself refuses an order that is not covered."""
        if not self._client.has_key:
            return
        try:
            usd = await self._balance.get()
        except ProviderError:
            return
        if not orders_are_taken_with(usd) or usd < offer.usd_per_hour:
            raise ProviderRefusedError(
                f"TensorDock's balance of {usd:.2f} USD is too low: an order needs more than 1 USD"
                f" and an hour of the machine ({offer.usd_per_hour:.4f} USD)"
            )

    async def balance(self) -> Decimal:
        """USD, as of a few seconds ago. Only with the key."""
        return await self._balance.get()

    async def test_credentials(self) -> None:
        """Raises ProviderRefusedError when key and token are no pair. Only with the key."""
        tested = self._client.test_credentials()
        await self._answers.must_read(Operation.TEST_CREDENTIALS, tested, ignored)

    async def _read_balance(self, _: Depart) -> Decimal:
        return await self._answers.must_read(Operation.READ_BALANCE, self._client.balance(), parse.balance)


def orders_are_taken_with(usd: Decimal) -> bool:
    return usd > _ORDERS_NEED_MORE_THAN_USD
