"""Failures that come by themselves: hosts stop machines, machines vanish, the balance is used up."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

from simulator.clock import Clock
from simulator.faults import FaultKind
from simulator.tensordock.cloud import Cloud
from simulator.tensordock.instances import UP, Instance

log = logging.getLogger(__name__)

LONGEST_BALANCE_CHECK_S: Final = 60.0


class RandomFailures:
    """The ordered failures of machines, each at its time. Create this before machines are ordered."""

    def __init__(self, cloud: Cloud, clock: Clock) -> None:
        self._cloud = cloud
        self._clock = clock
        self._ahead: set[asyncio.Task[None]] = set()

    def expect(self, instance: Instance) -> None:
        """Schedule the failures that a machine's quirks name."""
        for kind in (FaultKind.VANISH, FaultKind.HOST_STOP):
            if kind in instance.quirks:
                task = asyncio.create_task(self._befall(instance.id, kind, instance.quirks[kind]))
                self._ahead.add(task)
                task.add_done_callback(self._ahead.discard)

    async def close(self) -> None:
        ahead = list(self._ahead)
        for task in ahead:
            task.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)

    async def _befall(self, instance_id: str, kind: FaultKind, after_s: float) -> None:
        await self._clock.sleep(after_s)
        instance = self._cloud.instances.get(instance_id)
        if instance is None or instance.status not in UP:
            return
        instance.quirks.pop(kind, None)
        if kind is FaultKind.VANISH:
            self._cloud.vanish(instance_id)
        else:
            self._cloud.host_stop(instance_id, given_away=True)


async def stop_all_without_money(cloud: Cloud) -> None:
    """Stop every machine whenever the balance is used up. Never returns."""
    while True:
        if cloud.balance_usd() < 0:
            _stop_all(cloud)
        cloud.money_moves.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_next_check_s(cloud)):
                await cloud.money_moves.wait()


def _stop_all(cloud: Cloud) -> None:
    for instance in [instance for instance in cloud.instances.values() if instance.status in UP]:
        log.info("the balance is used up: machine %s is stopped", instance.id)
        cloud.stop(instance.id, release=True)


def _next_check_s(cloud: Cloud) -> float:
    balance_usd, usd_per_hour = cloud.ledger.balance_usd, cloud.usd_per_hour_now()
    if usd_per_hour <= 0 or balance_usd < 0:
        return LONGEST_BALANCE_CHECK_S
    return min(LONGEST_BALANCE_CHECK_S, float(balance_usd / usd_per_hour * 3600) + 0.01)
