"""A hard limit that is reached: no launch begins, and the player is told which limit it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing.meter import Meter
from models.launches import Launch
from models.usage import UsageState
from tests.gateway import ANN, BOB, DALLAS, OPERATOR, GatewayWorld, a_vm

MARIO = {"console": "SWITCH", "gameId": "mario-odyssey", "location": DALLAS}


@pytest.fixture
async def spent(gateway: GatewayWorld) -> GatewayWorld:
    """Ann has a machine that is so dear that a month that has only just begun is spent, too."""
    vm = a_vm("200000000000000001", "ann", usd_per_hour=Decimal(10**9))
    await gateway.db.insert(vm)
    await Meter(gateway.db).record_state(vm, UsageState.RUNNING, datetime.now(UTC) - timedelta(seconds=10))
    return gateway


@pytest.mark.parametrize(("limited", "refused"), [("ann", True), ("bob", False), (None, True)])
async def test_a_hard_limit_refuses_those_whose_it_is(spent: GatewayWorld, limited: str | None, refused: bool) -> None:
    limit = {"period": "MONTHLY", "amount": "0.0001", "hard": True, "userId": limited}
    await spent.data("SetSpendingLimit", OPERATOR, input=limit)

    payload = (await spent.data("LaunchGame", ANN, input=MARIO))["launchGame"]

    assert [error["__typename"] for error in payload["errors"]] == (["SpendingLimitReached"] if refused else [])
    assert await spent.db.count(Launch, {}) == (0 if refused else 1)


async def test_a_soft_limit_refuses_nobody(spent: GatewayWorld) -> None:
    await spent.data("SetSpendingLimit", OPERATOR, input={"period": "MONTHLY", "amount": "0.0001"})

    payload = (await spent.data("LaunchGame", ANN, input=MARIO))["launchGame"]

    assert payload["errors"] == []


async def test_anothers_spending_is_not_shown(spent: GatewayWorld) -> None:
    limit = {"period": "MONTHLY", "amount": "0.0001", "hard": True}
    await spent.data("SetSpendingLimit", OPERATOR, input=limit)

    (error,) = (await spent.data("LaunchGame", BOB, input=MARIO))["launchGame"]["errors"]

    assert (error["limit"], error["spent"]) == ("0.0001", "0.0001")
