"""What the cloud told a machine to do when it comes up for the first time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simulator.machines import users
from simulator.machines.programs.call import ROOT
from simulator.machines.shell.streams import Bytes, Streams

if TYPE_CHECKING:
    from simulator.machines.machine import Machine

ORDER_FILE = "/var/lib/cloud/instance/order.json"
FINISHED_FILE = "/var/lib/cloud/instance/boot-finished"
OUTPUT_FILE = "/var/log/cloud-init-output.log"
BOOT_TAKES_S = 5.0


class CloudInit:
    """`write_files`, then packages, then `runcmd`, as in TensorDock's structured form."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.failed = False
        self._finished = asyncio.Event()

    @property
    def is_done(self) -> bool:
        return self._machine.root_files.exists(FINISHED_FILE)

    def order(self, order: Mapping[str, Any]) -> None:
        self._machine.root_files.write(ORDER_FILE, json.dumps(dict(order)))

    async def finished(self) -> None:
        """Until it is done."""
        if not self.is_done:
            await self._finished.wait()

    async def run(self) -> None:
        """Carry the order out, once in a machine's life; what fails is written down and does not stop the rest."""
        if self.is_done:
            return
        files = self._machine.root_files
        order = json.loads(files.read_text(ORDER_FILE))
        await self._machine.clock.sleep(BOOT_TAKES_S)
        for file in order.get("write_files") or ():
            self._write(file)
        commands = [f"apt-get {verb}" for verb in _package_commands(order)] + list(order.get("runcmd") or ())
        for command in commands:
            await self._run(command)
        files.write(FINISHED_FILE, "Cloud-init v. 24.4 finished\n")
        self._finished.set()

    def _write(self, file: Mapping[str, Any]) -> None:
        files, path = self._machine.root_files, str(file["path"])
        files.mkdir(path.rpartition("/")[0] or "/", parents=True)
        files.write(path, str(file.get("content", "")))
        files.chmod(path, int(str(file.get("permissions") or "0644"), 8))
        owner = users.find(self._machine.tree, str(file.get("owner") or "root").partition(":")[0])
        if owner:
            files.chown(path, owner.uid)

    async def _run(self, command: str | list[str]) -> None:
        log_file = _OutputFile(self._machine)
        shell = self._machine.shell(ROOT, cwd="/")
        streams = Streams(Bytes(), log_file, log_file)
        status = await (
            shell.run_text(command, streams) if isinstance(command, str) else shell.start(list(command), streams)
        )
        self.failed = self.failed or status != 0


class _OutputFile:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def write(self, data: bytes) -> None:
        with self._machine.root_files.open(OUTPUT_FILE, "a") as file:
            file.write(data)


def _package_commands(order: Mapping[str, Any]) -> list[str]:
    commands = ["update"] if order.get("package_update") else []
    commands += ["upgrade -y"] if order.get("package_upgrade") else []
    packages = " ".join(str(package) for package in order.get("packages") or ())
    return [*commands, *([f"install -y {packages}"] if packages else [])]
