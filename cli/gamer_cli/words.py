"""Words of the service's schema that options take, and options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias

import typer

from .exits import CommandError, ExitStatus


class ConsoleType(StrEnum):
    NES = "NES"
    SNES = "SNES"
    GB = "GB"
    GBA = "GBA"
    DS = "DS"
    N3DS = "N3DS"
    GC = "GC"
    WII = "WII"
    SWITCH = "SWITCH"


class ProviderName(StrEnum):
    TENSORDOCK = "TENSORDOCK"
    CLOUDYPAD = "CLOUDYPAD"


class CostGroup(StrEnum):
    PROVIDER = "PROVIDER"
    CONSOLE = "CONSOLE"
    USER = "USER"
    VM = "VM"


class LimitPeriod(StrEnum):
    DAILY = "DAILY"
    MONTHLY = "MONTHLY"


class Role(StrEnum):
    PLAYER = "PLAYER"
    OPERATOR = "OPERATOR"
    SERVICE = "SERVICE"


AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
User: TypeAlias = Annotated[
    str | None, typer.Option("--user", help="Another user, for operators and services.", metavar="ID")
]
Near: TypeAlias = Annotated[
    str | None, typer.Option("--near", help="The player's position, such as 32.78,-96.80.", metavar="LAT,LON")
]
AConsole: TypeAlias = Annotated[ConsoleType, typer.Argument(case_sensitive=False, help="The console.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


def position(text: str | None) -> dict[str, float] | None:
    """Return the coordinates in `LAT,LON`. Raise CommandError for any other text."""
    if text is None:
        return None
    try:
        latitude, longitude = map(float, text.split(","))
    except ValueError:
        raise CommandError("--near must be like 32.78,-96.80", ExitStatus.USAGE) from None
    return {"latitude": latitude, "longitude": longitude}
