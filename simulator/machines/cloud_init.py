"""The first boot of a machine, as the user-data of its order says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

from simulator.machines import users
from simulator.machines.command import (
    Bytes,
    Command,
    NotSimulatedError,
    Run,
    Streams,
    login_environment,
    parse_command_line,
    report_not_simulated,
)
from simulator.machines.host import Host
from simulator.machines.packages import PackageError
from simulator.machines.users import ROOT

ORDER_FILE = "/var/lib/cloud/instance/order.json"
FINISHED_FILE = "/var/lib/cloud/instance/boot-finished"
OUTPUT_FILE = "/var/log/cloud-init-output.log"
SIMULATED = ("write_files", "package_update", "packages", "runcmd")
# The two shell lines that are known here, by what they do. Tests run the real ones with the real /bin/sh.
LET_IN = re.compile(
    r"id (?P<login>\w+) && mkdir -p (?P<folder>\S+) && touch (?P<file>\S+)"
    r" && \{ grep -qxF '(?P<key>[^']+)' (?P=file) \|\| echo '(?P=key)' >> (?P=file); \}"
    r" && chmod 700 (?P=folder) && chmod 600 (?P=file) && chown -R (?P=login): (?P=folder)"
)
ALLOW_SUDO = re.compile(
    r"id (?P<login>\w+) && echo '(?P<rule>[^']+)' > (?P<draft>\S+) && chmod 440 (?P=draft)"
    r" && visudo -cqf (?P=draft) && mv (?P=draft) (?P<file>\S+)"
)


class CloudInit:
    """The user-data of one machine, in TensorDock's structured form: packages and commands."""

    def __init__(self, host: Host, run: Run) -> None:
        self._host = host
        self._run_program = run
        self.failed = False
        self._finished = asyncio.Event()

    @property
    def is_done(self) -> bool:
        return self._host.root_files.exists(FINISHED_FILE)

    def order(self, order: Mapping[str, Any]) -> None:
        self._host.root_files.write(ORDER_FILE, json.dumps(dict(order)))

    async def wait_until_done(self) -> None:
        if not self.is_done:
            await self._finished.wait()

    async def run(self) -> None:
        """Carry the order out, once in a machine's life. A part that fails does not stop the rest."""
        if self.is_done:
            return
        order = json.loads(self._host.root_files.read_text(ORDER_FILE))
        await self._host.clock.sleep(self._host.clock.delays.first_boot_s)
        for key in order.keys() - set(SIMULATED):
            report_not_simulated(self._host.name, self._streams(), NotSimulatedError(f"user-data: {key}"))
            self.failed = True
        for file in order.get("write_files") or ():
            self._write(str(file["path"]), str(file["content"]), int(str(file.get("permissions", "0644")), 8))
        if self._host.packages.upgrade_themselves:
            await self._host.clock.sleep(self._host.clock.delays.upgrades_s)
        await self._install(order)
        for command in order.get("runcmd") or ():
            status = await self._run(command)
            self.failed = self.failed or status != 0
        self._host.root_files.write(FINISHED_FILE, "Cloud-init v. 24.4 finished\n")
        self._finished.set()

    def _write(self, path: str, content: str, mode: int) -> None:
        files = self._host.root_files
        files.mkdir(path.rpartition("/")[0], parents=True)
        files.write(path, content)
        files.chmod(path, mode)

    async def _install(self, order: Mapping[str, Any]) -> None:
        try:
            if order.get("package_update"):
                await self._host.packages.update()
            await self._host.packages.install([str(name) for name in order.get("packages") or ()])
        except PackageError as error:
            self.failed = True
            _Log(self._host).write(f"{error}\n".encode())

    async def _run(self, command: str | list[str]) -> int:
        streams = self._streams()
        if isinstance(command, str) and (found := LET_IN.fullmatch(command)):
            return self._let_in(found["login"], found["key"])
        if isinstance(command, str) and (found := ALLOW_SUDO.fullmatch(command)):
            return self._allow_sudo(found["login"], found["rule"], found["file"])
        try:
            argv = parse_command_line(command) if isinstance(command, str) else tuple(command)
        except NotSimulatedError as error:
            return report_not_simulated(self._host.name, streams, error)
        return await self._run_program(Command(argv, ROOT, streams, "/", login_environment(ROOT)))

    def _streams(self) -> Streams:
        output = _Log(self._host)
        return Streams(Bytes(), output, output)

    def _let_in(self, login: str, key: str) -> int:
        user = users.find(self._host.tree, login)
        if user:
            users.authorize(self._host.tree, user, [*users.key_lines(self._host.tree, user), key])
        return 0 if user else 1

    def _allow_sudo(self, login: str, rule: str, file: str) -> int:
        user = users.find(self._host.tree, login)
        if user:
            self._host.root_files.write(file, f"{rule}\n")
            self._host.root_files.chmod(file, 0o440)
        return 0 if user else 1


class _Log:
    """The log of the first boot, as an output of programs."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def write(self, data: bytes) -> None:
        with self._host.root_files.open(OUTPUT_FILE, "a") as file:
            file.write(data)
