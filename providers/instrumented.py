"""Reports each call to a provider: the operation, its duration and its outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from time import perf_counter

from errors import MachineLostError, NoCapacityError, ProviderBusyError, ProviderError, ProviderRefusedError
from providers.base import (
    Machine,
    MachineId,
    Offer,
    OrderPermit,
    ProgressCallback,
    Provider,
    ProviderHealth,
    ProviderName,
    Shape,
    Site,
    Tag,
    always_permit,
    no_progress,
)
from tracing import spans

# provider, operation, outcome, seconds
Listener = Callable[[ProviderName, str, str, float], None]


class InstrumentedProvider:
    """Delegates to a provider and changes nothing. Calls that the provider serves from a cache count too."""

    def __init__(
        self, inner: Provider, listener: Listener, health: Callable[[], Awaitable[ProviderHealth]] | None = None
    ) -> None:
        """Use `health` instead of the provider's own check, for processes that read the health from elsewhere."""
        self._inner = inner
        self._listener = listener
        self._health = health or inner.health

    @property
    def name(self) -> ProviderName:
        return self._inner.name

    async def sites(self) -> Sequence[Site]:
        with self._timed("sites"):
            return await self._inner.sites()

    def offer(self, site: Site, shape: Shape) -> Offer | None:
        return self._inner.offer(site, shape)

    async def rent(
        self,
        offer: Offer,
        tag: Tag,
        *,
        ordered_at: datetime | None = None,
        permit: OrderPermit = always_permit,
        report: ProgressCallback = no_progress,
    ) -> Machine:
        with self._timed("rent"):
            return await self._inner.rent(offer, tag, ordered_at=ordered_at, permit=permit, report=report)

    async def machine(self, machine_id: MachineId) -> Machine | None:
        with self._timed("machine"):
            return await self._inner.machine(machine_id)

    async def machines(self) -> Sequence[Machine]:
        with self._timed("machines"):
            return await self._inner.machines()

    async def start(self, machine_id: MachineId) -> None:
        with self._timed("start"):
            await self._inner.start(machine_id)

    async def stop(self, machine_id: MachineId) -> None:
        with self._timed("stop"):
            await self._inner.stop(machine_id)

    async def release(self, machine_id: MachineId) -> None:
        with self._timed("release"):
            await self._inner.release(machine_id)

    async def health(self) -> ProviderHealth:
        with self._timed("health"):
            return await self._health()

    @contextmanager
    def _timed(self, operation: str) -> Iterator[None]:
        begun, outcome = perf_counter(), "interrupted"
        with spans.call(f"{self._inner.name.value} {operation}", {"gamer.provider": self._inner.name.value}) as span:
            try:
                yield
                outcome = "ok"
            except Exception as error:
                outcome = outcome_of(error)
                raise
            finally:
                span.note("gamer.outcome", outcome)
                self._listener(self._inner.name, operation, outcome, perf_counter() - begun)


def outcome_of(error: Exception) -> str:
    """Return a label for an error, by what the caller does next."""
    match error:
        case NoCapacityError():
            return "no_capacity"
        case MachineLostError():
            return "machine_lost"
        case ProviderBusyError():
            return "busy"
        case ProviderRefusedError():
            return "refused"
        case ProviderError():
            return "failed"
    return "unforeseen"
