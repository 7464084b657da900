"""Consoles and games."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import strawberry

import models.catalog
from resolvers import catalog
from resolvers.pagination import Page
from schema.connections import PageInfo
from schema.enums import ConsoleType, PresetName, ProviderName
from schema.ids import global_id
from schema.node import Info, Node

if TYPE_CHECKING:
    import streaming.library


@strawberry.type(description="`models` are parts of the names of GPUs, any of which will do.")
class GpuRequirement:
    min_vram_gb: int
    models: list[str]


@strawberry.type(description="The size of a machine.")
class Preset:
    name: PresetName
    vcpus: int
    ram_gb: int
    storage_gb: int
    gpu: GpuRequirement | None = strawberry.field(description="Null: no GPU is needed.")

    @classmethod
    def of(cls, preset: models.catalog.Preset) -> Preset:
        shape = preset.shape
        gpu = shape.min_vram_gb
        return cls(
            name=preset.name,
            vcpus=shape.vcpus,
            ram_gb=shape.ram_gb,
            storage_gb=shape.storage_gb,
            gpu=None if gpu is None else GpuRequirement(min_vram_gb=gpu, models=list(shape.gpu_models)),
        )


@strawberry.type(description="What plays a console's games: a container image that Wolf streams.")
class Emulator:
    name: str
    image: str
    rom_extensions: list[str]


@strawberry.type(description="In the order in which launches prefer them when scores tie.")
class ProviderPreference:
    provider: ProviderName
    enabled: bool
    max_hourly_price: Decimal | None = strawberry.field(description="USD. Null: no limit.")


@strawberry.type(description="A console, and what its games are played with.")
class Console(Node):
    type: ConsoleType
    name: str
    preset: Preset
    emulator: Emulator
    providers: list[ProviderPreference]
    max_session_hours: float
    idle_stop_minutes: int

    @classmethod
    def of(cls, console: models.catalog.Console) -> Console:
        emulator = console.emulator
        return cls(
            id=global_id("Console", console.type),
            type=console.type,
            name=console.name,
            preset=Preset.of(console.preset),
            emulator=Emulator(name=emulator.name, image=emulator.image, rom_extensions=list(emulator.rom_extensions)),
            providers=[
                ProviderPreference(provider=p.provider, enabled=p.enabled, max_hourly_price=p.max_usd_per_hour)
                for p in console.providers
            ],
            max_session_hours=console.max_session_hours,
            idle_stop_minutes=console.idle_stop_minutes,
        )


@strawberry.type(description="A game in the library. `gameId` is what launches name it by.")
class Game(Node):
    game_id: str
    console: ConsoleType
    title: str

    @classmethod
    def of(cls, game: streaming.library.Game) -> Game:
        return cls(
            id=global_id("Game", catalog.game_key(game)), game_id=game.game_id, console=game.console, title=game.title
        )


@strawberry.type
class GameEdge:
    cursor: str
    node: Game


@strawberry.type
class GameConnection:
    edges: list[GameEdge]
    page_info: PageInfo

    @classmethod
    def of(cls, page: Page[streaming.library.Game]) -> GameConnection:
        edges = [GameEdge(cursor=c, node=Game.of(g)) for c, g in zip(page.cursors, page.items, strict=True)]
        return cls(edges=edges, page_info=PageInfo.of(page))


@strawberry.type(description="Files of the library that are no games for one reason; `examples` are up to 20 of them.")
class SkippedLibraryFiles:
    console: ConsoleType
    reason: str
    count: int
    examples: list[str]

    @classmethod
    def of(cls, found: streaming.library.SkippedFiles) -> SkippedLibraryFiles:
        return cls(
            console=ConsoleType(found.console), reason=found.reason, count=found.count, examples=list(found.examples)
        )


@strawberry.type
class CatalogQuery:
    @strawberry.field(description="All consoles.")
    async def consoles(self, info: Info) -> list[Console]:
        return [Console.of(console) for console in await catalog.consoles(info.context)]

    @strawberry.field
    async def console(self, info: Info, type: ConsoleType) -> Console:
        return Console.of(await catalog.console(info.context, type))

    @strawberry.field(description="The games of the library, or those of one console.")
    async def games(
        self, info: Info, console: ConsoleType | None = None, first: int | None = 50, after: str | None = None
    ) -> GameConnection:
        return GameConnection.of(await catalog.games(info.context, console, first, after))

    @strawberry.field(description="What lies in the library and is passed over, counted by console and reason.")
    async def skipped_library_files(self, info: Info, console: ConsoleType | None = None) -> list[SkippedLibraryFiles]:
        return [SkippedLibraryFiles.of(found) for found in await catalog.skipped_files(info.context, console)]
