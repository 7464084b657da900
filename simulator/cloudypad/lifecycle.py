"""The life of an instance: each step is an event when it begins and one when it ends."""

from __future__ import annotations

import os

from simulator.cloudypad import ansible, state
from simulator.cloudypad.options import CommandLine
from simulator.cloudypad.providers import Provider, output_of
from simulator.cloudypad.terminal import CommandError, PromptClosedError, confirm, say


def deploy(provider: Provider, name: str, line: CommandLine) -> None:
    """Provision and configure an instance, and do what the provider adds to that."""
    provision(provider, name, line)
    configure(provider, name, line)


def provision(provider: Provider, name: str, line: CommandLine) -> None:
    begun = state.add_event(name, "provision-begin")
    output = provider.provision(begun, line)
    # Load it again: the steps of a provider write the file too.
    done = state.load(name)
    done["provision"] = {"provider": provider.name, "output": output, "input": done["provision"]["input"]}
    state.note_done(done, "Provision")
    state.save(done)
    state.add_event(name, "provision-end")


def configure(provider: Provider, name: str, line: CommandLine) -> None:
    output_of(state.load(name))
    begun = state.add_event(name, "configuration-begin")
    if os.environ.get("CLOUDYPAD_SKIP_CONFIGURATION") not in ("1", "true"):
        ansible.configure(begun, line, tags=ansible.tags_in(line))
    _note_configured(name)
    state.add_event(name, "configuration-end")
    provider.configured(state.load(name), line)


def start(provider: Provider, name: str, line: CommandLine) -> None:
    say(f"Starting instance {name}...")
    output_of(state.load(name))
    provider.start(state.add_event(name, "start-begin"), line)
    state.add_event(name, "start-end")
    _say_end(f"Started instance {name}", f"Instance {name} start triggered.", line)


def stop(provider: Provider, name: str, line: CommandLine) -> None:
    say(f"Stopping instance {name}...")
    output_of(state.load(name))
    say("ℹ️  When snapshots are made, this can take a long time.")  # noqa: RUF001 - the tool's own sign
    provider.stop(state.add_event(name, "stop-begin"), line)
    state.add_event(name, "stop-end")
    _say_end(f"Stopped instance {name}", f"Instance {name} stop triggered.", line)


def restart(provider: Provider, name: str, line: CommandLine) -> None:
    say(f"Restarting instance {name}...")
    if provider.restart_needs_wait and "wait" not in line.options:
        raise CommandError("--wait is required to restart GCP instance.")
    output_of(state.load(name))
    provider.restart(state.add_event(name, "restart-begin"), line)
    state.add_event(name, "restart-end")


def destroy(provider: Provider, name: str, line: CommandLine) -> None:
    _confirmed(line, f"Destroy instance {name}? All data will be lost.")
    provider.destroy(state.add_event(name, "destroy-begin"), line)
    state.remove(name)
    say()
    say(f"Destroyed instance {name}")


def update(provider: Provider, name: str, line: CommandLine) -> None:
    _confirmed(line, f"Update instance {name}?")
    changed = state.load(name)
    provider.update(line, changed)
    configuration = changed["configuration"]["input"]
    if (autostop := line.flag("autostop")) is not None:
        configuration["autostop"] = {"enable": autostop, "timeoutSeconds": line.number("autostop-timeout", 900)}
    state.save(changed)
    deploy(provider, name, line)
    say(f"Updated instance {name}")


def confirmed_deploy(provider: Provider, name: str, line: CommandLine) -> None:
    _confirmed(line, f"Deploy instance {name}?")
    deploy(provider, name, line)


def confirmed_provision(provider: Provider, name: str, line: CommandLine) -> None:
    _confirmed(line, f"Provision instance {name}?")
    provision(provider, name, line)
    say(f"Provisioned instance {name}")


def asked_configure(provider: Provider, name: str, line: CommandLine) -> None:
    configure(provider, name, line)
    say()
    say(f"Configured instance {name}")


def _note_configured(name: str) -> None:
    done = state.load(name)
    disk = done["provision"]["output"].get("machineDataDiskLookupId") is not None
    configuration = done["configuration"]
    done["configuration"] = {
        "configurator": configuration["configurator"],
        "output": {"dataDiskConfigured": disk},
        "input": configuration["input"],
    }
    state.note_done(done, "Configuration")
    state.save(done)


def _confirmed(line: CommandLine, question: str) -> None:
    if "yes" not in line.options and not confirm(question):
        raise PromptClosedError("User force closed the prompt")


def _say_end(waited: str, triggered: str, line: CommandLine) -> None:
    say(waited if "wait" in line.options else f"{triggered} Use --wait flag to wait for completion.")
