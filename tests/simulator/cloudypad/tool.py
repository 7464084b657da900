"""Runs the executable as a service would: argument list, closed input, both outputs kept apart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from simulator.cloudypad import world as cloudypad_world
from simulator.machines.pool import MachinePark
from simulator.simulation import Simulation


@dataclass(frozen=True, slots=True)
class Ended:
    status: int
    stdout: str
    stderr: str


CALLBACK = {"ANSIBLE_STDOUT_CALLBACK": "community.general.unixy"}  # as CloudyPad's own image sets it


class Tool:
    def __init__(self, command: str, home: Path) -> None:
        self._command = command
        self.home = home

    def in_real_time(self, folder: Path) -> Tool:
        """Return the same executable whose clock does not hurry, for tests that act while it runs."""
        command = folder / "cloudypad-in-real-time"
        command.write_text(re.sub(rf"({cloudypad_world.CLOCK_FACTOR})=\S+", r"\1=1", Path(self._command).read_text()))
        command.chmod(0o755)
        return Tool(str(command), self.home)

    async def run(self, *argv: str, **environment: str) -> Ended:
        process = await self.started(*argv, **environment)
        stdout, stderr = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, stdout.decode(), stderr.decode())

    async def started(self, *argv: str, **environment: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            self._command,
            *argv,
            env={"CLOUDYPAD_HOME": str(self.home), "PATH": "/usr/bin:/bin", **CALLBACK, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    async def get(self, name: str) -> dict[str, Any]:
        ended = await self.run("get", name, CLOUDYPAD_LOG_LEVEL="6")
        assert ended.status == 0, ended
        return dict(json.loads(ended.stdout))

    def state(self, name: str) -> dict[str, Any]:
        return dict(yaml.safe_load((self.home / "instances" / name / "state.yml").read_text()))

    def names(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return sorted(path.name for path in (self.home / "instances").iterdir())
        return []

    def events(self, name: str) -> list[str]:
        return [event["type"] for event in self.state(name)["events"]]


def park_of(world: Simulation) -> MachinePark:
    """The machines themselves, to look at and to act on from inside."""
    assert isinstance(world.park, MachinePark)
    return world.park
