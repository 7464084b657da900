"""The call of a simulated program, and the helpers that all programs share."""

from __future__ import annotations

import getopt
import posixpath
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from simulator.machines.command import Command, Input, NotSimulatedError, Output
from simulator.machines.files import Files
from simulator.machines.machine import Machine
from simulator.machines.users import User


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a program on a machine. `arguments` come without the program's name."""

    machine: Machine
    command: Command

    @property
    def name(self) -> str:
        return posixpath.basename(self.command.argv[0])

    @property
    def arguments(self) -> tuple[str, ...]:
        return self.command.argv[1:]

    @property
    def user(self) -> User:
        return self.command.user

    @property
    def files(self) -> Files:
        return Files(self.machine.tree, self.user.uid)

    @property
    def stdin(self) -> Input:
        return self.command.streams.stdin

    @property
    def stdout(self) -> Output:
        return self.command.streams.stdout

    def path(self, argument: str) -> str:
        return posixpath.join(self.command.cwd, argument)

    def say(self, line: str) -> None:
        self.stdout.write(line.encode(errors="surrogateescape") + b"\n")

    def say_error(self, line: str, status: int = 1) -> int:
        """Write a line to stderr and return the exit status."""
        self.command.streams.stderr.write(line.encode(errors="surrogateescape") + b"\n")
        return status

    def complain(self, line: str, status: int = 1) -> int:
        """Write a line to stderr with the program's name in front, and return the exit status."""
        return self.say_error(f"{self.name}: {line}", status)

    def options(self, short: str, long: Sequence[str] = ()) -> tuple[dict[str, str], list[str]]:
        """Return the options with their dashes, and the other arguments; of a repeated option the last one counts.

        An option that is not listed raises NotSimulatedError.
        """
        try:
            found, rest = getopt.gnu_getopt(list(self.arguments), short, list(long))
        except getopt.GetoptError as error:
            raise self.not_simulated(error.msg) from None
        return dict(found), rest

    def leading_options(self, plain: Iterable[str], valued: Iterable[str]) -> tuple[dict[str, str], list[str]]:
        """Return the options before the first other argument, and everything from there on.

        The value of a `valued` option is its next argument, or follows a `=`.
        """
        words, found = list(self.arguments), dict[str, str]()
        while words and words[0].startswith("-"):
            flag, given, value = words.pop(0).partition("=")
            if flag in valued and (given or words):
                found[flag] = value if given else words.pop(0)
            elif flag in plain and not given:
                found[flag] = ""
            else:
                raise self.not_simulated(f"option {flag}")
        return found, words

    def not_simulated(self, what: str) -> NotSimulatedError:
        return NotSimulatedError(f"{self.name}: {what}")

    async def run(self, argv: Sequence[str], **changes: object) -> int:
        """Run another program as this one runs, but for `changes` (fields of Command)."""
        return await self.machine.run(replace(self.command, argv=tuple(argv), **changes))  # type: ignore[arg-type]  # fields by name


Program = Callable[[Call], Awaitable[int]]
