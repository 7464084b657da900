"""A park whose machines are notes in a book: quick, and open about what was asked of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ToyAddress:
    ip: str
    ports: Mapping[int, int] = field(default_factory=dict)


class ToyPark:
    """Keeps its machines in a file, so that a second park of the same folder finds them."""

    def __init__(self, folder: Path, ports: Mapping[int, int] | None = None) -> None:
        self.made: dict[str, dict[str, Any]] = {}
        self.on: set[str] = set()
        self.faults: set[tuple[str | None, str]] = set()
        self._file = folder / "toy_park.json"
        self._ports = ports or {}

    async def create(
        self,
        machine_id: str,
        *,
        user: str,
        authorized_keys: Sequence[str],
        cloud_init: Mapping[str, Any] | None,
        packages: Sequence[str] = (),
    ) -> ToyAddress:
        address = ToyAddress(f"127.9.0.{len(self.made) + 1}", self._ports)
        self.made[machine_id] = {
            "ip": address.ip,
            "user": user,
            "keys": list(authorized_keys),
            "cloud_init": cloud_init,
        }
        self._file.write_text(json.dumps(self.made))
        return address

    async def power_on(self, machine_id: str) -> None:
        assert machine_id in self.made
        self.on.add(machine_id)

    async def power_off(self, machine_id: str) -> None:
        self.on.discard(machine_id)

    async def destroy(self, machine_id: str) -> None:
        self.on.discard(machine_id)
        self.made.pop(machine_id, None)
        self._file.write_text(json.dumps(self.made))

    async def restore(self) -> None:
        if self._file.exists():
            self.made = json.loads(self._file.read_text())

    def set_fault(self, machine_id: str | None, fault: str, on: bool) -> None:
        (self.faults.add if on else self.faults.discard)((machine_id, str(fault)))

    async def close(self) -> None:
        self.on.clear()
