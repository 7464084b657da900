"""`gamer login` and `gamer logout`: the address of the service, and the token for it."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from . import credentials
from .credentials import Credentials, Store
from .exits import CommandError
from .output import plain
from .running import fail
from .service import connected


def login(
    url: Annotated[str, typer.Argument(help="The address of the service, such as https://games.example.com.")],
    store: Annotated[Store, typer.Option(help="Where to keep the token. auto: the keyring if there is one.")] = (
        Store.AUTO
    ),
    token_stdin: Annotated[bool, typer.Option("--token-stdin", help="Read the token from standard input.")] = False,
) -> None:
    """Check a token or API key, and keep it. It is typed without being shown."""
    try:
        address = credentials.checked_url(url)
        text = sys.stdin.readline() if token_stdin else typer.prompt("Token or API key", "", hide_input=True, err=True)
        given = Credentials(address, credentials.checked_token(text))
        viewer, service = asyncio.run(_who(given))
        place = credentials.keep(given, store)
    except CommandError as error:
        fail(error)
    typer.echo(plain(f"logged in to {service} as {viewer}; the token is kept in {place}"))


def logout() -> None:
    """Delete the kept address and token."""
    credentials.forget()
    typer.echo("logged out")


async def _who(given: Credentials) -> tuple[str, str]:
    async with connected(given) as service:
        answer = await service.query("Viewer")
    viewer, about = answer["viewer"], answer["service"]
    return f"{viewer['id']} ({viewer['role']})", f"{about['name']} {about['version']}"
