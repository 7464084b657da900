"""What commands print: tables for people, JSON for programs. Texts of the service cannot control the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .exits import CommandError

_PIPE_WIDTH: Final = 1000  # so that programs find one line for each row


def console(*, stderr: bool = False) -> Console:
    """Return a console that takes texts as they are. Lines for programs are not broken."""
    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = _PIPE_WIDTH
    return made


def plain(value: object) -> str:
    """Return a value as one line of printable text; an absent value is a dash."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "".join(character if character.isprintable() else " " for character in str(value))


def moment(text: str | None) -> str:
    """Return a time of the service in this machine's time zone."""
    if text is None:
        return "-"
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


def money(amount: str | None, currency: str = "USD") -> str:
    """Return an amount exactly as the service states it."""
    return "unknown" if amount is None else f"{plain(amount)} {plain(currency)}"


def print_json(content: object) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False))


def print_json_line(content: object) -> None:
    """Print a value as JSON on one line, at once."""
    typer.echo(json.dumps(content, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, or one block for each row where the terminal is too narrow.

    Columns with names that begin with `>` are aligned to the right.
    """
    shown, output = [list(map(plain, row)) for row in rows], console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        right = name.startswith(">")
        table.add_column(name.removeprefix(">"), justify="right" if right else "left", no_wrap=True)
    for row in shown:
        table.add_row(*map(Text, row))
    if output.measure(table, options=output.options.update(width=_PIPE_WIDTH)).maximum <= output.width:
        output.print(table)
        return
    for row in shown:
        print_facts(dict(zip((name.removeprefix(">") for name in columns), row, strict=True)))
        typer.echo()


def print_facts(facts: Mapping[str, object]) -> None:
    """Print names and values, one pair a line; absent values are left out."""
    shown = {name: value for name, value in facts.items() if value is not None and value != ""}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        typer.echo(f"{name:<{width}}  {plain(value)}")


def say(text: str) -> None:
    """Print a remark for people, apart from the command's result."""
    typer.echo(plain(text), err=True)


def report(error: CommandError, *, as_json: bool) -> None:
    """Print why a command ended."""
    if as_json:
        content: dict[str, Any] = {"message": error.message, "code": error.code, "exitStatus": int(error.status)}
        typer.echo(json.dumps({"error": content}, ensure_ascii=False), err=True)
        return
    code = f" [{error.code}]" if error.code else ""
    typer.echo(f"gamer: {plain(error.message)}{plain(code) if code else ''}", err=True)
