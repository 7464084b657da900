"""The engine as the gateway sees it: start a launch, ask for its end, is it there."""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fleet.messages import CommandRequest, CommandResult, PairingInput, PairResult, Pin
from fleet.owners import Workflows
from launch.messages import ImageRefresh, LaunchInput


class LaunchStarter(Protocol):
    """What a launch needs to begin."""

    async def start_launch(self, ticket: LaunchInput) -> None:
        """Starting twice is starting once."""
        ...


class WorkflowClient(LaunchStarter, Protocol):
    """What orders need of the engine. Everything is answered within seconds or raises UnavailableError."""

    async def cancel_launch(self, launch_id: str) -> None:
        """Ask for the end of a launch. InvalidStateError when it does not run any more."""
        ...

    async def ask_machine(self, vm_id: str, asked: CommandRequest) -> CommandResult:
        """Give a command to a machine's workflow; answered once the command has begun or was refused."""
        ...

    async def pair_machine(self, vm_id: str, pin: Pin) -> PairResult:
        """Hand a PIN to a machine's workflow; answered when the device is paired, or will not be."""
        ...

    async def start_pairing(self, pairing: PairingInput) -> None:
        """Have a worker hand the window's PIN to the device that asks for it; answered once that has begun."""
        ...

    async def refresh_images(self, refresh: ImageRefresh) -> None:
        """Have a worker ask the registries for digests of emulator images; answered when it has."""
        ...

    async def ping(self) -> None: ...


class WholeEngine(WorkflowClient, Workflows, Protocol):
    """What the service needs of the engine."""


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """Where Temporal is and how to get in. The repr shows no credential."""

    host: str
    namespace: str
    task_queue: str
    api_key: str | None = None
    tls_cert_path: Path | None = None
    tls_key_path: Path | None = None

    def __repr__(self) -> str:
        return f"EngineAddress({self.host!r}, {self.namespace!r})"


class LazyWorkflowClient:
    """Loads Temporal's client in a thread when it is first needed: the import alone costs most of a second of CPU."""

    def __init__(self, address: EngineAddress) -> None:
        self._address = address
        self._engine: WholeEngine | None = None
        self._loading = asyncio.Lock()

    async def start_launch(self, ticket: LaunchInput) -> None:
        await (await self._loaded()).start_launch(ticket)

    async def cancel_launch(self, launch_id: str) -> None:
        await (await self._loaded()).cancel_launch(launch_id)

    async def ask_machine(self, vm_id: str, asked: CommandRequest) -> CommandResult:
        return await (await self._loaded()).ask_machine(vm_id, asked)

    async def pair_machine(self, vm_id: str, pin: Pin) -> PairResult:
        return await (await self._loaded()).pair_machine(vm_id, pin)

    async def start_machine(self, vm_id: str, *, abandoned: bool = False) -> bool:
        return await (await self._loaded()).start_machine(vm_id, abandoned=abandoned)

    async def open_workflows(self) -> frozenset[str]:
        return await (await self._loaded()).open_workflows()

    async def is_open(self, workflow_id: str) -> bool:
        return await (await self._loaded()).is_open(workflow_id)

    async def start_pairing(self, pairing: PairingInput) -> None:
        await (await self._loaded()).start_pairing(pairing)

    async def refresh_images(self, refresh: ImageRefresh) -> None:
        await (await self._loaded()).refresh_images(refresh)

    async def ping(self) -> None:
        await (await self._loaded()).ping()

    async def _loaded(self) -> WholeEngine:
        async with self._loading:
            if self._engine is None:
                module = await asyncio.to_thread(importlib.import_module, "launch.temporal_client")
                self._engine = await module.TemporalWorkflowClient.connect(self._address)
            return self._engine
