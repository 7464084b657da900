"""Consoles and games."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

import models.catalog
from auth.authorization import require
from models.catalog import Console, ConsoleType
from resolvers.context import Context
from resolvers.pagination import Page, page_of, page_size, read_cursor

if TYPE_CHECKING:
    from streaming.library import Game, SkippedFiles

_GAMES = "games"


async def consoles(context: Context) -> list[Console]:
    """Return all consoles."""
    require(context.caller, "Query.consoles")
    return list((await models.catalog.consoles(context.services.db)).values())


async def console(context: Context, type_: ConsoleType) -> Console:
    """Return one console."""
    require(context.caller, "Query.console")
    return await context.loaders.console.load(type_)


async def consoles_of(context: Context, types: Sequence[ConsoleType]) -> Mapping[ConsoleType, Console | Exception]:
    """Return the consoles of these types, as `console` does."""
    require(context.caller, "Query.console")
    return await context.loaders.console.load_all(types)


async def console_of(context: Context, key: str) -> Console | None:
    """Return a console by the name of its type, or None for any other text."""
    require(context.caller, "Console")
    return await context.loaders.console.load(ConsoleType(key)) if key in set(ConsoleType) else None


async def games(context: Context, console: ConsoleType | None, first: int | None, after: str | None) -> Page[Game]:
    """Return the games of the library, or those of one console."""
    require(context.caller, "Query.games")
    page_size(first)
    if after is not None:
        read_cursor(_GAMES, after)
    return page_of(await context.services.library.games(console), game_key, _GAMES, first, after)


async def skipped_files(context: Context, console: ConsoleType | None) -> list[SkippedFiles]:
    """Return the library's files that are not games."""
    require(context.caller, "Query.skippedLibraryFiles")
    return await context.services.library.skipped_files(console)


async def game_of(context: Context, key: str) -> Game | None:
    """Return the game with this `game_key`, or None."""
    require(context.caller, "Game")
    console, _, game_id = key.partition("/")
    if console not in set(ConsoleType) or not game_id:
        return None
    return await context.services.library.find(ConsoleType(console), game_id)


async def cover_address(context: Context, game: Game) -> str | None:
    """Return the address of a game's cover picture relative to the API, or None."""
    if context.services.covers is None or (found := await context.services.covers.find(game)) is None:
        return None
    return f"covers/{quote(game_key(game))}?v={found.generation}"


async def cover(context: Context, console: str, game_id: str) -> tuple[str, bytes] | None:
    """Return the media type and the content of a game's cover picture, or None."""
    game = await game_of(context, f"{console}/{game_id}")
    covers = context.services.covers
    if game is None or covers is None or (found := await covers.find(game)) is None:
        return None
    content = await covers.read(found)
    return None if content is None else (found.media_type, content)


def game_key(game: Game) -> str:
    """Return a game's key in global ids and cursors."""
    return f"{game.console}/{game.game_id}"
