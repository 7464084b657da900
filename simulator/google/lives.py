"""The record of every machine of the simulated Google Cloud and its times, to compare bills with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

# As Google bills: a server that is off, or given up, costs its disks. What is being made has its disks from the start.
_ON: Final = frozenset({"PROVISIONING", "STAGING", "RUNNING", "STOPPING"})


@dataclass(slots=True)
class MachineLife:
    """One machine, from its order to the deletion of everything of its name. The next of that name is another."""

    name: str
    at: str
    states: list[dict[str, str]] = field(default_factory=list)  # "on" or "off", and from when
    ended_at: str | None = None


class Lives:
    """All lives, kept in a file as the machines are."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lives: list[MachineLife] = []

    def restore(self) -> None:
        rows = json.loads(self._file.read_text()) if self._file.exists() else []
        self._lives = [MachineLife(**row) for row in rows]

    def note(self, name: str, status: str) -> None:
        now, state = datetime.now(UTC).isoformat(), "on" if status in _ON else "off"
        life = self._current(name)
        if life is None:
            life = MachineLife(name, now)
            self._lives.append(life)
        if not life.states or life.states[-1]["state"] != state:
            life.states.append({"from": now, "state": state})
            self._save()

    def end(self, name: str) -> None:
        if (life := self._current(name)) is not None:
            life.ended_at = datetime.now(UTC).isoformat()
            self._save()

    def told(self) -> list[Mapping[str, Any]]:
        return [asdict(life) for life in self._lives]

    def clear(self) -> None:
        self._lives.clear()
        self._save()

    def _current(self, name: str) -> MachineLife | None:
        return next((life for life in reversed(self._lives) if life.name == name and life.ended_at is None), None)

    def _save(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps([asdict(life) for life in self._lives], indent=1))
        draft.replace(self._file)
