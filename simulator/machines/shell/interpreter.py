"""Runs parsed command lines on a machine."""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import posixpath
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from simulator.machines.files import Files
from simulator.machines.programs.call import Call, User
from simulator.machines.shell.builtins import BUILTINS
from simulator.machines.shell.expansion import Expander
from simulator.machines.shell.grammar import parse
from simulator.machines.shell.state import FunctionReturnsError, ShellEndsError, ShellState
from simulator.machines.shell.streams import Bytes, Collected, OpenFile, Output, Pipe, Streams
from simulator.machines.shell.syntax import (
    AndOr,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Loop,
    Pipeline,
    Redirect,
    Script,
    ShellSyntaxError,
    Simple,
)

if TYPE_CHECKING:
    from simulator.machines.machine import Machine

BROKEN_PIPE_STATUS = 141


class Shell:
    """One shell process: its variables, its folder, and the machine it runs on."""

    def __init__(self, machine: Machine, user: User, state: ShellState) -> None:
        self.machine = machine
        self.user = user
        self.state = state

    async def run_text(self, text: str, streams: Streams) -> int:
        """Like `sh -c text`: runs to the end or to `exit`, and gives the status."""
        try:
            return await self.run(parse(text), streams)
        except ShellEndsError as ended:
            return ended.status
        except FunctionReturnsError as left:
            return left.status
        except ShellSyntaxError as error:
            streams.stderr.write(f"sh: 1: {error}\n".encode())
            return 2

    async def run(self, script: Script, streams: Streams, *, tested: bool = False) -> int:
        """`tested`: a failure is asked for, so that `set -e` does not apply."""
        status = 0
        for statement in script.statements:
            status = await self._and_or(statement, streams, tested=tested)
            self.state.variables["?"] = str(status)
        return status

    async def _and_or(self, statement: AndOr, streams: Streams, *, tested: bool) -> int:
        if statement.background:
            twin = Shell(self.machine, self.user, self.state.copy())
            self.machine.in_background(twin.run(Script((replace(statement, background=False),)), streams))
            return 0
        status = await self._pipeline(statement.first, streams, tested=tested or bool(statement.rest))
        failed_last = True
        for position, (operator, pipeline) in enumerate(statement.rest, start=1):
            failed_last = (operator == "&&") == (status == 0)
            if failed_last:
                last = position == len(statement.rest)
                status = await self._pipeline(pipeline, streams, tested=tested or not last)
            self.state.variables["?"] = str(status)
        if status and failed_last and self.state.exit_on_error and not tested and not statement.first.negated:
            raise ShellEndsError(status)
        return status

    async def _pipeline(self, pipeline: Pipeline, streams: Streams, *, tested: bool) -> int:
        tested = tested or pipeline.negated
        if len(pipeline.commands) == 1:
            status = await self._command(pipeline.commands[0], streams, tested=tested)
        else:
            status = await self._piped(pipeline.commands, streams)
        return int(status == 0) if pipeline.negated else status

    async def _piped(self, commands: Sequence[Command], streams: Streams) -> int:
        pipes = [Pipe() for _ in commands[1:]]
        async with asyncio.TaskGroup() as group:
            tasks = []
            for index, command in enumerate(commands):
                reading = pipes[index - 1] if index else None
                writing = pipes[index] if index < len(pipes) else None
                tasks.append(group.create_task(self._stage(command, streams, reading, writing)))
        statuses = [task.result() for task in tasks]
        failed = [status for status in statuses if status]
        return failed[-1] if failed and self.state.pipefail else statuses[-1]

    async def _stage(self, command: Command, streams: Streams, reading: Pipe | None, writing: Pipe | None) -> int:
        twin = Shell(self.machine, self.user, self.state.copy())
        own = Streams(reading or streams.stdin, writing or streams.stdout, streams.stderr)
        try:
            return await twin._command(command, own, tested=True)
        except ShellEndsError as ended:
            return ended.status
        except BrokenPipeError:
            return BROKEN_PIPE_STATUS
        finally:
            if reading:
                reading.abandon()
            if writing:
                writing.end()

    async def _command(self, command: Command, streams: Streams, *, tested: bool) -> int:
        with contextlib.ExitStack() as opened:
            try:
                own = await self._redirected(command.redirects, streams, opened)
            except OSError as error:
                streams.stderr.write(f"sh: 1: cannot open {error.filename}: {error.strerror}\n".encode())
                return 2
            return await self._run_command(command, own, tested=tested)

    async def _run_command(self, command: Command, streams: Streams, *, tested: bool) -> int:
        match command:
            case Simple():
                status = await self._simple(command, streams)
            case If():
                status = await self._if(command, streams, tested=tested)
            case Loop():
                status = await self._loop(command, streams, tested=tested)
            case For():
                status = await self._for(command, streams, tested=tested)
            case Case():
                status = await self._case(command, streams, tested=tested)
            case Group(body=body, subshell=True):
                status = await self._subshell(body, streams)
            case Group(body=body):
                status = await self.run(body, streams, tested=tested)
            case Function(name=name, body=body):
                self.state.functions[name] = body
                status = 0
        return status

    async def _if(self, command: If, streams: Streams, *, tested: bool) -> int:
        for condition, body in command.branches:
            if await self.run(condition, streams, tested=True) == 0:
                return await self.run(body, streams, tested=tested)
        return await self.run(command.otherwise, streams, tested=tested) if command.otherwise else 0

    async def _for(self, command: For, streams: Streams, *, tested: bool) -> int:
        status = 0
        for argument in await self._expander(streams).arguments(command.words):
            self.state.variables[command.name] = argument
            status = await self.run(command.body, streams, tested=tested)
        return status

    async def _loop(self, loop: Loop, streams: Streams, *, tested: bool) -> int:
        status = 0
        while (await self.run(loop.condition, streams, tested=True) == 0) is not loop.until:
            status = await self.run(loop.body, streams, tested=tested)
            await asyncio.sleep(0)
        return status

    async def _case(self, case: Case, streams: Streams, *, tested: bool) -> int:
        expander = self._expander(streams)
        subject = await expander.text(case.word)
        for patterns, body in case.branches:
            for pattern in patterns:
                if fnmatch.fnmatchcase(subject, await expander.pattern(pattern)):
                    return await self.run(body, streams, tested=tested)
        return 0

    async def _subshell(self, body: Script, streams: Streams) -> int:
        twin = Shell(self.machine, self.user, self.state.copy())
        try:
            return await twin.run(body, streams)
        except ShellEndsError as ended:
            return ended.status

    async def _simple(self, command: Simple, streams: Streams) -> int:
        expander = self._expander(streams)
        assigned = {name: await expander.text(word) for name, word in command.assignments}
        argv = await expander.arguments(command.words)
        if not argv:
            self.state.variables.update(assigned)
            return int(self.state.variables.get("?", "0")) if _substitutes(command) else 0
        if self.state.trace:
            streams.stderr.write(f"+ {' '.join(argv)}\n".encode())
        if argv[0] in self.state.functions:
            return await self._function(argv, streams)
        if builtin := BUILTINS.get(argv[0]):
            self.state.variables.update(assigned)
            return await builtin(self, argv[1:], streams)
        return await self.start(argv, streams, assigned)

    async def start(self, argv: Sequence[str], streams: Streams, assigned: dict[str, str] | None = None) -> int:
        """Run a program, not a builtin or function."""
        environment = self.state.environment() | (assigned or {})
        call = Call(self.machine, argv[0], tuple(argv[1:]), self.user, environment, self.state.cwd, streams)
        return await self.machine.run(call)

    async def _function(self, argv: list[str], streams: Streams) -> int:
        before = self.state.set_positional(argv[1:])
        try:
            return await self._command(self.state.functions[argv[0]], streams, tested=False)
        except FunctionReturnsError as left:
            return left.status
        finally:
            self.state.set_positional(before)

    async def _redirected(
        self, redirects: Sequence[Redirect], streams: Streams, opened: contextlib.ExitStack
    ) -> Streams:
        for redirect in redirects:
            target = await self._expander(streams).text(redirect.target)
            if redirect.operator == "<<":
                streams = streams.reading(Bytes(target.encode(errors="surrogateescape")))
            elif redirect.operator == ">&":
                streams = _with_output(streams, redirect.fd, streams.stdout if target == "1" else streams.stderr)
            else:
                mode = {"<": "r", ">": "w", ">>": "a"}[redirect.operator]
                file = OpenFile(self.files.open(posixpath.join(self.state.cwd, target), mode))
                opened.callback(file.close)
                streams = (
                    streams.reading(file) if redirect.operator == "<" else _with_output(streams, redirect.fd, file)
                )
        return streams

    @property
    def files(self) -> Files:
        return Files(self.machine.tree, self.user.uid)

    def _expander(self, streams: Streams) -> Expander:
        async def capture(script: str) -> str:
            collected = Collected()
            twin = Shell(self.machine, self.user, self.state.copy())
            self.state.variables["?"] = str(await twin.run_text(script, streams.writing(collected)))
            return collected.content().decode(errors="surrogateescape")

        return Expander(self.state.variables, self.files, self.state.cwd, capture)


def _with_output(streams: Streams, fd: int, output: Output) -> Streams:
    return replace(streams, stderr=output) if fd == 2 else streams.writing(output)


def _substitutes(command: Simple) -> bool:
    return any(not hasattr(part, "text") for _, word in command.assignments for part in word.parts)
