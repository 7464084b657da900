"""`gamer games`: what can be launched."""

from __future__ import annotations

from typing import Annotated

import typer

from .machines import all_pages
from .output import print_json, print_table
from .running import run
from .service import Service
from .words import AsJson, ConsoleType


def games(
    console: Annotated[ConsoleType | None, typer.Argument(case_sensitive=False, help="Only this console.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the games of the library."""

    async def show(service: Service) -> None:
        found = await all_pages(service, "Games", "games", console=None if console is None else console.value)
        if as_json:
            print_json(found)
        else:
            print_table(("console", "game", "title"), ((g["console"], g["gameId"], g["title"]) for g in found))

    run(show, as_json=as_json)
