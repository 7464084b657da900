"""What a prepaid account charged, from the movements of its balance."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.tensordock_billing import BalanceSampler, spent_by_hour
from models.billed import BalanceSample, BilledAmount, BilledState
from models.database import Database
from providers.base import ProviderName
from tests.billing.exact import utc


def sample(at: datetime, usd: Decimal | str) -> BalanceSample:
    return BalanceSample(id=at.isoformat(), provider=ProviderName.TENSORDOCK, at=at, usd=Decimal(usd))


def test_a_fall_over_midnight_is_shared_by_the_time_on_each_side() -> None:
    samples = [sample(utc(2026, 5, 1, 23, 45), "10"), sample(utc(2026, 5, 2, 0, 15), "9.7")]

    assert spent_by_hour(samples) == {
        utc(2026, 5, 1, 23): Decimal("0.15"),
        utc(2026, 5, 2): Decimal("0.15"),
    }


def test_a_deposit_is_no_negative_cost() -> None:
    noon = utc(2026, 5, 1, 12)
    samples = [sample(noon, "1"), sample(noon + timedelta(minutes=5), "51"), sample(noon + timedelta(minutes=9), "50")]

    assert spent_by_hour(samples) == {noon: Decimal(1)}


@pytest.mark.timeout(300)
@given(
    balances=st.lists(st.decimals("0", "1000", places=6), min_size=2, max_size=8),
    gaps=st.lists(st.integers(1, 3 * 86_400_000), min_size=7, max_size=7),
)
def test_the_hours_add_up_to_all_falls_to_the_last_digit(balances: list[Decimal], gaps: list[int]) -> None:
    moments = [utc(2026, 2, 27)]
    for gap in gaps:
        moments.append(moments[-1] + timedelta(milliseconds=gap))
    samples = [sample(at, usd) for at, usd in zip(moments, balances, strict=False)]

    spent = spent_by_hour(samples)

    falls = [max(Decimal(0), one - next_) for one, next_ in pairwise(balances)]
    assert sum(spent.values()) == sum(falls)
    assert all(usd >= 0 for usd in spent.values())


async def test_looking_again_and_again_gives_the_same_hours_as_looking_at_all_of_it(db: Database) -> None:
    start = utc(2026, 5, 1, 21, 50)
    account = Account(*(Decimal(20) - Decimal("0.07") * number for number in range(12)))
    book = BalanceSampler(db, account)

    for number in range(12):
        await book.sample(start + number * timedelta(minutes=25))

    amounts = {amount.at: amount.usd for amount in await db.find(BilledAmount, {})}
    samples = await db.find(BalanceSample, {}, sort=[("at", 1)])
    assert len(samples) == 12
    assert amounts == spent_by_hour(samples)
    assert sum(amounts.values()) == Decimal("0.77")
    assert (await db.find(BilledState, {}))[0].as_of == start + 11 * timedelta(minutes=25)


async def test_an_account_that_does_not_tell_is_not_written_down(db: Database) -> None:
    assert await BalanceSampler(db, Account(None)).sample(utc(2026, 5, 1)) is None

    assert await db.find(BilledState, {}) == []


class Account:
    """Keeps billing.balance.Balance."""

    def __init__(self, *usd: Decimal | None) -> None:
        self._usd = iter(usd)

    async def balance(self) -> Decimal | None:
        return next(self._usd)
