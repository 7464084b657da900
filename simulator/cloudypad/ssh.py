"""The provider `ssh`: a machine of the customer, which is only set up."""

from __future__ import annotations

from typing import Any

from simulator.cloudypad.options import CommandLine
from simulator.cloudypad.state import State, now_ms
from simulator.cloudypad.terminal import Level, ask, log


class SshProvider:
    name = "ssh"
    restart_needs_wait = False

    def ask(self, line: CommandLine) -> dict[str, Any]:
        if "yes" not in line.options:
            ask("SSH provider is experimental. Press enter to continue")
        return {"hostname": line.text("hostname") or ask("Machine hostname or IP address:")}

    def update(self, line: CommandLine, state: State) -> None:
        """Change the user. The option `--host` is read and ignored, as the real tool does."""
        if user := line.text("ssh-user"):
            state["provision"]["input"]["ssh"]["user"] = user

    def provision(self, state: State, line: CommandLine) -> dict[str, Any]:
        return {"host": state["provision"]["input"]["hostname"], "provisionedAt": now_ms()}

    def configured(self, state: State, line: CommandLine) -> None:
        return

    def start(self, state: State, line: CommandLine) -> None:
        _no_such_container("start")

    def stop(self, state: State, line: CommandLine) -> None:
        _no_such_container("stop")

    def restart(self, state: State, line: CommandLine) -> None:
        _no_such_container("restart")

    def destroy(self, state: State, line: CommandLine) -> None:
        """Do nothing: the machine stays as it is."""

    def status(self, state: State) -> str:
        return "running" if state["provision"].get("output") else "unknown"


def _no_such_container(verb: str) -> None:
    """Warn as the real tool does, which looks for the container of Sunshine on a machine with Wolf."""
    log(Level.WARN, f"Failed to {verb} container 'cloudy': no such container")
