"""The interface between the simulated clouds and their machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class MachineAddress(Protocol):
    """The address of a machine. `ports` maps its port numbers to those outside; empty when they are the same."""

    @property
    def ip(self) -> str: ...
    @property
    def ports(self) -> Mapping[int, int]: ...


class Park(Protocol):
    """Machines that answer SSH and HTTP like real ones. Their ids are the cloud's."""

    async def create(
        self,
        machine_id: str,
        *,
        user: str,
        authorized_keys: Sequence[str],
        cloud_init: Mapping[str, Any] | None,
        packages: Sequence[str] = (),
    ) -> MachineAddress:
        """Create a machine, powered off, with an address that stays its own. Its image brings the packages."""
        ...

    async def power_on(self, machine_id: str) -> None: ...

    async def power_off(self, machine_id: str) -> None: ...

    async def destroy(self, machine_id: str) -> None: ...

    async def restore(self) -> None:
        """Load the machines of an earlier run, all powered off."""
        ...

    def set_fault(self, machine_id: str | None, fault: str, on: bool) -> None: ...

    async def close(self) -> None: ...
