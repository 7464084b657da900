"""The playbook: really sets a machine up over SSH, and tells so as Ansible does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncssh

from simulator.cloudypad import templates, world
from simulator.cloudypad.connection import Login
from simulator.cloudypad.output import output_for

REACHABLE_WITHIN_S = 600
LOOK_EVERY_S = 5
FAILED = 2
SHORTEST_WAIT_S = 10  # real time: a machine that is there needs some of it, however fast the clock


class TaskFailedError(Exception):
    """A task failed; the message is Ansible's `msg`."""


class Playbook:
    """Tasks one after another, until one fails."""

    def __init__(self, inventory: Mapping[str, Any]) -> None:
        self._inventory = inventory
        self._host = str(inventory["host"])
        self._login = Login.of(self._host, str(inventory["name"]), inventory["ssh"])
        self._connection: asyncssh.SSHClientConnection | None = None
        self._output = output_for(self._host)
        self._counts = {"ok": 0, "changed": 0, "failed": 0, "skipped": 0}

    async def run(self) -> int:
        self._output.begin("Configure instance")
        try:
            for name, task in self._tasks():
                await self._do(name, task)
        except TaskFailedError:
            pass
        finally:
            await self._hang_up()
        numbers = " ".join(f"{key}={self._counts[key]}" for key in ("ok", "changed"))
        self._output.recap(f"{numbers} unreachable=0 failed={self._counts['failed']} rescued=0 ignored=0")
        return FAILED if self._counts["failed"] else 0

    def _tasks(self) -> list[tuple[str, Callable[[], Awaitable[bool | None]]]]:
        """Name and work of each; a task says whether it changed something, None when it does not apply."""
        reachable = [("Wait for machine to be reachable (timeout: 10min)", self._wait)]
        data_disk = [("Mount data disk at /var/lib/cloudypad", self._mount_data_disk)]
        if self._inventory["tags"]:
            return [*reachable, *data_disk]
        return [
            *reachable,
            ("Check that the system is Ubuntu", self._check_system),
            *data_disk,
            ("Install Docker packages", self._install_docker),
            ("Ensure docker users are added to the docker group", self._add_to_group),
            ("Install linux-modules-extra", self._install_modules),
            ("Reboot before NVIDIA driver installation", self._reboot),
            ("Install NVIDIA driver", self._install_driver),
            ("Reboot after NVIDIA driver installation", self._reboot_for_driver),
            ("Install NVIDIA container toolkit", self._install_toolkit),
            ("Configure rate limit", self._skip),
            ("Load uinput module", self._load_uinput),
            ("Create Wolf udev rules", self._write_udev_rules),
            ("Create readiness check script", self._write_readiness),
            ("Create Wolf configuration", self._write_wolf_config),
            ("Create Wolf docker compose file", self._write_compose),
            ("Start Wolf", self._start_wolf),
            ("Install autostop service", self._install_autostop),
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
        deadline = time.monotonic() + max(REACHABLE_WITHIN_S / world.factor(), SHORTEST_WAIT_S)
        while True:
            try:
                await self._run("true")
                return False
            except (OSError, asyncssh.Error, TaskFailedError) as error:
                if time.monotonic() > deadline:
                    raise TaskFailedError(f"timed out waiting for ping module test: {error}") from error
            await asyncio.sleep(max(LOOK_EVERY_S / world.factor(), 0.05))

    async def _check_system(self) -> bool:
        if "ID=ubuntu" not in await self._run("cat", "/etc/os-release"):
            raise TaskFailedError("not an Ubuntu system")
        await self._sudo("true")
        return False

    async def _mount_data_disk(self) -> bool | None:
        if not self._inventory["data_disk"]:
            return None
        await self._sudo("mkdir", "-p", "/var/lib/cloudypad")
        return True

    async def _install_docker(self) -> bool:
        await self._sudo("apt-get", "update")
        return await self._install("docker-ce", "docker-compose-plugin")

    async def _add_to_group(self) -> bool:
        await self._sudo("usermod", "-aG", "docker", self._login.user)
        return True

    async def _install_modules(self) -> bool:
        return await self._install("linux-modules-extra")

    async def _reboot(self) -> bool:
        before = await self._boot_id()
        with contextlib.suppress(OSError, asyncssh.Error, TaskFailedError):
            await self._sudo("reboot")  # the connection may go before the answer comes
        await self._hang_up()
        deadline = time.monotonic() + max(REACHABLE_WITHIN_S / world.factor(), SHORTEST_WAIT_S)
        while time.monotonic() < deadline:
            await asyncio.sleep(max(LOOK_EVERY_S / world.factor(), 0.05))
            with contextlib.suppress(OSError, asyncssh.Error, TaskFailedError):
                if await self._boot_id() != before:
                    return True
        raise TaskFailedError("Timed out waiting for the machine to come back from its reboot")

    async def _boot_id(self) -> str:
        return await self._run("cat", "/proc/sys/kernel/random/boot_id")

    async def _install_driver(self) -> bool:
        self._driver_is_new = await self._install("nvidia-driver-590-server")
        return self._driver_is_new

    async def _reboot_for_driver(self) -> bool | None:
        return await self._reboot() if self._driver_is_new else None

    async def _install_toolkit(self) -> bool:
        changed = await self._install("nvidia-container-toolkit")
        await self._sudo("systemctl", "restart", "docker")
        return changed

    async def _skip(self) -> None:
        return None

    async def _load_uinput(self) -> bool:
        await self._sudo("modprobe", "uinput")
        return True

    async def _write_udev_rules(self) -> bool:
        return await self._write(templates.UDEV_PATH, templates.UDEV, as_root=True)

    async def _write_readiness(self) -> bool:
        changed = await self._write(templates.READINESS_PATH, templates.READINESS, as_root=True)
        await self._sudo("chmod", "0755", templates.READINESS_PATH)
        return changed

    async def _write_wolf_config(self) -> bool:
        home = await self._home()
        await self._run("mkdir", "-p", f"{home}/wolf")
        return await self._write(f"{home}/wolf/config.toml", templates.wolf_config(str(self._inventory["name"])))

    async def _write_compose(self) -> bool:
        version = (await self._run("cat", "/sys/module/nvidia/version")).strip()
        await self._sudo("docker", "volume", "create", f"nvidia-driver-vol-{version}")
        home = await self._home()
        return await self._write(f"{home}/wolf/docker-compose.yml", templates.compose(home, version))

    async def _start_wolf(self) -> bool:
        folder = f"{await self._home()}/wolf"
        await self._sudo("docker", "compose", "--project-directory", folder, "up", "-d", "--force-recreate")
        return True

    async def _install_autostop(self) -> bool | None:
        autostop = self._inventory["autostop"]
        if not autostop.get("enable"):
            return None
        await self._sudo("mkdir", "-p", templates.AUTOSTOP_PATH.rpartition("/")[0])
        script = templates.autostop(int(autostop.get("timeoutSeconds") or 900))
        await self._write(templates.AUTOSTOP_PATH, script, as_root=True)
        await self._sudo("chmod", "0755", templates.AUTOSTOP_PATH)
        path = f"/etc/systemd/system/{templates.AUTOSTOP_UNIT}"
        await self._write(path, templates.AUTOSTOP_UNIT_TEXT, as_root=True)
        await self._sudo("systemctl", "daemon-reload")
        await self._sudo("systemctl", "enable", "--now", templates.AUTOSTOP_UNIT)
        return True

    async def _install(self, *packages: str) -> bool:
        said = await self._sudo("apt-get", "install", "-y", *packages)
        return " 0 newly installed" not in said

    async def _home(self) -> str:
        return (await self._run("sh", "-c", "echo $HOME")).strip()

    async def _write(self, path: str, content: str, *, as_root: bool = False) -> bool:
        await (self._sudo if as_root else self._run)("tee", path, given=content)
        return True

    async def _sudo(self, *argv: str, given: str | None = None) -> str:
        return await self._run("sudo", "-n", *argv, given=given)

    async def _run(self, *argv: str, given: str | None = None) -> str:
        if self._connection is None:
            self._connection = await self._login.connect()
        try:
            result = await self._connection.run(shlex.join(argv), input=given or "")
        except (OSError, asyncssh.Error):
            await self._hang_up()
            raise
        if result.exit_status is None:
            await self._hang_up()
            raise TaskFailedError("the connection was lost")
        if result.exit_status != 0:
            said = str(result.stderr or result.stdout).strip().splitlines() or ["non-zero return code"]
            raise TaskFailedError(said[0])
        return str(result.stdout)

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.abort()
            await connection.wait_closed()


if __name__ == "__main__":
    sys.exit(asyncio.run(Playbook(json.load(sys.stdin)).run()))
