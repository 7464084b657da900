"""What a program is given when it is started."""

from __future__ import annotations

import getopt
import posixpath
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simulator.machines.files import Files
from simulator.machines.shell.streams import Bytes, Collected, Input, Output, Streams

if TYPE_CHECKING:
    from simulator.machines.machine import Machine


class UsageError(Exception):
    """The arguments are wrong; the message is for stderr and the exit code goes with it."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class User:
    name: str
    uid: int

    @property
    def home(self) -> str:
        return "/root" if self.uid == 0 else f"/home/{self.name}"


ROOT = User("root", 0)


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a program: its arguments (without its name), who runs it, and where."""

    machine: Machine
    name: str
    arguments: tuple[str, ...]
    user: User
    environment: Mapping[str, str]
    cwd: str
    streams: Streams

    @property
    def files(self) -> Files:
        return Files(self.machine.tree, self.user.uid)

    @property
    def stdin(self) -> Input:
        return self.streams.stdin

    @property
    def stdout(self) -> Output:
        return self.streams.stdout

    def path(self, argument: str) -> str:
        return posixpath.join(self.cwd, argument)

    def say(self, line: str) -> None:
        self.streams.stdout.write(line.encode(errors="surrogateescape") + b"\n")

    def complain(self, line: str, status: int = 1) -> int:
        """Say it on stderr with the program's name in front, and give the status back."""
        self.streams.stderr.write(f"{self.name}: {line}\n".encode(errors="surrogateescape"))
        return status

    def complain_of(self, path: str, error: OSError, doing: str = "") -> int:
        return self.complain(f"{doing}{path}: {error.strerror}")

    def options(self, short: str, long: Sequence[str] = (), *, status: int = 1) -> tuple[dict[str, str], list[str]]:
        """Options (with their dashes) and the other arguments, in any order; the last of an option repeated counts."""
        try:
            found, rest = getopt.gnu_getopt(list(self.arguments), short, list(long))
        except getopt.GetoptError as error:
            raise UsageError(error.msg, status) from None
        return dict(found), rest

    def needs_root(self) -> None:
        if self.user.uid != 0:
            raise UsageError("Permission denied (are you root?)")

    async def run(self, argv: Sequence[str], **changes: object) -> int:
        """Run another program the way this one runs, but for `changes` (fields of this class)."""
        call = replace(self, name=argv[0], arguments=tuple(argv[1:]), **changes)  # type: ignore[arg-type]  # as named
        return await self.machine.run(call)

    async def output_of(self, argv: Sequence[str]) -> tuple[int, str]:
        collected = Collected()
        quiet = Streams(Bytes(), collected, collected)
        return await self.run(argv, streams=quiet), collected.text()


Program = Callable[[Call], Awaitable[int]]
