"""The command `gamer`."""

from __future__ import annotations

from typing import Annotated

import typer

from . import __version__
from .exports import export
from .games import games
from .keys import keys
from .launching import launch, logs, watch
from .machines import pair, status, stop
from .money import costs, estimate, limits
from .saves import saves
from .signing_in import login, logout

# A traceback with the values of variables could show a token.
app = typer.Typer(name="gamer", no_args_is_help=True, pretty_exceptions_enable=False)

for command in (login, logout, games, launch, watch, status, stop, logs, costs, estimate, pair):
    app.command()(command)
for name, group in (("limits", limits), ("keys", keys), ("saves", saves), ("export", export)):
    app.add_typer(group, name=name)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gamer {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Play on rented machines, watch launches, and operate the service."""


def main() -> None:
    """Run the command line."""
    app()
