"""`gamer export`: costs of a month and the audit log as CSV, for operators."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from .exits import CommandError, ExitStatus
from .files import write_new
from .output import now
from .running import run
from .service import Service

export = typer.Typer(help="Export costs and the audit log as CSV. Operators only.", no_args_is_help=True)
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="The file to write, which must not exist. None: standard output.")
]
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
_COLUMNS: Final = ("id", "at", "actorId", "actorRole", "action", "subjectId", "outcome", "detail")
# Spreadsheets treat text that begins like this as a formula.
_FORMULA: Final = re.compile(r"[=+\-@\t\r\n]")


@export.command("costs")
def export_costs(
    month: Annotated[str | None, typer.Option(help="The month, such as 2026-11. None: the current one.")] = None,
    output: Output = None,
) -> None:
    """Export a month: one line for each day and machine."""
    wanted = month or f"{now():%Y-%m}"

    async def fetch(service: Service) -> None:
        if _MONTH.fullmatch(wanted) is None:
            raise CommandError("--month must be like 2026-11", ExitStatus.USAGE)
        await _write(service.download("/exports/costs", month=wanted), output)

    run(fetch)


@export.command("audit")
def export_audit(
    subject: Annotated[str | None, typer.Option(help="Only entries about this object.", metavar="ID")] = None,
    output: Output = None,
) -> None:
    """Export the audit log, newest first. Ids in it are those that cost exports and `gamer status` show."""
    run(lambda service: _write(_audit(service, subject), output))


async def _write(pieces: AsyncIterator[bytes], output: Path | None) -> None:
    if output is not None:
        written = await write_new(output, pieces)
        typer.echo(f"{output}  {written} bytes", err=True)
        return
    async for piece in pieces:
        typer.echo(piece, nl=False)


async def _audit(service: Service, subject: str | None) -> AsyncIterator[bytes]:
    yield _lines([_COLUMNS])
    after = None
    while True:
        page: dict[str, Any] = (await service.query("AuditLog", subjectId=subject, first=100, after=after))["auditLog"]
        yield _lines([tuple(_cell(edge["node"][name]) for name in _COLUMNS) for edge in page["edges"]])
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = page["pageInfo"]["endCursor"]


def _lines(rows: list[tuple[str, ...]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if _FORMULA.match(text) else text
