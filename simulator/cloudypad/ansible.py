"""Configuration: the playbook as a separate process, repeated when it fails."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from simulator.cloudypad import world
from simulator.cloudypad.options import CommandLine
from simulator.cloudypad.state import State
from simulator.cloudypad.terminal import CommandError, Level, log

INNER_ATTEMPTS = 2
RETRY_DELAY_S = 10


def configure(state: State, line: CommandLine, *, tags: str | None = None) -> None:
    """Run the playbook until it succeeds once. Without `--retries` it is tried four times in all.

    Raises CommandError. A playbook goes on when this process is killed, as the real one does.
    """
    outer = line.number("retries", 1) + 1
    delay_s = line.number("retry-delay", RETRY_DELAY_S)
    for attempt in range(1, outer + 1):
        try:
            _attempt(state, tags, delay_s)
            return
        except CommandError as error:
            if attempt == outer:
                raise
            log(Level.WARN, f"{error}")
            log(Level.WARN, f"Configuration attempt {attempt}/{outer} failed, retrying in {delay_s} seconds.")
            world.sleep(delay_s)


def tags_in(line: CommandLine) -> str | None:
    """Return the tags of `--ansible-args-override "--tags A,B"`. Raises CommandError for other arguments."""
    words = (line.text("ansible-args-override") or "").split()
    if words and (len(words) != 2 or words[0] != "--tags"):
        raise CommandError(f"not simulated: Ansible with {' '.join(words)}")
    return words[1] if words else None


def _attempt(state: State, tags: str | None, delay_s: int) -> None:
    for attempt in range(1, INNER_ATTEMPTS + 1):
        code = _run(state, tags)
        if code == 0:
            return
        if attempt < INNER_ATTEMPTS:
            world.sleep(delay_s)
    raise CommandError(f"Ansible run failed, exit code {code}")


def _run(state: State, tags: str | None) -> int:
    """Run the playbook once and return its exit status. It writes to our own output."""
    sys.stdout.flush()
    inventory = json.dumps(_inventory(state, tags))
    command = [sys.executable, "-m", "simulator.cloudypad.playbook"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as playbook:  # noqa: S603 - our own interpreter
        assert playbook.stdin
        playbook.stdin.write(inventory.encode())
        playbook.stdin.close()
        return playbook.wait()


def _inventory(state: State, tags: str | None) -> dict[str, Any]:
    provision = state["provision"]
    return {
        "host": provision["output"]["host"],
        "name": state["name"],
        "provider": provision["provider"],
        "ssh": provision["input"]["ssh"],
        "autostop": state["configuration"]["input"].get("autostop") or {"enable": False},
        "data_disk": provision["output"].get("machineDataDiskLookupId"),
        "tags": tags,
    }
