"""`docker`."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from simulator.machines.container import Container
from simulator.machines.containers import Containers, DockerError
from simulator.machines.images import layers_of
from simulator.machines.programs.call import Call, Program, UsageError
from simulator.machines.programs.compose import compose
from simulator.machines.programs.docker_output import described, filled, row
from simulator.registry.catalog import ImageName

GROUP_FILE = "/etc/group"
INSIDE = "SIMULATED_CONTAINER"
FOLLOW_REAL_S = 0.1


async def docker(call: Call) -> int:
    if not _may_use(call):
        text = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"
        call.streams.stderr.write(f"{text}\n".encode())
        return 1
    verb, *rest = call.arguments or ("help",)
    if verb in ("container", "image", "volume", "network") and rest:
        verb, rest = f"{verb} {rest[0]}", rest[1:]
    verb = verb.removeprefix("container ")
    action = VERBS.get(verb)
    if not action:
        raise UsageError(f"'{verb}' is not a docker command.")
    try:
        return await action(replace(call, arguments=tuple(rest)))
    except DockerError as error:
        call.streams.stderr.write(f"Error response from daemon: {error}\n".encode())
        return 1


async def _ps(call: Call) -> int:
    found, _ = call.options("aqf:", ["all", "quiet", "filter=", "format=", "no-trunc", "latest"])
    wanted = (found.get("-f") or found.get("--filter") or "").partition("=")
    shown = [one for one in _containers(call).all() if _passes(one, wanted[0], wanted[2])]
    if not {"-a", "--all"} & found.keys():
        shown = [one for one in shown if one.state in ("running", "restarting", "paused")]
    form = found.get("--format")
    if not form and not {"-q", "--quiet"} & found.keys():
        call.say("CONTAINER ID   IMAGE   STATUS   NAMES")
        form = "{{.ID}}   {{.Image}}   {{.Status}}   {{.Names}}"
    for one in shown:
        call.say(filled(form or "{{.ID}}", row(one)))
    return 0


async def _inspect(call: Call) -> int:
    found, names = call.options("f:", ["format=", "type="])
    form = found.get("-f") or found.get("--format")
    found_ones = []
    status = 0
    for name in names:
        try:
            found_ones.append(described(_containers(call).find(name)))
        except DockerError:
            status = 1
            call.streams.stderr.write(f"Error: No such object: {name}\n".encode())
    if form:
        for one in found_ones:
            call.say(filled(form, one))
    else:
        call.say(json.dumps(found_ones, indent=4))
    return status


async def _image_inspect(call: Call) -> int:
    found, names = call.options("f:", ["format="])
    for name in names:
        if not _containers(call).images.has(name):
            call.streams.stderr.write(f"Error: No such image: {name}\n".encode())
            return 1
        image = {"Id": f"sha256:{Container('', name).id}", "RepoTags": [name], "Size": 4_200_000_000}
        form = found.get("-f") or found.get("--format")
        call.say(filled(form, image) if form else json.dumps([image]))
    return 0


def _each(act: Callable[[Containers, str], Awaitable[None]]) -> Callable[[Call], Awaitable[int]]:
    async def action(call: Call) -> int:
        _, names = call.options("t:s:fvl", ["time=", "timeout=", "signal=", "force", "volumes"])
        for name in names:
            await act(_containers(call), name)
            call.say(name)
        return 0

    return action


async def _logs(call: Call) -> int:
    found, names = call.options("fn:t", ["tail=", "since=", "follow", "timestamps", "until="])
    tail = found.get("--tail") or found.get("-n") or "all"
    lines = _containers(call).log_lines(names[0])
    shown = lines if tail == "all" else lines[len(lines) - min(int(tail), len(lines)) :]
    for line in shown:
        call.say(line)
    while {"-f", "--follow"} & found.keys() and _containers(call).find(names[0]).is_running:
        await asyncio.sleep(FOLLOW_REAL_S)
        now = _containers(call).log_lines(names[0])
        for line in now[len(lines) :]:
            call.say(line)
        lines = now
    return 0


def _list_inside(call: Call, container: Container, path: str) -> int:
    """What a container has bound there is the one thing of its files that can be looked at."""
    try:
        names = call.files.listdir(_containers(call).path_seen(container, path))
    except OSError as error:
        call.streams.stderr.write(f"ls: cannot access '{path}': {error.strerror}\n".encode())
        return 2
    for name in names:
        call.say(name)
    return 0


async def _exec(call: Call) -> int:
    """Only `curl` and the like can be looked for in a container: its files are not simulated."""
    words = list(call.arguments)
    while words and words[0].startswith("-"):
        flag = words.pop(0)
        if flag in ("-u", "-e", "-w", "--user", "--env", "--workdir"):
            words.pop(0)
    container = _containers(call).find(words[0])
    if not container.is_running:
        raise DockerError(f"container {container.id} is not running")
    if "ls" in words[1:]:
        return _list_inside(call, container, words[-1])
    if words[1] not in ("curl", "true", "env", "echo", "sh", "bash"):
        text = f'OCI runtime exec failed: exec failed: exec: "{words[1]}": executable file not found in $PATH: unknown'
        call.streams.stderr.write(f"{text}\n".encode())
        return 127
    return await call.run(words[1:], environment={**container.environment, INSIDE: container.name})


async def _pull(call: Call) -> int:
    """As without a terminal: each layer is named when it begins and when it is there."""
    _, names = call.options("qa", ["quiet", "platform="])
    name = ImageName.read(names[0])
    layers = layers_of(str(name))
    call.say(f"{name.reference}: Pulling from {name.repository.partition('/')[2]}")
    for layer in layers:
        call.say(f"{layer}: {'Already exists' if _containers(call).images.has(str(name)) else 'Pulling fs layer'}")
    fetched = await _containers(call).pull(str(name), lambda number: call.say(f"{layers[number]}: Pull complete"))
    call.say(f"Digest: {call.machine.images_of_the_world.digest(name)}")
    call.say(f"Status: {'Downloaded newer image' if fetched else 'Image is up to date'} for {name}\n{name}")
    return 0


async def _images(call: Call) -> int:
    found, _ = call.options("qa", ["format=", "quiet", "filter="])
    form = found.get("--format", "{{.Repository}}:{{.Tag}}")
    for image in [name for name in _containers(call).images.all() if "@" not in name]:
        repository, _, tag = image.rpartition(":")
        call.say(filled(form, {"Repository": repository or image, "Tag": tag, "ID": Container("", image).id[:12]}))
    return 0


async def _run(call: Call) -> int:
    found, words = _leading_options(
        call, ("--name", "-v", "--volume", "-e", "--env", "--restart", "--network", "-w", "-u")
    )
    values = dict(found)
    container = Container(
        name=values.get("--name") or f"container-{len(_containers(call).all()) + 1}",
        image=words[0],
        restart=values.get("--restart", "no"),
        environment=dict(value.partition("=")[::2] for flag, value in found if flag in ("-e", "--env")),
        volumes=[value for flag, value in found if flag in ("-v", "--volume")],
    )
    await _containers(call).create(container)
    if "-d" in values or "--detach" in values:
        await _containers(call).start(container.name)
        call.say(container.id)
        return 0
    await _containers(call).remove(container.name)
    return 0


async def _rm(call: Call) -> int:
    found, names = call.options("fv", ["force", "volumes"])
    status = 0
    for name in names:
        try:
            if _containers(call).find(name).is_running and not {"-f", "--force"} & found.keys():
                raise DockerError(f"cannot remove container {name}: container is running: stop it before removing")
            await _containers(call).remove(name)
            call.say(name)
        except DockerError as error:
            call.streams.stderr.write(f"Error response from daemon: {error}\n".encode())
            status = 1
    return status


async def _say_version(call: Call) -> int:
    call.say("Docker version 28.0.1, build 068a01e")
    return 0


async def _nothing(call: Call) -> int:
    if call.arguments:
        call.say(call.arguments[-1])
    return 0


async def _pause(call: Call) -> int:
    for name in call.arguments:
        _containers(call).pause(name, paused=True)
    return 0


async def _unpause(call: Call) -> int:
    for name in call.arguments:
        _containers(call).pause(name, paused=False)
    return 0


VERBS: Mapping[str, Callable[[Call], Awaitable[int]]] = {
    "ps": _ps,
    "ls": _ps,
    "inspect": _inspect,
    "image inspect": _image_inspect,
    "start": _each(lambda containers, name: containers.start(name)),
    "stop": _each(lambda containers, name: containers.stop(name)),
    "kill": _each(lambda containers, name: containers.stop(name)),
    "restart": _each(lambda containers, name: containers.restart(name)),
    "rm": _rm,
    "pause": _pause,
    "unpause": _unpause,
    "logs": _logs,
    "exec": _exec,
    "pull": _pull,
    "image pull": _pull,
    "images": _images,
    "image ls": _images,
    "run": _run,
    "create": _run,
    "compose": compose,
    "volume create": _nothing,
    "volume inspect": _nothing,
    "network create": _nothing,
    "version": _say_version,
    "--version": _say_version,
    "info": _say_version,
}
PROGRAMS: Mapping[str, Program] = {"docker": docker}


def _containers(call: Call) -> Containers:
    return call.machine.containers


def _may_use(call: Call) -> bool:
    files = call.machine.root_files
    lines = files.read_text(GROUP_FILE).splitlines() if files.is_file(GROUP_FILE) else []
    members = [line.rpartition(":")[2].split(",") for line in lines if line.startswith("docker:")]
    return call.user.uid == 0 or any(call.user.name in names for names in members)


def _passes(container: Container, key: str, value: str) -> bool:
    checks = {"name": re.search(value.strip("/"), container.name), "status": container.state == value}
    return bool(checks.get(key, True))


def _leading_options(call: Call, valued: tuple[str, ...]) -> tuple[list[tuple[str, str]], list[str]]:
    """Options up to the image; what follows is the container's own."""
    words = list(call.arguments)
    found: list[tuple[str, str]] = []
    while words and words[0].startswith("-"):
        flag, given, value = words.pop(0).partition("=")
        if flag in valued and not given:
            value = words.pop(0)
        found.append((flag, value))
    if not words:
        raise UsageError('"docker run" requires at least 1 argument.')
    return found, words


def inside(call: Call) -> str | None:
    """The container that this call was sent into with `docker exec`."""
    return call.environment.get(INSIDE)
