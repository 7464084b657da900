"""`create`: asks for missing options, then makes the machine and sets it up."""

from __future__ import annotations

import base64
from typing import Any

from simulator.cloudypad import names, state
from simulator.cloudypad.lifecycle import deploy
from simulator.cloudypad.options import CommandLine
from simulator.cloudypad.providers import Provider
from simulator.cloudypad.state import State
from simulator.cloudypad.terminal import CommandError, PromptClosedError, ask, confirm, say

CANCELLED = "Instance initialization cancelled."
SERVERS = ("sunshine", "wolf")


def create(provider: Provider, line: CommandLine) -> int:
    """Create an instance and return the exit status. A prompt without an answer ends it with 0 and no instance."""
    try:
        made = _asked(provider, line)
    except PromptClosedError:
        say(CANCELLED)
        return 0
    state.save(made)
    state.add_event(made["name"], "init")
    try:
        deploy(provider, made["name"], line)
    except CommandError as error:
        hint = f"\nTo remove what was made: cloudypad destroy {made['name']}\n" if provider.name == "ssh" else ""
        raise CommandError(str(error), hint) from error
    say()
    say("Instance has been initialized successfully 🥳")
    say("If you like the project, tell others about it.")
    say("And think of leaving a star!")
    if "skip-pairing" not in line.options:
        ask("How do you want to pair your Moonlight client?")
    return 0


def _asked(provider: Provider, line: CommandLine) -> State:
    name = line.text("name") or ask("Name of the instance:")
    while not names.is_right(name):
        name = ask(f"Name must be in kebab-case, such as {names.kebab_case(name) or 'my-instance'}:")
    if state.exists(name) and "overwrite-existing" not in line.options and not confirm(f"Overwrite instance {name}?"):
        raise PromptClosedError
    own = provider.ask(line)
    given: dict[str, Any] = {"ssh": _ssh(line)}
    if provider.name != "ssh":
        given |= _snapshots(line)
    given |= {"runtime": {"instanceServerState": "present", "dataDiskState": "live"}, **own}
    return {
        "version": "1",
        "name": name,
        "events": [],
        "provision": {"provider": provider.name, "input": given},
        "configuration": {"configurator": "ansible", "input": _configuration(line)},
    }


def _ssh(line: CommandLine) -> dict[str, Any]:
    user = line.text("ssh-user") or "ubuntu"
    if password := line.text("ssh-password"):
        return {"user": user, "passwordBase64": base64.b64encode(password.encode()).decode()}
    if path := line.text("ssh-private-key"):
        return {"user": user, "privateKeyPath": path}
    if line.command.endswith("ssh"):
        return {"user": user, "privateKeyPath": ask("Path of the SSH private key:")}
    return {"user": user, "privateKeyContentBase64": _generated_key()}


def _generated_key() -> str:
    import asyncssh  # noqa: PLC0415 - slow to load, and seldom needed

    key = asyncssh.generate_private_key("ssh-ed25519")
    return base64.b64encode(key.export_private_key()).decode()


def _snapshots(line: CommandLine) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if line.flag("data-disk-snapshot") is not False:
        given["dataDiskSnapshot"] = {"enable": True}
    if line.flag("base-image-snapshot") is not False:
        given["baseImageSnapshot"] = {"enable": True}
        if (keep := line.flag("base-image-keep-on-deletion")) is not None:
            given["baseImageSnapshot"]["keepOnDeletion"] = keep
    given["deleteInstanceServerOnStop"] = line.flag("delete-instance-server-on-stop") is not False
    return given


def _configuration(line: CommandLine) -> dict[str, Any]:
    server = line.text("streaming-server")
    while server not in SERVERS:
        server = ask("Streaming server (sunshine, wolf):")
    sunshine = None
    if server == "sunshine":
        password = line.text("sunshine-password") or ask("Sunshine password:")
        encoded = base64.b64encode(password.encode()).decode()
        sunshine = {"enable": True, "username": line.text("sunshine-user") or "sunshine", "passwordBase64": encoded}
    autostop: dict[str, Any] = {"enable": line.flag("autostop")}
    if autostop["enable"] is None:
        autostop["enable"] = confirm("Enable Auto Stop?")
    if autostop["enable"]:
        autostop["timeoutSeconds"] = int(line.text("autostop-timeout") or ask("Auto Stop timeout (600, 900, 1800):"))
    given: dict[str, Any] = {"autostop": autostop}
    if limit := line.text("ratelimit-max-mbps"):
        given["ratelimit"] = {"maxMbps": int(limit)}
    given |= {"sunshine": sunshine, "wolf": {"enable": True} if server == "wolf" else None}
    if arguments := line.text("ansible-additional-args"):
        given["ansible"] = {"additionalArgs": arguments}
    return given
