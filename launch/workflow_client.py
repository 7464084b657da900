"""Temporal's client as the gateway uses it: start a launch, cancel it, check availability."""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fleet.messages import CommandRequest, CommandResult, PairingInput, PairResult, Pin
from fleet.owners import Workflows
from fleet.warm_pool.holding import KnownWorkflows
from launch.messages import ImageRefresh, LaunchInput


class LaunchStarter(Protocol):
    """Starts launches."""

    async def start_launch(self, ticket: LaunchInput) -> None:
        """Start a launch. Starting it twice is harmless."""
        ...


class WorkflowClient(LaunchStarter, Protocol):
    """The part of Temporal's client that requests need. Responds within seconds or raises UnavailableError."""

    async def cancel_launch(self, launch_id: str) -> None:
        """Request the end of a launch. Raises InvalidStateError if it is no longer running."""
        ...

    async def ask_machine(self, vm_id: str, asked: CommandRequest) -> CommandResult:
        """Send a command to a machine's workflow; return once it has begun or was rejected."""
        ...

    async def pair_machine(self, vm_id: str, pin: Pin) -> PairResult:
        """Send a PIN to a machine's workflow; return once the device is paired, or failed to be."""
        ...

    async def start_pairing(self, pairing: PairingInput) -> None:
        """Have a worker hand the window's PIN to the device that asks for it; answered once that has begun."""
        ...

    async def refresh_images(self, refresh: ImageRefresh) -> None:
        """Have a worker ask the registries for digests of emulator images; answered when it has."""
        ...

    async def ping(self) -> None: ...


class WholeEngine(WorkflowClient, Workflows, KnownWorkflows, Protocol):
    """The part of Temporal's client that the service needs."""


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """Temporal's address and credentials. The repr shows no credential."""

    host: str
    namespace: str
    task_queue: str
    api_key: str | None = None
    tls_cert_path: Path | None = None
    tls_key_path: Path | None = None

    def __repr__(self) -> str:
        return f"EngineAddress({self.host!r}, {self.namespace!r})"


class LazyWorkflowClient:
    """Loads Temporal's client in a thread when it is first needed: the import alone takes most of a second of CPU."""

    def __init__(self, address: EngineAddress) -> None:
        self._address = address
        self._engine: WholeEngine | None = None
        self._loading = asyncio.Lock()

    async def start_launch(self, ticket: LaunchInput) -> None:
        await (await self._load()).start_launch(ticket)

    async def cancel_launch(self, launch_id: str) -> None:
        await (await self._load()).cancel_launch(launch_id)

    async def ask_machine(self, vm_id: str, asked: CommandRequest) -> CommandResult:
        return await (await self._load()).ask_machine(vm_id, asked)

    async def pair_machine(self, vm_id: str, pin: Pin) -> PairResult:
        return await (await self._load()).pair_machine(vm_id, pin)

    async def start_machine(self, vm_id: str, *, abandoned: bool = False) -> bool:
        return await (await self._load()).start_machine(vm_id, abandoned=abandoned)

    async def open_workflows(self) -> frozenset[str]:
        return await (await self._load()).open_workflows()

    async def is_open(self, workflow_id: str) -> bool:
        return await (await self._load()).is_open(workflow_id)

    async def was_started(self, workflow_id: str) -> bool:
        return await (await self._load()).was_started(workflow_id)

    async def start_pairing(self, pairing: PairingInput) -> None:
        await (await self._load()).start_pairing(pairing)

    async def refresh_images(self, refresh: ImageRefresh) -> None:
        await (await self._load()).refresh_images(refresh)

    async def ping(self) -> None:
        await (await self._load()).ping()

    async def _load(self) -> WholeEngine:
        async with self._loading:
            if self._engine is None:
                module = await asyncio.to_thread(importlib.import_module, "launch.temporal_client")
                self._engine = await module.TemporalWorkflowClient.connect(self._address)
            return self._engine
