"""The simulated TensorDock as a whole: with a park and a folder it serves both versions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from aiohttp import web

from simulator.clock import Clock
from simulator.faults import Faults
from simulator.hostnodes.catalog import hostnodes
from simulator.hostnodes.stock import Stock
from simulator.park import Park
from simulator.state import StateFile
from simulator.tensordock.cloud import Cloud
from simulator.tensordock.ledger import Ledger
from simulator.tensordock.random_failures import RandomFailures, stop_all_without_money
from simulator.tensordock.records import load_record, to_record
from simulator.tensordock.v0.account import Account
from simulator.tensordock.v0.machines import Machines
from simulator.tensordock.v0.words import Authentication as KeyPairAuthentication
from simulator.tensordock.v2.instances import Instances
from simulator.tensordock.v2.places import Places
from simulator.tensordock.v2.secrets import Secrets
from simulator.tensordock.v2.words import Authentication as BearerAuthentication
from simulator.tensordock.wire import FaultGate

STATE_FILE: Final = "tensordock.json"


@dataclass(frozen=True, slots=True)
class Customer:
    """The one organization that this cloud knows: its credentials and its opening balance."""

    api_key: str
    api_token: str
    paid_in_usd: Decimal


class TensorDock:
    """Both interfaces over one cloud. Its machines live between `start` and `close`."""

    def __init__(self, folder: Path, park: Park, clock: Clock, customer: Customer, *, seed: int) -> None:
        self.customer = customer
        self.faults = Faults(seed)
        self.gate = FaultGate(self.faults, clock)
        self._state = StateFile(folder / STATE_FILE)
        ledger = Ledger(customer.paid_in_usd)
        self.cloud = Cloud(Stock(hostnodes(seed)), park, clock, ledger, seed=seed, keep=self._keep)
        self.random_failures = RandomFailures(self.cloud, clock)
        self._clock = clock
        self._balance_watch: asyncio.Task[None] | None = None

    def add_routes(self, router: web.UrlDispatcher) -> None:
        bearer = BearerAuthentication(self.gate, self.customer.api_token)
        pair = KeyPairAuthentication(self.gate, api_key=self.customer.api_key, api_token=self.customer.api_token)
        for part in (
            Places(self.cloud.stock, self.faults, bearer),
            Instances(self.cloud, self.faults, bearer, self.random_failures, self._clock),
            Secrets(self.cloud, bearer),
            Account(self.cloud, pair),
            Machines(self.cloud, self.faults, pair, self._clock),
        ):
            part.add_routes(router)

    async def start(self) -> None:
        """Continue the machines of an earlier run. The park must have loaded its own."""
        if record := self._state.load():
            load_record(self.cloud, record)
        await self.cloud.resume()
        for instance in self.cloud.instances.values():
            self.random_failures.expect(instance)
        self._balance_watch = asyncio.create_task(stop_all_without_money(self.cloud), name="balance watch")

    async def reset(self) -> None:
        """Empty the cloud, and clear faults and counts."""
        await self.random_failures.close()
        self.faults.clear()
        self.gate.counted.clear()
        await self.cloud.reset(self.customer.paid_in_usd)

    async def close(self) -> None:
        if self._balance_watch:
            self._balance_watch.cancel()
            await asyncio.gather(self._balance_watch, return_exceptions=True)
        await self.random_failures.close()
        await self.cloud.close()

    def _keep(self, cloud: Cloud) -> None:
        self._state.save(to_record(cloud))
