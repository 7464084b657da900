"""What every provider of the stand-in does; each has a file of its own."""

from __future__ import annotations

from typing import Any, Protocol

from simulator.cloudypad.options import CommandLine
from simulator.cloudypad.state import State
from simulator.cloudypad.terminal import CommandError


class Provider(Protocol):
    name: str
    restart_needs_wait: bool

    def ask(self, line: CommandLine) -> dict[str, Any]:
        """The provider's own part of `provision.input`; asks for what the command line lacks."""
        ...

    def update(self, line: CommandLine, state: State) -> None:
        """Put what `update` changes into the state."""
        ...

    def provision(self, state: State, line: CommandLine) -> dict[str, Any]:
        """Make the machine, or make sure of it; what `provision.output` is from then on."""
        ...

    def configured(self, state: State, line: CommandLine) -> None:
        """What follows a full configuration."""
        ...

    def start(self, state: State, line: CommandLine) -> None: ...

    def stop(self, state: State, line: CommandLine) -> None: ...

    def restart(self, state: State, line: CommandLine) -> None: ...

    def destroy(self, state: State, line: CommandLine) -> None: ...

    def status(self, state: State) -> str:
        """`running`, `stopped`, `starting`, `stopping`, `restarting` or `unknown`; never fails."""
        ...


def output_of(state: State) -> dict[str, Any]:
    """What was provisioned. Raises CommandError when nothing was."""
    output = state["provision"].get("output")
    if not output:
        raise CommandError(
            f"Can't build Instance Runner for {state['name']}: no provision output in state. "
            "Was instance fully provisioned ?"
        )
    return dict(output)
