"""Runs the body of a command with a connection to the service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

import typer

from . import credentials
from .exits import CommandError, ExitStatus
from .output import report, say
from .service import Service, connected

T = TypeVar("T")


def run(action: Callable[[Service], Awaitable[T]], *, as_json: bool = False) -> T:
    """Return what `action` returns. End the process with the status of a CommandError, and say why.

    Errors of partial responses end it in the same way, after `action` printed the rest.
    """
    partial_errors: list[CommandError] = []

    async def with_connection() -> T:
        async with connected(credentials.load()) as service:
            try:
                return await action(service)
            finally:
                partial_errors.extend(service.partial_errors)
                for error in partial_errors:
                    report(error, as_json=as_json)

    try:
        result = asyncio.run(with_connection())
    except CommandError as error:
        fail(error, as_json=as_json)
    except KeyboardInterrupt:
        say("interrupted; what was requested goes on")
        raise typer.Exit(ExitStatus.INTERRUPTED) from None
    if partial_errors:
        raise typer.Exit(partial_errors[0].status)
    return result


def fail(error: CommandError, *, as_json: bool = False) -> NoReturn:
    """Say why the command ends, and end it."""
    report(error, as_json=as_json)
    raise typer.Exit(error.status) from None


def confirm(question: str, *, yes: bool) -> None:
    """Ask for confirmation unless it was given. End the process if it is refused."""
    if not yes and not typer.confirm(question, err=True):
        raise typer.Exit(ExitStatus.REFUSED)
