"""Bad days at the clouds, ordered one after another by chance."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Coroutine
from typing import Any, Final

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


class Weather:
    def __init__(self, deployed: Deployment, chance: random.Random, *, google: bool) -> None:
        self._deployed = deployed
        self._chance = chance
        self._google = google
        self._taken_back: list[asyncio.Task[None]] = []
        self.mishaps: Counter[str] = Counter()  # what changed a machine and nobody had ordered, by its id

    async def clear(self) -> None:
        """Fine weather from now on, on every machine too."""
        await asyncio.gather(*self._taken_back)
        await self._deployed.called_off()
        await self._deployed.others_left()
        await self._deployed.bid_google("full-zones", zones=[])
        for machine in await self._deployed.machines():
            for kind in ("ssh-refused", "install-fails"):
                await self._still_there(kind=kind, machine=machine["id"])

    async def worsen(self) -> str:
        """Order one more fault and say which."""
        if self._google and self._chance.random() < _AT_GOOGLE:
            return await self._at_google()
        machines = await self._deployed.machines()
        if machines and self._chance.random() < _BY_MACHINE:
            machine, kind = self._chance.choice(machines), self._chance.choice(_MACHINES)
            await self._deployed.fault(kind=kind, machine=machine["id"])
            self.mishaps[machine["id"]] += kind in _UNASKED
            if kind == "ssh-refused":
                self._later(self._still_there(kind="ssh-refused", machine=machine["id"]))
            return kind
        order = self._chance.choice(_ANSWERS)
        await self._deployed.fault(**order)
        return " ".join(str(part) for part in (order["kind"], order.get("operation")) if part)

    async def _at_google(self) -> str:
        """Half of all zones are full for a while, or a machine is turned off."""
        running = [machine["name"] for machine in await self._deployed.at_google() if machine["status"] == "RUNNING"]
        if running and self._chance.random() < 0.5:
            name = self._chance.choice(running)
            with contextlib.suppress(AssertionError):  # it may be gone by now
                await self._deployed.bid_google(f"machines/{name}/stop")
            self.mishaps[name] += 1
            return "google turned one off"
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
