"""Changes of consoles by operators."""

from __future__ import annotations

from models.catalog import Console, ConsoleType
from models.console_settings import ConsoleChanges, configure
from resolvers.audit import authorize
from resolvers.context import Context


async def configure_console(context: Context, type_: ConsoleType, changes: ConsoleChanges) -> Console:
    """Change a console's settings. Raise InvalidInputError for a value that is not allowed."""
    await authorize(context, "configureConsole")
    return await configure(context.services.db, type_, changes, (context.caller.id, context.caller.role))
