"""Bad days at the clouds, ordered one after another by chance."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any, Final

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
_BY_MACHINE: Final = 0.15


class Weather:
    def __init__(self, deployed: Deployment, chance: random.Random) -> None:
        self._deployed = deployed
        self._chance = chance
        self._taken_back: list[asyncio.Task[None]] = []

    async def _take_back(self, machine_id: str) -> None:
        await asyncio.sleep(self._chance.uniform(2, 20))
        await self._still_there(kind="ssh-refused", machine=machine_id)

    async def clear(self) -> None:
        """Fine weather from now on, on every machine too."""
        await asyncio.gather(*self._taken_back)
        await self._deployed.called_off()
        for machine in await self._deployed.machines():
            for kind in ("ssh-refused", "install-fails"):
                await self._still_there(kind=kind, machine=machine["id"])

    async def _still_there(self, **fault: str) -> None:
        """Take a fault of one machine back, which may be gone by now."""
        with contextlib.suppress(AssertionError):
            await self._deployed.fault(**fault, on=False)

    async def worsen(self) -> str:
        """Order one more fault and say which."""
        machines = await self._deployed.machines()
        if machines and self._chance.random() < _BY_MACHINE:
            machine, kind = self._chance.choice(machines), self._chance.choice(_MACHINES)
            await self._deployed.fault(kind=kind, machine=machine["id"])
            if kind == "ssh-refused":
                self._taken_back.append(asyncio.create_task(self._take_back(machine["id"])))
            return kind
        order = self._chance.choice(_ANSWERS)
        await self._deployed.fault(**order)
        return " ".join(str(part) for part in (order["kind"], order.get("operation")) if part)
