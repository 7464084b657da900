"""What a shell remembers between commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from simulator.machines.shell.syntax import Command


class ShellEndsError(Exception):
    """`exit`, or a failure under `set -e`."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class FunctionReturnsError(Exception):
    """`return`."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(slots=True)
class ShellState:
    variables: dict[str, str]
    cwd: str
    exported: set[str] = field(default_factory=set)
    functions: dict[str, Command] = field(default_factory=dict)
    exit_on_error: bool = False
    pipefail: bool = False
    trace: bool = False

    @classmethod
    def started_with(cls, environment: dict[str, str], cwd: str, arguments: Sequence[str] = ()) -> ShellState:
        """A new shell; `arguments` are `$0`, `$1` and so on."""
        state = cls({"?": "0", "$": "4242", **environment}, cwd, set(environment))
        state.variables["0"] = arguments[0] if arguments else "sh"
        state.set_positional(arguments[1:])
        return state

    def copy(self) -> ShellState:
        return ShellState(
            dict(self.variables),
            self.cwd,
            set(self.exported),
            dict(self.functions),
            self.exit_on_error,
            self.pipefail,
            self.trace,
        )

    def environment(self) -> dict[str, str]:
        """What programs see."""
        return {name: self.variables[name] for name in self.exported if name in self.variables}

    def set_positional(self, arguments: Sequence[str]) -> list[str]:
        """Replace `$1` and so on, and give back what they were."""
        count = int(self.variables.get("#", "0"))
        before = [self.variables.pop(str(number)) for number in range(1, count + 1)]
        self.variables.update({str(number): text for number, text in enumerate(arguments, start=1)})
        self.variables["#"] = str(len(arguments))
        return before
