"""`docker`, for containers that are there already. CloudyPad makes them through the machine object."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from simulator.machines.container import Container
from simulator.machines.containers import DockerError
from simulator.machines.images import layers_of
from simulator.machines.programs.call import Call, Program
from simulator.registry.catalog import ImageName

INSIDE = "SIMULATED_CONTAINER"
SOCKET_DENIED = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"
FIELD = re.compile(r"\{\{\.(\w+)\}\}")


async def docker(call: Call) -> int:
    verb, *rest = call.arguments or ("",)
    if verb not in VERBS:
        raise call.not_simulated(" ".join(call.arguments))
    if call.user.uid != 0:
        return call.say_error(SOCKET_DENIED)
    try:
        return await VERBS[verb](Call(call.machine, replace(call.command, argv=("docker", *rest))))
    except DockerError as error:
        return call.say_error(f"Error response from daemon: {error}")


async def _ps(call: Call) -> int:
    """Run `docker ps [--filter status=STATE] --format TEMPLATE`."""
    found, names = call.options("", ["filter=", "format="])
    key, _, state = found.get("--filter", "status=").partition("=")
    form = found.get("--format", "")
    if names or key != "status" or not form or set(FIELD.findall(form)) - {"Names", "State", "Image"}:
        raise call.not_simulated(f"ps {' '.join(call.arguments)}")
    shown = (state,) if state else ("running", "restarting", "paused")
    for one in call.machine.containers.all():
        facts = {"Names": one.name, "State": one.state, "Image": one.image}
        if one.state in shown:
            call.say(FIELD.sub(lambda field, facts=facts: facts[field[1]], form))  # type: ignore[misc]  # bound early
    return 0


async def _logs(call: Call) -> int:
    """Run `docker logs --tail LINES NAME`."""
    found, names = call.options("", ["tail="])
    if len(names) != 1 or not found.get("--tail", "").isdigit():
        raise call.not_simulated(f"logs {' '.join(call.arguments)}")
    lines = call.machine.containers.log_lines(names[0])
    for line in lines[max(0, len(lines) - int(found["--tail"])) :]:
        call.say(line)
    return 0


async def _exec(call: Call) -> int:
    """Run `docker exec [-i] [-e NAME=VALUE] NAME PROGRAM`. Of a container's files only bound ones can be listed."""
    _, words = call.leading_options(["-i"], ["-e"])
    container = call.machine.containers.find(words[0] if words else "")
    if not container.is_running:
        raise DockerError(f"container {container.id} is not running")
    program = words[1:]
    if program[:1] == ["timeout"] and program[2:3] == ["ls"] and len(program) == 4:
        return _list_inside(call, container, program[3])
    if program[:1] != ["curl"]:
        raise call.not_simulated(f"exec {' '.join(program)}")
    return await call.run(program, environment={**container.environment, INSIDE: container.name})


def _list_inside(call: Call, container: Container, path: str) -> int:
    try:
        names = call.files.listdir(call.machine.containers.path_seen(container, path))
    except OSError as error:
        return call.say_error(f"ls: cannot access '{path}': {error.strerror}", 2)
    for name in names:
        call.say(name)
    return 0


async def _image_inspect(call: Call) -> int:
    """Run `docker image inspect --format {{.Id}} IMAGE`."""
    if call.arguments[:3] != ("inspect", "--format", "{{.Id}}") or len(call.arguments) != 4:
        raise call.not_simulated(f"image {' '.join(call.arguments)}")
    image = call.arguments[3]
    if not call.machine.containers.images.has(image):
        return call.say_error(f"Error: No such image: {image}")
    call.say(f"sha256:{Container('', image).id}")
    return 0


async def _pull(call: Call) -> int:
    """Run `docker pull IMAGE`, as without a terminal: each layer is named when it begins and when it is there."""
    _, names = call.options("")
    if len(names) != 1:
        raise call.not_simulated(f"pull {' '.join(call.arguments)}")
    name, containers = ImageName.read(names[0]), call.machine.containers
    layers = layers_of(str(name))
    call.say(f"{name.reference}: Pulling from {name.repository.partition('/')[2]}")
    for layer in layers:
        call.say(f"{layer}: {'Already exists' if containers.images.has(str(name)) else 'Pulling fs layer'}")
    fetched = await containers.pull(str(name), lambda number: call.say(f"{layers[number]}: Pull complete"))
    call.say(f"Digest: {call.machine.images_of_the_world.digest(name)}")
    call.say(f"Status: {'Downloaded newer image' if fetched else 'Image is up to date'} for {name}\n{name}")
    return 0


async def _change(call: Call, change: Callable[[str], Awaitable[None]]) -> int:
    """Run `docker stop [-t SECONDS] NAME` and its like."""
    _, names = call.options("t:")
    for name in names:
        await change(name)
        call.say(name)
    return 0


VERBS: Mapping[str, Callable[[Call], Awaitable[int]]] = {
    **{"ps": _ps, "logs": _logs, "exec": _exec, "image": _image_inspect, "pull": _pull},
    "stop": lambda call: _change(call, call.machine.containers.stop),
    "restart": lambda call: _change(call, call.machine.containers.restart),
    "unpause": lambda call: _change(call, call.machine.containers.unpause),
}
PROGRAMS: Mapping[str, Program] = {"docker": docker}
