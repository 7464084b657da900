"""Simulated players that send commands in random order, through any gateway that responds."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tests.e2e.service import Deployment, Gateway

SAVE: Final = ".local/share/citron/nand/user/save/0/1/slot.bin"
_LAUNCH_S: Final = 150.0
_MOVE_S: Final = 90.0
_LATE_S: Final = 12.0  # after a lost response, a command may still be executed for this long
_ENDED: Final = ("DELETED", "FAILED")
_GOES_HOME: Final = 0.6  # the others leave their machine as it is
_TRIES_TO_GO: Final = 5


@dataclass
class Played:
    """The last content written on the disk of each machine, and its player."""

    last: dict[str, tuple[str, str]] = field(default_factory=dict)  # cloud's machine id: (player, content)


class Player:
    """One player with a launch, followed by commands."""

    def __init__(
        self,
        deployed: Deployment,
        gateway: Callable[[], Gateway],
        number: int,
        seed: int,
        done: Counter[str],
        played: Played,
        provider: str = "TENSORDOCK",
    ) -> None:
        self._deployed = deployed
        self._gateway = gateway
        self._name = f"player-{number}"
        self._chance = random.Random(f"{seed}:{number}")  # noqa: S311 - not a secret
        self._done = done
        self._played = played
        self._provider = provider
        self._written = 0

    async def play(self, until: float) -> None:
        vm_id = await self._launched()
        for _ in range(self._chance.randint(1, 5)):
            if vm_id is None or time.monotonic() > until:
                return
            await self._write(vm_id)
            vm_id = await self._go_on(vm_id)
        if vm_id is not None and self._chance.random() < _GOES_HOME:
            await self.go_home(vm_id)

    async def go_home(self, vm_id: str) -> None:
        """Delete the machine, and repeat as long as it exists."""
        for _ in range(_TRIES_TO_GO):
            if (await self._ask("Vm", {"id": vm_id}))["vm"]["status"] in _ENDED:
                return
            self._done["asked delete"] += 1
            await self._ask("DeleteVm", {"vmId": vm_id})
            await self._until_quiet(vm_id)
        self._done["could not go home"] += 1

    async def _launched(self) -> str | None:
        """Return the machine, or None if the launch ended without one."""
        wish = {
            "provider": self._provider,
            "userId": self._name,
            "idempotencyKey": f"{self._name}:{self._chance.random()}",
        }
        payload = await self._ask("LaunchGame", {"input": {"console": "SWITCH", "gameId": "mario-odyssey", **wish}})
        launch = payload["launchGame"]["launch"]
        if launch is None:
            self._done["launch refused"] += 1
            return None
        if self._chance.random() < 0.15:
            await asyncio.sleep(self._chance.uniform(0, 10))
            await self._ask("CancelLaunch", {"launchId": launch["id"]})
        ended = await self._until_launched(launch["id"])
        self._done[f"{self._provider.lower()} launch {ended['status']}"] += 1
        return ended["vm"]["id"] if ended["status"] == "READY" and ended["vm"] else None

    async def _until_launched(self, launch_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + _LAUNCH_S
        while True:
            launch: dict[str, Any] = (await self._ask("Launch", {"id": launch_id}))["launch"]
            if launch["status"] in {"READY", "FAILED", "CANCELLED"}:
                return launch
            if time.monotonic() > deadline:
                return {"status": f"not over: {launch['status']}", "vm": None}
            await asyncio.sleep(1)

    async def _write(self, vm_id: str) -> None:
        """Write a save, if the machine is on and no command may still be in progress."""
        vm = (await self._ask("Vm", {"id": vm_id}))["vm"]
        if vm["status"] != "RUNNING":
            return
        home = (
            self._deployed.disk(vm["providerId"], vm["provider"])
            / f"var/lib/cloudypad/wolf/{self._name}/SWITCH-mario-odyssey"
        )
        if not home.parent.parent.exists():
            return
        self._written += 1
        content = f"{self._name} {self._written} on {vm['providerId']}"
        save = home / SAVE
        save.parent.mkdir(parents=True, exist_ok=True)
        save.write_text(content)
        self._played.last[vm["providerId"]] = (self._name, content)
        self._done["saves written"] += 1

    async def _go_on(self, vm_id: str) -> str | None:
        """Send one command; return the machine to continue with, if any."""
        status = (await self._ask("Vm", {"id": vm_id}))["vm"]["status"]
        if status in _ENDED:
            return await self._launched()
        choices = {"RUNNING": ["Stop", "Stop", "Restart", "Delete", "launch"], "STOPPED": ["Start", "Delete", "launch"]}
        choice = self._chance.choice(choices.get(status, ["wait"]))
        self._done[f"asked {choice.lower()}"] += 1
        if choice == "launch":
            return await self._launched()
        if choice != "wait":
            payload = await self._ask(f"{choice}Vm", {"vmId": vm_id})
            for error in payload[f"{choice.lower()}Vm"]["errors"]:
                self._done[f"{choice.lower()} answered {error['__typename']}"] += 1
        await self._until_quiet(vm_id)
        return vm_id

    async def _until_quiet(self, vm_id: str) -> None:
        deadline = time.monotonic() + _MOVE_S
        while time.monotonic() < deadline:
            await asyncio.sleep(1)
            if (await self._ask("Vm", {"id": vm_id}))["vm"]["status"] in {"RUNNING", "STOPPED", "LOST", *_ENDED}:
                return
        self._done["a move took too long"] += 1

    async def _ask(self, operation: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Send an operation until a gateway responds. Repeat a mutation without a response once it must be over."""
        while True:
            try:
                async with asyncio.timeout(30):
                    answer = await self._gateway().ask(operation, variables)
                if "errors" not in answer:
                    data: dict[str, Any] = answer["data"]
                    return data
                self._done[f"answered {answer['errors'][0].get('extensions', {}).get('code')}"] += 1
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                self._done["not answered"] += 1
            await asyncio.sleep(_LATE_S if operation.endswith("Vm") and operation != "Vm" else 1)
