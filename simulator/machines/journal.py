"""What services printed."""

from __future__ import annotations

from simulator.machines.files import Files
from simulator.machines.tree import ROOT_UID, FileTree

FOLDER = "/var/log/journal"


class Journal:
    """One file a unit, in the machine's own tree."""

    def __init__(self, tree: FileTree) -> None:
        self._files = Files(tree, ROOT_UID)

    def of(self, unit: str) -> JournalOfUnit:
        return JournalOfUnit(self, unit)

    def append(self, unit: str, data: bytes) -> None:
        self._files.mkdir(FOLDER, parents=True)
        with self._files.open(f"{FOLDER}/{unit}.log", "a") as file:
            file.write(data)

    def lines(self, unit: str) -> list[str]:
        path = f"{FOLDER}/{unit}.log"
        return self._files.read_text(path).splitlines() if self._files.is_file(path) else []


class JournalOfUnit:
    """Takes the output of one unit."""

    def __init__(self, journal: Journal, unit: str) -> None:
        self._journal = journal
        self._unit = unit

    def write(self, data: bytes) -> None:
        self._journal.append(self._unit, data)
