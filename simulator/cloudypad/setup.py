"""The tasks of CloudyPad's playbook that change a machine, done through the machine object."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import yaml

from simulator.cloudypad import templates
from simulator.machines import users
from simulator.machines.container import Container
from simulator.machines.containers import DockerError
from simulator.machines.files import Files
from simulator.machines.machine import Machine
from simulator.machines.packages import DRIVER, DRIVER_VERSION, PackageError


class SetupFailedError(Exception):
    """A task failed; the message is Ansible's `msg`."""


class MachineSetup:
    """Tasks for one machine. Each returns whether it changed something; every task may be repeated."""

    def __init__(self, machine: Machine, user: str) -> None:
        self._machine = machine
        self._user = users.add(machine.tree, user)
        self._files = Files(machine.tree, self._user.uid)
        self._root_files = machine.root_files
        self._folder = f"{self._user.home}/wolf"

    async def install_docker(self) -> bool:
        await self._machine.packages.update()
        return await self.install("docker-ce", "docker-compose-plugin")

    async def install(self, *packages: str) -> bool:
        try:
            return bool(await self._machine.packages.install(packages))
        except PackageError as error:
            raise SetupFailedError(str(error).splitlines()[0]) from error

    def join_docker_group(self) -> bool:
        self._root_files.write("/etc/group", f"docker:x:999:{self._user.name}\n")
        return True

    def load_uinput(self) -> bool:
        self._root_files.write("/dev/uinput", "")
        return True

    def make_data_folder(self) -> bool:
        self._root_files.mkdir("/var/lib/cloudypad", parents=True)
        return True

    def write_udev_rules(self) -> bool:
        self._root_files.write(templates.UDEV_PATH, templates.UDEV)
        return True

    def write_readiness(self) -> bool:
        self._write_script(templates.READINESS_PATH, templates.READINESS)
        return True

    def write_wolf_config(self, text: str) -> bool:
        self._files.mkdir(self._folder, parents=True)
        self._files.write(f"{self._folder}/config.toml", text)
        return True

    def write_compose_file(self) -> bool:
        self._files.mkdir(self._folder, parents=True)
        text = templates.compose(self._user.home, DRIVER_VERSION)
        self._files.write(f"{self._folder}/docker-compose.yml", text)
        return True

    async def start_wolf(self) -> bool:
        """Replace Wolf's container by one that is as the compose file says, and start it."""
        container = _wolf_container(self._files.read_text(f"{self._folder}/docker-compose.yml"))
        try:
            await self._machine.containers.create(container)
            await self._machine.containers.start(container.name)
        except DockerError as error:
            raise SetupFailedError(f"Error response from daemon: {error}") from error
        return True

    async def install_autostop(self, timeout_s: int) -> bool:
        self._root_files.mkdir(templates.AUTOSTOP_PATH.rpartition("/")[0], parents=True)
        self._write_script(templates.AUTOSTOP_PATH, templates.autostop(timeout_s))
        self._root_files.write(f"/etc/systemd/system/{templates.AUTOSTOP_UNIT}", templates.AUTOSTOP_UNIT_TEXT)
        self._machine.systemd.reload()
        self._machine.systemd.enable(templates.AUTOSTOP_UNIT)
        return await self._machine.systemd.start(templates.AUTOSTOP_UNIT)

    def _write_script(self, path: str, text: str) -> None:
        self._root_files.write(path, text)
        self._root_files.chmod(path, 0o755)


async def run_task(setup: MachineSetup, task: str, arguments: Mapping[str, Any]) -> bool:
    """Run a task by its name. Raises SetupFailedError, and KeyError for an unknown name."""
    changed = TASKS[task](setup, arguments)
    return changed if isinstance(changed, bool) else await changed


TASKS: Mapping[str, Callable[[MachineSetup, Mapping[str, Any]], bool | Awaitable[bool]]] = {
    "data-folder": lambda setup, _: setup.make_data_folder(),
    "docker": lambda setup, _: setup.install_docker(),
    "docker-group": lambda setup, _: setup.join_docker_group(),
    "modules": lambda setup, _: setup.install("linux-modules-extra"),
    "driver": lambda setup, _: setup.install(DRIVER),
    "toolkit": lambda setup, _: setup.install("nvidia-container-toolkit"),
    "uinput": lambda setup, _: setup.load_uinput(),
    "udev-rules": lambda setup, _: setup.write_udev_rules(),
    "readiness": lambda setup, _: setup.write_readiness(),
    "wolf-config": lambda setup, given: setup.write_wolf_config(templates.wolf_config(str(given["instance"]))),
    "compose-file": lambda setup, _: setup.write_compose_file(),
    "wolf": lambda setup, _: setup.start_wolf(),
    "autostop": lambda setup, given: setup.install_autostop(int(given["timeout_s"])),
}


def _wolf_container(compose: str) -> Container:
    service: Mapping[str, Any] = yaml.safe_load(compose)["services"]["wolf"]
    return Container(
        name=service["container_name"],
        image=service["image"],
        restart=service["restart"],
        environment={name: str(value) for name, value in service["environment"].items()},
        volumes=list(service["volumes"]),
    )
