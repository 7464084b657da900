"""The interface of the providers; each has its own file."""

from __future__ import annotations

from typing import Any, Protocol

from simulator.cloudypad.options import CommandLine
from simulator.cloudypad.state import State
from simulator.cloudypad.terminal import CommandError


class Provider(Protocol):
    name: str
    restart_needs_wait: bool

    def ask(self, line: CommandLine) -> dict[str, Any]:
        """Return the provider's own part of `provision.input`, and prompt for what the command line lacks."""
        ...

    def update(self, line: CommandLine, state: State) -> None:
        """Write the changes of `update` into the state."""
        ...

    def provision(self, state: State, line: CommandLine) -> dict[str, Any]:
        """Make the machine unless it is there, and return the new `provision.output`."""
        ...

    def configured(self, state: State, line: CommandLine) -> None:
        """Do what follows a full configuration."""
        ...

    def start(self, state: State, line: CommandLine) -> None: ...

    def stop(self, state: State, line: CommandLine) -> None: ...

    def restart(self, state: State, line: CommandLine) -> None: ...

    def destroy(self, state: State, line: CommandLine) -> None: ...

    def status(self, state: State) -> str:
        """Return `running`, `stopped`, `starting`, `stopping`, `restarting` or `unknown`. Never fails."""
        ...


def output_of(state: State) -> dict[str, Any]:
    """Return the `provision.output`. Raises CommandError when there is none."""
    output = state["provision"].get("output")
    if not output:
        raise CommandError(
            f"Can't build Instance Runner for {state['name']}: no provision output in state. "
            "Was instance fully provisioned ?"
        )
    return dict(output)
