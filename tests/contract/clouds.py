"""The clouds that the contract is held against: what a test may do to one, behind the back of its provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from providers.base import Provider, ProviderName, Shape, Tag
from providers.http import Http
from providers.tensordock.provider import TensorDock, TensorDockOptions
from simulator.simulation import Simulation, SimulationOptions

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBxGamerProvisionerTestKey"
SETTLE_S = 0.5


class CloudUnderTest(Protocol):
    """A real provider's other side, with bad days to order."""

    name: ProviderName
    shape: Shape  # of a machine that it certainly has

    def provider(self) -> Provider:
        """One more process's provider: it shares nothing with the others."""
        ...

    async def machines_named(self, name: str) -> list[str]:
        """The cloud's own word for which machines carry this name, deleted ones not among them."""
        ...

    async def ever_ordered(self, tag: Tag) -> int: ...

    async def add_foreign(self, name: str) -> None: ...

    async def lose_next_answer_to_an_order(self) -> None:
        """The order is taken, its answer never comes."""
        ...

    async def drop_next_order(self) -> None:
        """The connection breaks, the order is not taken."""
        ...

    async def lag_list(self) -> None:
        """The next machine is missing from lists for a while, but less than the settle time."""
        ...

    async def fail_next_release(self, *, done: bool) -> None: ...

    async def fill_site(self, site_id: str) -> None: ...

    async def sell_out(self) -> None:
        """From now on the stock is empty."""
        ...

    async def lose_machine(self, tag: Tag) -> None:
        """The machine ends by itself."""
        ...

    async def refuse_credentials(self) -> None: ...

    async def storm(self) -> None:
        """From now on orders and questions go wrong in every way that the cloud knows, by chance."""
        ...


MakeCloud = Callable[[Path], AbstractAsyncContextManager[CloudUnderTest]]


class SimulatedTensorDock:
    name = ProviderName.TENSORDOCK
    shape = Shape(vcpus=8, ram_gb=16, storage_gb=200, min_vram_gb=16, gpu_models=("geforcertx4090",))

    def __init__(self, simulation: Simulation, control: aiohttp.ClientSession) -> None:
        self._simulation = simulation
        self._control = control
        self.opened: list[tuple[TensorDock, Http]] = []

    def provider(self) -> TensorDock:
        variables = self._simulation.environment()
        options = TensorDockOptions(
            url=variables["TENSORDOCK_API_URL"],
            token=variables["TENSORDOCK_API_TOKEN"],
            key=variables["TENSORDOCK_API_KEY"],
            ssh_public_key=PUBLIC_KEY,
            requests_per_second=200,
            settle_s=SETTLE_S,
            slow_timeout_s=1.5,
            leave_within_s=0.5,
            sites_kept_s=0,
            health_kept_s=0,
            simulated=True,
        )
        http = Http()
        self.opened.append((TensorDock(options, http), http))
        return self.opened[-1][0]

    async def machines_named(self, name: str) -> list[str]:
        told = await self._ask("GET", "machines")
        return [machine["id"] for machine in told["machines"] if machine["name"] == name]

    async def ever_ordered(self, tag: Tag) -> int:
        told: dict[str, int] = (await self._ask("GET", "machines"))["ever_created_by_name"]
        return told.get(tag, 0)

    async def add_foreign(self, name: str) -> None:
        await self._ask("POST", "machines", {"name": name})

    async def lose_next_answer_to_an_order(self) -> None:
        await self._fault(kind="answer-lost", operation="create")

    async def drop_next_order(self) -> None:
        await self._fault(kind="connection-cut", operation="create")

    async def lag_list(self) -> None:
        await self._fault(kind="list-lag", seconds=SETTLE_S / 2)

    async def fail_next_release(self, *, done: bool) -> None:
        await self._fault(kind="server-error", operation="delete", done=done)

    async def fill_site(self, site_id: str) -> None:
        await self._fault(kind="capacity", hostnode=site_id, times="always")

    async def sell_out(self) -> None:
        await self._fault(kind="empty-stock", times="always")

    async def lose_machine(self, tag: Tag) -> None:
        await self._fault(kind="vanish", machine=tag)

    async def refuse_credentials(self) -> None:
        await self._fault(kind="credentials-refused", times="always")

    async def storm(self) -> None:
        often: dict[str, Any] = {"times": "always", "probability": 0.12}
        for kind in ("answer-lost", "connection-cut", "garbage"):
            await self._fault(kind=kind, operation="create", **often)
        await self._fault(kind="html", operation="create", status=200, done=True, **often)
        await self._fault(kind="list-lag", seconds=SETTLE_S / 2, **often)
        for kind in ("html", "connection-cut", "rate-limited"):
            await self._fault(kind=kind, operation="list", times="always", probability=0.05)
        for shape in ("flat", "attributes"):
            await self._fault(kind="list-shape", shape=shape, **often)

    async def _fault(self, **order: Any) -> None:
        await self._ask("POST", "faults", order)

    async def _ask(self, method: str, path: str, body: object = None) -> Any:
        async with self._control.request(method, f"{self._simulation.control_url}/{path}", json=body) as reply:
            told = await reply.json()
            assert reply.ok, told
            return told


@asynccontextmanager
async def simulated_tensordock(folder: Path) -> AsyncIterator[CloudUnderTest]:
    options = SimulationOptions(folder, clock_factor=1000)
    async with Simulation(options) as simulation, aiohttp.ClientSession() as control:
        cloud = SimulatedTensorDock(simulation, control)
        try:
            yield cloud
        finally:
            for provider, http in cloud.opened:
                await provider.close()
                await http.close()


CLOUDS: dict[str, MakeCloud] = {"tensordock": simulated_tensordock}
