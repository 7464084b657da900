"""The parts of a machine that need no other part: disk, packages, journal, mounts, network counters."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from simulator.addresses import MachineAddress
from simulator.clock import Clock
from simulator.google.instance_metadata import InstanceMetadata
from simulator.machines.container import WolfShape
from simulator.machines.files import Files
from simulator.machines.firewall import Firewall
from simulator.machines.journal import Journal
from simulator.machines.mounts import MountTable
from simulator.machines.packages import Packages
from simulator.machines.shutdown_delay import ShutdownDelay
from simulator.machines.traffic import Traffic
from simulator.machines.tree import ROOT_UID, FileTree
from simulator.registry.catalog import ImageCatalog

PROGRAM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/bin")


class Host:
    """`folder` holds the disk in `root`. `faults` names the faults that are on."""

    def __init__(
        self, folder: Path, name: str, address: MachineAddress, clock: Clock, images_of_the_world: ImageCatalog
    ) -> None:
        self.folder = folder
        self.name = name
        self.address = address
        self.clock = clock
        self.images_of_the_world = images_of_the_world
        self.faults: set[str] = set()
        self.tree = FileTree(folder / "root", folder / "owners.json")
        self.root_files = Files(self.tree, ROOT_UID)
        self.mounts = MountTable(self.tree)
        self.packages = Packages(self.tree, clock, self.faults)
        self.journal = Journal(self.tree)
        self.traffic = Traffic(clock)
        self.firewall = Firewall(self.traffic)
        self.shutdown_delay = ShutdownDelay(self.root_files, clock)
        self.metadata: InstanceMetadata | None = None  # of machines at Google
        self.wolf_shape = WolfShape.NEWER
        self.is_on = False
        self.booted_at = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()

    def in_background(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        """Run something for as long as the machine is on."""
        task: asyncio.Task[object] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def which(self, program: str) -> str | None:
        """Return the path of an executable file, by its name or its path."""
        places = [program] if "/" in program else [f"{folder}/{program}" for folder in PROGRAM_FOLDERS]
        return next((place for place in places if self._is_executable(place)), None)

    async def end_background(self) -> None:
        """Cancel everything that runs in the background and wait until it has ended."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_executable(self, path: str) -> bool:
        files = self.root_files
        return files.is_file(path) and bool(files.stat(path).st_mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH))
