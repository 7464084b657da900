"""Mutation with which operators change a console's settings."""

from __future__ import annotations

from decimal import Decimal

import strawberry

import models.catalog
from models.console_settings import ConsoleChanges
from resolvers import consoles
from schema.arguments import Input
from schema.catalog import Console
from schema.enums import ConsoleType, PresetName, ProviderName
from schema.mutation_errors import ERRORS, ErrorsAsData, MutationError
from schema.node import Info


@strawberry.input(description="How a console is to use one cloud.")
class ProviderPreferenceInput:
    provider: ProviderName = strawberry.field(description="The cloud. Each cloud may appear once.")
    enabled: bool = strawberry.field(
        description="Whether launches of the console may use the cloud. At least one cloud must stay enabled."
    )
    max_hourly_price: Decimal | None = strawberry.field(
        default=None,
        description="The highest price per hour in USD that launches accept at this cloud, at most 1000. Null: no "
        "limit.",
    )

    def preference(self) -> models.catalog.ProviderPreference:
        return models.catalog.ProviderPreference(self.provider, self.enabled, self.max_hourly_price)


@strawberry.input(description="Changes to a console's settings. Omitted fields keep their values.")
class ConfigureConsoleInput:
    console: ConsoleType = strawberry.field(description="The console to change.")
    preset: PresetName | None = strawberry.field(default=None, description="The size of machine that its games need.")
    emulator_image: str | None = strawberry.field(
        default=None,
        description="The container image that Wolf streams, such as `ghcr.io/games-on-whales/retroarch:edge`.",
    )
    providers: list[ProviderPreferenceInput] | None = strawberry.field(
        default=None,
        description="The clouds to use, in order of preference. Replaces the whole list: a cloud that is missing is "
        "not used.",
    )
    max_session_hours: float | None = strawberry.field(
        default=None, description="How many hours a machine may run before it is stopped: more than 0, at most 24."
    )
    idle_stop_minutes: int | None = strawberry.field(
        default=None, description="How many minutes without play stop a machine: 1 to 1440."
    )

    def changes(self) -> ConsoleChanges:
        return ConsoleChanges(
            preset=self.preset,
            emulator_image=self.emulator_image,
            providers=None if self.providers is None else [one.preference() for one in self.providers],
            max_session_hours=self.max_session_hours,
            idle_stop_minutes=self.idle_stop_minutes,
        )


@strawberry.type(description="The result of changing a console.")
class ConsolePayload:
    console: Console | None = strawberry.field(
        default=None, description="The console after the change. Null if the change was refused."
    )
    errors: list[MutationError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type
class ConsoleMutation:
    @strawberry.mutation(
        description="Change a console's machine size, emulator image, clouds or limits. The change applies to later "
        "launches; launches under way keep what they began with. Operators only.",
        extensions=[ErrorsAsData(ConsolePayload)],
    )
    async def configure_console(self, info: Info, input: Input[ConfigureConsoleInput]) -> ConsolePayload:
        changed = await consoles.configure_console(info.context, input.console, input.changes())
        return ConsolePayload(console=Console.of(changed))
