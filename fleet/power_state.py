"""Whether a machine that does not respond is on at all: only its cloud can say."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, TypeVar

from errors import MachineLostError, ProviderBusyError
from models.vms import Vm
from providers.base import MachineId, MachineState
from providers.registry import Registry

T = TypeVar("T")

OFF: Final = frozenset(
    {MachineState.STOPPED, MachineState.STOPPED_RELEASED, MachineState.BROKEN, MachineState.VANISHED}
)


async def while_on(registry: Registry, vm: Vm, work: Awaitable[T]) -> T:
    """What the work on a machine returns. What fails because its cloud has lost it or turned it off is not worth
    another try: MachineLostError."""
    try:
        return await work
    except ProviderBusyError as error:
        machine = await registry.get(vm.provider).machine(MachineId(vm.provider_id or ""))
        if machine is None or machine.state in OFF:
            raise MachineLostError(f"the machine is not on any more: {error.message}") from error
        raise
