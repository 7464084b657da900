"""The commands, by the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from simulator.cloudypad import VERSION, create, describe, lifecycle, state
from simulator.cloudypad.gcp import GcpProvider
from simulator.cloudypad.options import COMMANDS, CommandLine, parse
from simulator.cloudypad.providers import Provider
from simulator.cloudypad.ssh import SshProvider
from simulator.cloudypad.terminal import CommandError, say

PROVIDERS: Mapping[str, type[SshProvider] | type[GcpProvider]] = {"ssh": SshProvider, "gcp": GcpProvider}
LIFECYCLE: Mapping[str, Callable[[Provider, str, CommandLine], None]] = {
    "start": lifecycle.start,
    "stop": lifecycle.stop,
    "restart": lifecycle.restart,
    "provision": lifecycle.confirmed_provision,
    "configure": lifecycle.asked_configure,
    "deploy": lifecycle.confirmed_deploy,
    "destroy": lifecycle.destroy,
}


def run(words: list[str]) -> int:
    """Run a command and return its exit status. Failures are the exceptions of terminal.py."""
    line = parse(words)
    if line.command == "version":
        say(VERSION)
        return 0
    if line.command == "help":
        return _help(line, asked=bool(words))
    state.ensure_config()
    command, _, provider = line.command.partition(" ")
    if command == "create":
        return create.create(PROVIDERS[provider](), line)
    if command == "list":
        return describe.list_names(line)
    name = line.text("name") if command == "update" else line.arguments[0]
    return _on_instance(command, str(name), line)


def _on_instance(command: str, name: str, line: CommandLine) -> int:
    provider = _provider_of(name)
    if command == "get":
        return describe.get(provider, name)
    if command == "pair":
        raise CommandError("Pairing needs a terminal")
    if command == "update":
        lifecycle.update(provider, name, line)
    else:
        LIFECYCLE[command](provider, name, line)
    return 0


def _provider_of(name: str) -> Provider:
    found = state.load(name)["provision"]["provider"]
    if found not in PROVIDERS:
        raise CommandError(f"Unknown provider '{found}'")
    return PROVIDERS[found]()


def _help(line: CommandLine, *, asked: bool) -> int:
    """Print the help: on standard output when it was requested, else as an error."""
    out = sys.stdout if asked else sys.stderr
    out.write("Usage: cloudypad [options] [command]\n\nCommands:\n")
    wanted = " ".join(line.arguments)
    for command, (arguments, options) in COMMANDS.items():
        if command.startswith(wanted):
            out.write(f"  {' '.join([command, *(f'<{one}>' for one in arguments)])}\n")
            for option in options if wanted else ():
                out.write(f"      {option}\n")
    return 0 if asked else 1
