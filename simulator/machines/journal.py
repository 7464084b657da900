"""The output of services."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.machines.files import Files
from simulator.machines.tree import ROOT_UID, FileTree

FOLDER = "/var/log/journal"


class Journal:
    """One file a unit, on the machine's disk."""

    def __init__(self, tree: FileTree) -> None:
        self._files = Files(tree, ROOT_UID)

    def append(self, unit: str, data: bytes) -> None:
        self._files.mkdir(FOLDER, parents=True)
        with self._files.open(f"{FOLDER}/{unit}.log", "a") as file:
            file.write(data)

    def lines(self, unit: str) -> list[str]:
        path = f"{FOLDER}/{unit}.log"
        return self._files.read_text(path).splitlines() if self._files.is_file(path) else []


@dataclass(frozen=True, slots=True)
class JournalOfUnit:
    """The output of one unit."""

    journal: Journal
    unit: str

    def write(self, data: bytes) -> None:
        self.journal.append(self.unit, data)
