"""What operators change of consoles."""

from __future__ import annotations

from decimal import Decimal

import strawberry

import models.catalog
from models.console_settings import ConsoleChanges
from resolvers import consoles
from schema.catalog import Console
from schema.enums import ConsoleType, PresetName, ProviderName
from schema.mutation_errors import ErrorsAsData, MutationError
from schema.node import Info


@strawberry.input
class ProviderPreferenceInput:
    provider: ProviderName
    enabled: bool
    max_hourly_price: Decimal | None = strawberry.field(default=None, description="USD. Null: no limit.")

    def preference(self) -> models.catalog.ProviderPreference:
        return models.catalog.ProviderPreference(self.provider, self.enabled, self.max_hourly_price)


@strawberry.input(description="What is left out stays as it is.")
class ConfigureConsoleInput:
    console: ConsoleType
    preset: PresetName | None = None
    emulator_image: str | None = strawberry.field(default=None, description="A container image that Wolf streams.")
    providers: list[ProviderPreferenceInput] | None = strawberry.field(
        default=None, description="The whole list, in the order in which launches prefer them when scores tie."
    )
    max_session_hours: float | None = None
    idle_stop_minutes: int | None = None

    def changes(self) -> ConsoleChanges:
        return ConsoleChanges(
            preset=self.preset,
            emulator_image=self.emulator_image,
            providers=None if self.providers is None else [one.preference() for one in self.providers],
            max_session_hours=self.max_session_hours,
            idle_stop_minutes=self.idle_stop_minutes,
        )


@strawberry.type
class ConsolePayload:
    console: Console | None = None
    errors: list[MutationError] = strawberry.field(default_factory=list)


@strawberry.type
class ConsoleMutation:
    @strawberry.mutation(
        description="For operators. Launches from now on follow it.", extensions=[ErrorsAsData(ConsolePayload)]
    )
    async def configure_console(self, info: Info, input: ConfigureConsoleInput) -> ConsolePayload:
        changed = await consoles.configure_console(info.context, input.console, input.changes())
        return ConsolePayload(console=Console.of(changed))
