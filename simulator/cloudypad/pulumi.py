"""The visible part of Pulumi: its lock, which a killed run leaves behind, and its output."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from simulator.cloudypad import world
from simulator.cloudypad.options import CommandLine
from simulator.cloudypad.state import home
from simulator.cloudypad.terminal import CommandError, Level, log, say

LOCKED_ATTEMPTS = 12
LOCKED_DELAY_S = 10


@contextmanager
def stack(project: str, name: str, line: CommandLine) -> Iterator[None]:
    """Hold the lock of a stack. A lock of others is waited for, then it is an error, even if its owner is dead."""
    folder = _backend() / ".pulumi" / "locks" / "organization" / project / name
    if "force-pulumi-cancel" in line.options:
        for lock in folder.glob("*.json"):
            lock.unlink(missing_ok=True)
    _wait_until_free(folder, project, name)
    folder.mkdir(parents=True, exist_ok=True)
    own = folder / f"{uuid.uuid4()}.json"
    own.write_text(json.dumps({"pid": os.getpid(), "username": "cloudypad"}))
    say(f"Updating ({name}):\n")
    try:
        yield
    finally:
        own.unlink(missing_ok=True)


def print_update(name: str, resources: Sequence[tuple[str, str]], ip: str) -> None:
    """Print the output of an update, with pauses."""
    for kind, resource in resources:
        say(f" +  {kind} {resource} creating (0s)")
        world.sleep(1)
        say(f" +  {kind} {resource} created (1s)")
    say(f'Outputs:\n    publicIp  : "{ip}"\n\nResources:\n    + {len(resources)} created\n')
    say(f"Duration: {len(resources)}s")


def print_destroyed(name: str, resources: Sequence[tuple[str, str]]) -> None:
    for kind, resource in reversed(resources):
        say(f" -  {kind} {resource} deleted (1s)")
    say(f"Resources:\n    - {len(resources)} deleted")


def _wait_until_free(folder: Path, project: str, name: str) -> None:
    for attempt in range(LOCKED_ATTEMPTS + 1):
        locks = list(folder.glob("*.json"))
        if not locks:
            return
        if attempt < LOCKED_ATTEMPTS:
            log(Level.WARN, f"Stack {name} is locked, retrying in {LOCKED_DELAY_S} seconds.")
            world.sleep(LOCKED_DELAY_S)
    raise CommandError(
        "ConcurrentUpdateError: code: 255\n"
        f"error: the stack is currently locked by {len(locks)} lock(s). Either wait for the other process(es) to end "
        f"or delete the lock file with `pulumi cancel`.\n  organization/{project}/{name}"
    )


def _backend() -> Path:
    given = os.environ.get("PULUMI_BACKEND_URL", "")
    return Path(given.removeprefix("file://")) if given.startswith("file://") else home() / "pulumi-backend"
