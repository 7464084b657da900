"""`docker compose`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import yaml

from simulator.machines.container import Container, from_compose
from simulator.machines.containers import DockerError
from simulator.machines.programs.call import Call, UsageError

FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")


async def compose(call: Call) -> int:
    words = list(call.arguments)
    path = folder = project = ""
    while words and words[0].startswith("-"):
        flag, given, value = words.pop(0).partition("=")
        if flag in (
            "-f",
            "--file",
            "--project-directory",
            "-p",
            "--project-name",
            "--env-file",
            "--progress",
            "--ansi",
        ):
            value = value if given else words.pop(0)
        path = value if flag in ("-f", "--file") else path
        folder = value if flag == "--project-directory" else folder
        project = value if flag in ("-p", "--project-name") else project
    if words[:1] == ["version"]:
        call.say("Docker Compose version v2.33.1")
        return 0
    if not words:
        raise UsageError("a command is needed")
    file = _file(call, path, folder)
    project = project or posixpath.basename(posixpath.dirname(file)) or "root"
    containers = _described(call, file, project)
    return await _do(replace(call, arguments=tuple(words[1:])), words[0], containers)


async def _do(call: Call, verb: str, containers: list[Container]) -> int:
    wanted = [word for word in call.arguments if not word.startswith("-")]
    action = VERBS.get(verb)
    if not action:
        raise UsageError(f'unknown docker command: "compose {verb}"')
    for container in containers:
        if not wanted or container.service in wanted:
            await action(call, container)
    return 0


async def _up(call: Call, container: Container) -> None:
    """A container that is as described keeps running; one that is not is made anew."""
    daemon = call.machine.containers
    if (
        "--force-recreate" in call.arguments
        or not _is_there(call, container)
        or not _is_as_described(daemon.find(container.name), container)
    ):
        await daemon.create(container)
    call.streams.stderr.write(f" Container {container.name}  Starting\n".encode())
    await daemon.start(container.name)
    call.streams.stderr.write(f" Container {container.name}  Started\n".encode())


async def _down(call: Call, container: Container) -> None:
    if _is_there(call, container):
        await call.machine.containers.remove(container.name)


async def _pull(call: Call, container: Container) -> None:
    await call.machine.containers.pull(container.image)


async def _start(call: Call, container: Container) -> None:
    await call.machine.containers.start(container.name)


async def _stop(call: Call, container: Container) -> None:
    await call.machine.containers.stop(container.name)


async def _restart(call: Call, container: Container) -> None:
    await call.machine.containers.restart(container.name)


async def _ps(call: Call, container: Container) -> None:
    call.say(f"{container.name}  {call.machine.containers.find(container.name).state}")


async def _logs(call: Call, container: Container) -> None:
    for line in call.machine.containers.log_lines(container.name):
        call.say(f"{container.name}  | {line}")


VERBS: Mapping[str, Callable[[Call, Container], Awaitable[None]]] = {
    "up": _up,
    "down": _down,
    "rm": _down,
    "pull": _pull,
    "build": _pull,
    "start": _start,
    "stop": _stop,
    "restart": _restart,
    "ps": _ps,
    "logs": _logs,
}


def _is_there(call: Call, container: Container) -> bool:
    return any(known.name == container.name for known in call.machine.containers.all())


def _is_as_described(known: Container, wanted: Container) -> bool:
    return (known.image, known.environment, known.volumes) == (wanted.image, wanted.environment, wanted.volumes)


def _file(call: Call, path: str, folder: str) -> str:
    base = call.path(folder) if folder else call.cwd
    candidates = [posixpath.join(base, path)] if path else [posixpath.join(base, name) for name in FILES]
    for candidate in candidates:
        if call.files.is_file(candidate):
            return candidate
    raise UsageError("no configuration file provided: not found", 14)


def _described(call: Call, file: str, project: str) -> list[Container]:
    text = re.sub(r"\$\{(\w+)(?::?-([^}]*))?\}", lambda found: _value(call, found), call.files.read_text(file))
    try:
        described: Any = yaml.safe_load(text)
        services: Mapping[str, Any] = described["services"]
        found = [from_compose(project, name, service) for name, service in services.items()]
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise DockerError(f"yaml: {file} is no compose file") from None
    folder = posixpath.dirname(file)
    for container in found:
        container.volumes = [posixpath.join(folder, one) if one.startswith(".") else one for one in container.volumes]
    return found


def _value(call: Call, found: re.Match[str]) -> str:
    return call.environment.get(found[1]) or found[2] or ""
