"""The service's watcher for notices, the lock that delays a shutdown, and `tail`, which follows what it writes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from simulator.google.instance_metadata import MAINTENANCE, PREEMPTED
from simulator.machines.programs.call import Call, Program

ANSWERS_WITHIN_S = 20.0
LOOK_EVERY_REAL_S = 0.05
NO_FILE = "No such file or directory"


async def watch(call: Call) -> int:
    """Run the watcher: append each answer of the metadata server to a file for each key, as its script does."""
    metadata = call.machine.metadata
    if metadata is None:
        return await _wait()
    folder = call.command.environment["RUNTIME_DIRECTORY"]

    async def watch_key(key: str) -> None:
        etag = "0"
        while True:
            await metadata.wait_until_it_speaks()
            if metadata.failures:
                metadata.failures -= 1
                await call.machine.clock.sleep(2)
                continue
            value, etag = await metadata.wait(key, etag, ANSWERS_WITHIN_S)
            with call.machine.root_files.open(f"{folder}/{key}", "a") as file:
                file.write(f"{key} {value}\n".encode())

    async with asyncio.TaskGroup() as group:
        for key in (PREEMPTED, MAINTENANCE):
            group.create_task(watch_key(key))
    return 0


async def inhibit(call: Call) -> int:
    """Run `systemd-inhibit --what=shutdown --mode=delay --who=WHO --why=WHY PROGRAM...`."""
    found, words = call.leading_options((), ("--what", "--mode", "--who", "--why"))
    if (found.get("--what"), found.get("--mode")) != ("shutdown", "delay") or not words:
        raise call.not_simulated(" ".join(call.arguments))
    with call.machine.shutdown_delay.hold():
        return await call.run(words)


async def tail(call: Call) -> int:
    """Run `tail -q -n 1 -F FILE...`, which ends when its reader goes away."""
    found, names = call.options("qn:F")
    if found.keys() != {"-q", "-n", "-F"} or found["-n"] != "1" or not names:
        raise call.not_simulated(" ".join(call.arguments))
    for name in names:
        if not call.files.is_file(call.path(name)):
            call.complain(f"cannot open '{name}' for reading: {NO_FILE}")
    read = dict.fromkeys(names, 0)
    while True:
        for name in names:
            read[name] = _print_new(call, name, read[name])
        await asyncio.sleep(LOOK_EVERY_REAL_S)


def _print_new(call: Call, name: str, read: int) -> int:
    """Print what a file has beyond the first `read` bytes, at first its last line alone. Return its size."""
    path = call.path(name)
    if not call.files.is_file(path):
        return 0
    content = call.files.read(path)
    if len(content) < read:
        read = 0
    new = content[read:] if read else b"".join(content.splitlines(keepends=True)[-1:])
    if len(content) > read and new:
        call.stdout.write(new)
    return len(content)


async def _wait() -> int:
    await asyncio.Event().wait()
    return 0


WATCHER = "gamer-notices"  # the service installs it in /usr/local/sbin
SCRIPTS: Mapping[str, Program] = {WATCHER: watch}
PROGRAMS: Mapping[str, Program] = {"systemd-inhibit": inhibit, "tail": tail, **SCRIPTS}
