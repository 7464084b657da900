"""Orders faults at the simulated clouds, one after another, at random."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Coroutine, Mapping
from decimal import Decimal
from typing import Any, Final

from bench.soak_incidents import Incidents
from providers.google.regions import regions
from tests.e2e.service import Deployment

# Most are ordered beforehand and strike whatever comes; those of machines strike one that is there.
_ANSWERS: Final[tuple[dict[str, Any], ...]] = (
    {"kind": "capacity"},
    {"kind": "capacity", "operation": "start"},
    {"kind": "answer-lost", "operation": "create"},
    {"kind": "answer-lost", "operation": "delete"},
    {"kind": "answer-lost", "operation": "stop"},
    {"kind": "rate-limited", "times": 3},
    {"kind": "rate-limited", "retry_after": 2, "times": 2},
    {"kind": "server-error", "times": 3},
    {"kind": "server-error", "operation": "create"},
    {"kind": "server-error", "operation": "create", "status": 404, "times": 2},
    {"kind": "server-error", "operation": "create", "status": 410},
    {"kind": "server-error", "operation": "create", "status": 418, "message": "This host is not available"},
    {"kind": "answer-lost", "operation": "create", "times": 2},
    {"kind": "server-error", "operation": "create", "done": True},
    {"kind": "server-error", "operation": "delete", "done": True},
    {"kind": "server-error", "operation": "delete", "done": False},
    {"kind": "server-error", "operation": "bucket", "times": 3},
    {"kind": "connection-cut", "operation": "bucket", "times": 3},
    {"kind": "html", "status": 200, "operation": "list", "times": 2},
    {"kind": "html", "times": 2},
    {"kind": "connection-cut", "times": 3},
    {"kind": "already-gone", "operation": "delete"},
    {"kind": "list-lag", "seconds": 4},
    {"kind": "boot-fails"},
    {"kind": "install-fails"},
    {"kind": "slow-delete"},
)
_MACHINES: Final = ("vanish", "host-stop", "ssh-refused")
_UNASKED: Final = ("vanish", "host-stop")
_BY_MACHINE: Final = 0.15
_AT_GOOGLE: Final = 0.1
_PRICES: Final = 0.05
_FACTORS: Final = (Decimal("0.5"), Decimal("1.2"), Decimal("1.5"), Decimal("2"))
_QUOTA: Final = "NVIDIA_L4_GPUS"
_PLENTY_USD: Final = Decimal(100_000)
_USED_UP_USD: Final = Decimal("-0.01")
_TOPPED_UP_AFTER_S: Final = (5.0, 20.0)


class Weather:
    def __init__(self, deployed: Deployment, chance: random.Random, *, google: bool, asleep: bool = True) -> None:
        """`asleep`: machines that are off vanish too, which is seen after five minutes only."""
        self._asleep = asleep
        self._deployed = deployed
        self._chance = chance
        self._google = google
        self._taken_back: list[asyncio.Task[None]] = []
        self.incidents = Incidents()

    async def clear(self) -> None:
        """Fine weather from now on, on every machine too."""
        await asyncio.gather(*self._taken_back)
        await self._deployed.called_off()
        await self._deployed.others_left()
        await self._deployed.bid_google("full-zones", zones=[])
        await self._deployed.bid_google("quotas", quotas=[])
        await self._deployed.set_balance(_PLENTY_USD)
        for machine in await self._deployed.machines():
            for kind in ("ssh-refused", "install-fails"):
                await self._still_there(kind=kind, machine=machine["id"])

    async def worsen(self) -> str:
        """Order one more fault and say which."""
        if self._google and self._chance.random() < _AT_GOOGLE:
            return await self._at_google()
        machines = await self._deployed.machines()
        if machines and self._chance.random() < _PRICES:
            return await self._reprice(self._chance.choice(machines))
        if machines and self._chance.random() < _BY_MACHINE:
            machine, kind = self._chance.choice(machines), self._chance.choice(_MACHINES)
            if machine["state"] != "running" and not self._asleep:
                return "none: the machine is off"
            await self._deployed.fault(kind=kind, machine=machine["id"])
            self.incidents.unasked[machine["id"]] += kind in _UNASKED
            if kind == "ssh-refused":
                self._later(self._still_there(kind="ssh-refused", machine=machine["id"]))
            return kind
        order = self._chance.choice(_ANSWERS)
        await self._deployed.fault(**order)
        return " ".join(str(part) for part in (order["kind"], order.get("operation")) if part)

    async def use_up_balance(self) -> bool:
        """TensorDock stops every machine, and takes no order until the account is topped up some seconds later."""
        for machine in await self._deployed.machines():
            self.incidents.unasked[machine["id"]] += 1
        await self._deployed.set_balance(_USED_UP_USD)
        await asyncio.sleep(self._chance.uniform(*_TOPPED_UP_AFTER_S))
        await self._deployed.set_balance(_PLENTY_USD)
        return True

    async def _reprice(self, machine: Mapping[str, Any]) -> str:
        """Change a machine's price, unless it has just gone."""
        before = Decimal(machine["usd_per_hour_now"])
        after = before * self._chance.choice(_FACTORS)
        if machine["state"] == "running":
            with contextlib.suppress(AssertionError):
                await self._deployed.set_price(machine["id"], after)
                self.incidents.price_changes_usd[machine["id"]] += abs(after - before)
        return "price change"

    async def _at_google(self) -> str:
        """Fill half of all zones for a while, use up quotas of half of all regions, or turn a machine off."""
        running = [machine["name"] for machine in await self._deployed.at_google() if machine["status"] == "RUNNING"]
        if running and self._chance.random() < 0.5:
            name = self._chance.choice(running)
            with contextlib.suppress(AssertionError):  # it may be gone by now
                await self._deployed.bid_google(f"machines/{name}/stop")
            self.incidents.unasked[name] += 1
            return "google turned one off"
        if self._chance.random() < 0.5:
            names = sorted(regions())
            used_up = [{"name": _QUOTA, "region": name} for name in self._chance.sample(names, len(names) // 2)]
            await self._deployed.bid_google("quotas", quotas=used_up)
            self._later(self._deployed.bid_google("quotas", quotas=[]))
            return "google's quotas are used up"
        zones = [zone for region in regions().values() for zone in region.zones]
        await self._deployed.bid_google("full-zones", zones=self._chance.sample(zones, len(zones) // 2))
        self._later(self._deployed.bid_google("full-zones", zones=[]))
        return "google's zones are full"

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        async def taken_back() -> None:
            await asyncio.sleep(self._chance.uniform(2, 20))
            await work

        self._taken_back.append(asyncio.create_task(taken_back()))

    async def _still_there(self, **fault: str) -> None:
        """Take a fault of one machine back, which may be gone by now."""
        with contextlib.suppress(AssertionError):
            await self._deployed.fault(**fault, on=False)
