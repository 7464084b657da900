"""`get` and `list`."""

from __future__ import annotations

import asyncio
import json

from simulator.cloudypad import state
from simulator.cloudypad.options import CommandLine
from simulator.cloudypad.providers import Provider
from simulator.cloudypad.state import State
from simulator.cloudypad.terminal import say


def get(provider: Provider, name: str) -> int:
    """Print the state, keys and passwords included, with a status that is found out each time."""
    found = state.load(name)
    provisioned = bool(found["provision"].get("output"))
    configured = bool(found["configuration"].get("output"))
    server = provider.status(found)
    ready = provisioned and configured and server == "running" and _answers(found)
    status = {"serverStatus": server, "provisioned": provisioned, "configured": configured, "ready": ready}
    say(json.dumps({**found, "status": status}, indent=2, ensure_ascii=False))
    return 0


def list_names(line: CommandLine) -> int:
    """Print the names. An empty list is a sentence, also as JSON; an unknown format prints nothing."""
    found = state.names()
    form = line.text("format") or "plain"
    if not found:
        say("No instances found.")
    elif form == "json":
        say(json.dumps(found, indent=2))
    elif form == "plain":
        for name in found:
            say(name)
    return 0


def _answers(found: State) -> bool:
    from simulator.cloudypad.connection import Login, is_ready  # noqa: PLC0415 - SSH is slow to load

    provision = found["provision"]
    login = Login.of(provision["output"]["host"], found["name"], provision["input"]["ssh"])
    return asyncio.run(is_ready(login))
