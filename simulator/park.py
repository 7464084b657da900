"""What a simulated cloud needs from the place where its machines stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class MachineAddress(Protocol):
    """Where a machine is reached. `ports` maps its port numbers to those outside; empty when they are the same."""

    @property
    def ip(self) -> str: ...
    @property
    def ports(self) -> Mapping[int, int]: ...


class Park(Protocol):
    """Machines that are real to whoever connects to them. Ids are the cloud's."""

    async def create(
        self, machine_id: str, *, user: str, authorized_keys: Sequence[str], cloud_init: Mapping[str, Any] | None
    ) -> MachineAddress:
        """Make a machine, powered off, with an address that stays its own."""
        ...

    async def power_on(self, machine_id: str) -> None: ...

    async def power_off(self, machine_id: str) -> None: ...

    async def destroy(self, machine_id: str) -> None: ...

    async def restore(self) -> None:
        """Know the machines of an earlier run again, all powered off."""
        ...

    def set_fault(self, machine_id: str | None, fault: str, on: bool) -> None: ...

    async def close(self) -> None: ...
