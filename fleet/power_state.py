"""Determines through the cloud whether a machine that does not respond is on at all."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Final, TypeVar

from errors import MachineLostError, ProviderBusyError
from models.vms import Vm
from providers.base import Machine, MachineId, MachineState
from providers.registry import Registry

T = TypeVar("T")

OFF: Final = frozenset(
    {MachineState.STOPPED, MachineState.STOPPED_RELEASED, MachineState.BROKEN, MachineState.VANISHED}
)


async def while_on(registry: Registry, vm: Vm, work: Awaitable[T]) -> T:
    """Run work on a machine and return its result.

    If the work fails because the cloud lost the machine or turned it off, MachineLostError is raised, because retrying
    is useless.
    """
    try:
        return await work
    except ProviderBusyError as error:
        machine = await registry.get(vm.provider).machine(MachineId(vm.provider_id or ""))
        if machine is None or machine.state in OFF:
            raise MachineLostError(f"the machine is no longer on: {error.message}") from error
        raise


def off_since(vm: Vm, machine: Machine | None) -> datetime:
    """Return when the machine went off, as its cloud says; now if that is unknown, or from before its last start."""
    now, said = datetime.now(UTC), None if machine is None else machine.off_since
    began = max((at for at in (vm.started_at, vm.start_asked_at) if at is not None), default=vm.created_at)
    return said if said is not None and began <= said <= now else now
