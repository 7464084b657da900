"""The playbook: waits until SSH lets it in, has the simulator set the machine up, and reports as Ansible does."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncssh

from simulator.cloudypad import cloud, world
from simulator.cloudypad.connection import Login
from simulator.cloudypad.output import output_for
from simulator.cloudypad.terminal import CommandError

REACHABLE_WITHIN_S = 600
LOOK_EVERY_S = 5
FAILED = 2
SHORTEST_WAIT_S = 10  # real time: a machine that is there needs some of it, however fast the clock


class TaskFailedError(Exception):
    """A task failed; the message is Ansible's `msg`."""


class Playbook:
    """The tasks in their order, until one fails."""

    def __init__(self, inventory: Mapping[str, Any]) -> None:
        self._inventory = inventory
        self._host = str(inventory["host"])
        self._login = Login.of(self._host, str(inventory["name"]), inventory["ssh"])
        self._output = output_for(self._host)
        self._counts = {"ok": 0, "changed": 0, "failed": 0, "skipped": 0}

    async def run(self) -> int:
        self._output.begin("Configure instance")
        try:
            for name, task in self._tasks():
                await self._do(name, task)
        except TaskFailedError:
            pass
        numbers = " ".join(f"{key}={self._counts[key]}" for key in ("ok", "changed"))
        self._output.recap(f"{numbers} unreachable=0 failed={self._counts['failed']} rescued=0 ignored=0")
        return FAILED if self._counts["failed"] else 0

    def _tasks(self) -> list[tuple[str, Callable[[], Awaitable[bool | None]]]]:
        """Return the name and the function of each task. It returns whether it changed something, None if skipped.

        With tags, these are the tasks that have one of them.
        """
        wanted = set((self._inventory["tags"] or "").split(",")) - {""}
        return [
            (name, task)
            for tags, tasks in self._tagged_tasks()
            for name, task in tasks
            if not wanted or not tags or wanted & tags
        ]

    def _tagged_tasks(self) -> list[tuple[set[str], list[tuple[str, Callable[[], Awaitable[bool | None]]]]]]:
        return [
            (set(), [("Wait for machine to be reachable (timeout: 10min)", self._wait)]),
            ({"prepare-install"}, [("Check that the system is Ubuntu", self._wait)]),
            ({"data-disk"}, [("Mount data disk at /var/lib/cloudypad", self._mount_data_disk)]),
            (
                {"docker"},
                [
                    ("Install Docker packages", self._task("docker")),
                    ("Ensure docker users are added to the docker group", self._task("docker-group")),
                ],
            ),
            (
                {"nvidia"},
                [
                    ("Install linux-modules-extra", self._task("modules")),
                    ("Reboot before NVIDIA driver installation", self._reboot),
                    ("Install NVIDIA driver", self._install_driver),
                    ("Reboot after NVIDIA driver installation", self._reboot_for_driver),
                ],
            ),
            ({"nvidia", "nvidia-container-toolkit"}, [("Install NVIDIA container toolkit", self._task("toolkit"))]),
            ({"rate-limit"}, [("Configure rate limit", self._skip)]),
            (
                {"wolf"},
                [
                    ("Load uinput module", self._task("uinput")),
                    ("Create Wolf udev rules", self._task("udev-rules")),
                    ("Create readiness check script", self._task("readiness")),
                    ("Create Wolf configuration", self._task("wolf-config")),
                    ("Create Wolf docker compose file", self._task("compose-file")),
                    ("Start Wolf", self._task("wolf")),
                ],
            ),
            ({"autostop"}, [("Install autostop service", self._install_autostop)]),
        ]

    async def _do(self, name: str, task: Callable[[], Awaitable[bool | None]]) -> None:
        self._output.task(name)
        try:
            changed = await task()
        except (TaskFailedError, OSError, asyncssh.Error) as error:
            self._counts["failed"] += 1
            self._output.failed(str(error))
            raise TaskFailedError from error
        if changed is None:
            self._counts["skipped"] += 1
            self._output.skipped()
            return
        self._counts["ok"] += 1
        self._counts["changed"] += changed
        self._output.done(changed=bool(changed))

    async def _wait(self) -> bool:
        """Return when a program runs on the machine over SSH."""
        deadline = time.monotonic() + max(REACHABLE_WITHIN_S / world.factor(), SHORTEST_WAIT_S)
        while True:
            try:
                async with self._login.connected() as connection:
                    await connection.run("true", check=True)
                return False
            except (OSError, asyncssh.Error) as error:
                if time.monotonic() > deadline:
                    raise TaskFailedError(f"timed out waiting for ping module test: {error}") from error
            await asyncio.sleep(max(LOOK_EVERY_S / world.factor(), 0.05))

    async def _mount_data_disk(self) -> bool | None:
        return await self._run("data-folder") if self._inventory["data_disk"] else None

    async def _reboot(self) -> bool:
        await self._run("reboot")
        await self._wait()
        return True

    async def _install_driver(self) -> bool:
        self._driver_is_new = await self._run("driver")
        return self._driver_is_new

    async def _reboot_for_driver(self) -> bool | None:
        return await self._reboot() if self._driver_is_new else None

    async def _skip(self) -> None:
        return None

    async def _install_autostop(self) -> bool | None:
        autostop = self._inventory["autostop"]
        if not autostop.get("enable"):
            return None
        return await self._run("autostop", timeout_s=int(autostop.get("timeoutSeconds") or 900))

    def _task(self, name: str) -> Callable[[], Awaitable[bool]]:
        return lambda: self._run(name)

    async def _run(self, task: str, **arguments: object) -> bool:
        """Have the simulator run a task on the machine, and return whether it changed something."""
        name = str(self._inventory["name"])
        order = {"task": task, "instance": name, "user": self._login.user, "host": self._host, **arguments}
        try:
            order["ssh_port"] = world.ssh_port(self._host, name)
            answer = await asyncio.to_thread(cloud.post, "/cloudypad/tasks", order)
        except (CommandError, OSError) as error:
            raise TaskFailedError(str(error)) from error
        return bool(answer["changed"])


if __name__ == "__main__":
    sys.exit(asyncio.run(Playbook(json.load(sys.stdin)).run()))
