"""Embedded services for development: the database, Temporal and the simulated clouds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final

from embedded.child import Child, ChildSpec, EmbeddedError
from embedded.mongodb import mongodb_spec
from embedded.sharing import SharedChildren
from embedded.simulator import SimulatorOptions, simulator_environment, simulator_spec
from embedded.temporal import temporal_spec

NEEDED_BYTES: Final = 100_000_000
LEFT_BYTES: Final = 10_000_000
SPACE_EVERY_S: Final = 5.0
EXAMPLE: Final = "Example: DATA_DIR=/var/lib/gamer"


log = logging.getLogger("embedded")


@dataclass(frozen=True, slots=True)
class Running:
    """Where the embedded services are. Services that were not requested are None or empty."""

    mongodb_uri: str | None = None
    temporal_address: str | None = None
    simulator_environment: Mapping[str, str] = field(default_factory=dict)


class EmbeddedServices:
    """Starts services below `data_dir`, or joins those that already run there. The last process to leave ends them.

    Raises EmbeddedError, a single line, if a service cannot be started.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        mongodb: bool = True,
        temporal: bool = True,
        simulator: SimulatorOptions | None = None,
        temporal_namespace: str = "default",
        environment: Mapping[str, str] = os.environ,
        needed_bytes: int = NEEDED_BYTES,
        left_bytes: int = LEFT_BYTES,
    ) -> None:
        """`needed_bytes` must be free at the start; less than `left_bytes` later is logged once."""
        self._folder = data_dir.absolute() / "embedded"
        self._mongodb = mongodb
        self._temporal = temporal
        self._simulator = simulator
        self._namespace = temporal_namespace
        self._environment = environment
        self._needed_bytes = needed_bytes
        self._left_bytes = left_bytes
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Running:
        if not (self._mongodb or self._temporal or self._simulator):
            return Running()
        try:
            self._check_space()
            running = _where(await self._running.enter_async_context(SharedChildren(self._folder, self._specs)))
            await self._running.enter_async_context(_running(self._watch_space()))
            return running
        except OSError as error:
            raise EmbeddedError(f"DATA_DIR: {error.filename}: {error.strerror}. {EXAMPLE}") from None

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._running.aclose()

    def _check_space(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        free_bytes = shutil.disk_usage(self._folder).free
        if free_bytes < self._needed_bytes:
            raise EmbeddedError(
                f"DATA_DIR: {self._folder} has no space: {free_bytes // 1_000_000} MB are free, "
                f"{self._needed_bytes // 1_000_000} MB are needed. {EXAMPLE}"
            )

    async def _watch_space(self) -> None:
        """Log when the disk is full, and when it no longer is. The children report it only in their own logs."""
        short = False
        while True:
            free_bytes = shutil.disk_usage(self._folder).free
            if short != (free_bytes < self._left_bytes):
                short = not short
                event = "DATA_DIR has no space left" if short else "DATA_DIR has space again"
                level = logging.ERROR if short else logging.INFO
                log.log(level, event, extra={"folder": str(self._folder), "free_mb": free_bytes // 1_000_000})
            await asyncio.sleep(SPACE_EVERY_S)

    async def _specs(self) -> list[ChildSpec]:
        specs = []
        if self._mongodb:
            specs.append(mongodb_spec(self._folder / "mongodb"))
        if self._temporal:
            specs.append(await temporal_spec(self._folder / "temporal", self._namespace, self._environment))
        if self._simulator:
            specs.append(simulator_spec(self._folder / "simulator", self._simulator))
        return specs


@contextlib.asynccontextmanager
async def _running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _where(children: Mapping[str, Child]) -> Running:
    mongodb, temporal, simulator = (children.get(name) for name in ("mongodb", "temporal", "simulator"))
    return Running(
        mongodb_uri=f"mongodb://127.0.0.1:{mongodb.port}" if mongodb else None,
        temporal_address=f"127.0.0.1:{temporal.port}" if temporal else None,
        simulator_environment=simulator_environment(simulator.output()) if simulator else {},
    )
