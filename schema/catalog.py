"""Consoles and games."""

from __future__ import annotations

from decimal import Decimal

import strawberry

import models.catalog
import streaming.library
from resolvers import catalog
from resolvers.pagination import Page
from schema.arguments import After, First, LibraryConsole, OneConsole
from schema.cache_control import SHARED_AS_PARENT, shared_for
from schema.connections import CURSOR, EDGES, NODE, PAGE_INFO, PageInfo
from schema.enums import ConsoleType, PresetName, ProviderName
from schema.ids import global_id
from schema.node import Info, Node


@strawberry.type(description="The GPU that a machine must have.")
class GpuRequirement:
    min_vram_gb: int = strawberry.field(description="The smallest video memory in GB.")
    models: list[str] = strawberry.field(
        description="Lower-case parts of GPU model ids. A GPU qualifies if its model contains any of them."
    )


@strawberry.type(description="A machine size: the least that a machine must have to play a console.")
class Preset:
    name: PresetName = strawberry.field(description="The preset's name.")
    vcpus: int = strawberry.field(description="The number of virtual CPUs.")
    ram_gb: int = strawberry.field(description="Memory in GB.")
    storage_gb: int = strawberry.field(description="Disk size in GB.")
    gpu: GpuRequirement | None = strawberry.field(description="The required GPU. Null if the machine needs none.")

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


@strawberry.type(description="The program that plays a console's games: a container image that Wolf streams.")
class Emulator:
    name: str = strawberry.field(description="The name for display, with the core in parentheses where there is one.")
    image: str = strawberry.field(description="The container image, with its tag or digest.")
    rom_extensions: list[str] = strawberry.field(
        description="Extensions of game files that the emulator opens, in lower case and without the dot."
    )


@strawberry.type(description="How a console uses one cloud.")
class ProviderPreference:
    provider: ProviderName = strawberry.field(description="The cloud.")
    enabled: bool = strawberry.field(description="Whether launches of this console may use the cloud.")
    max_hourly_price: Decimal | None = strawberry.field(
        description="The highest price per hour in USD that launches accept at this cloud. Null: no limit."
    )


@strawberry.type(description="A game console, with the emulator and the machine that its games need.")
class Console(Node):
    type: ConsoleType = strawberry.field(
        description="The console's type, by which other fields and inputs refer to it."
    )
    name: str = strawberry.field(description="The console's full name for display.")
    preset: Preset = strawberry.field(description="The size of machine that its games need.")
    emulator: Emulator = strawberry.field(description="The emulator that plays its games.")
    providers: list[ProviderPreference] = strawberry.field(
        description="The clouds that launches of this console may use, in order of preference. The order decides "
        "between placements whose scores tie."
    )
    max_session_hours: float = strawberry.field(
        description="How many hours a machine may run before it is stopped, unless the launch sets its own limit."
    )
    idle_stop_minutes: int = strawberry.field(
        description="How many minutes without play stop a machine, unless the launch sets its own limit."
    )
    playable: bool = strawberry.field(
        description="Whether the configured emulator image starts games of this console, as far as it is known. False: "
        "a launch streams a menu; its `warning` and the `reasons` of placements say why."
    )

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
            playable=console.unplayable_reason is None,
        )


@strawberry.type(description="A game in the library.")
class Game(Node):
    game_id: str = strawberry.field(
        description="The id by which launches name the game. It is unique within its console."
    )
    console: ConsoleType = strawberry.field(description="The console that the game is for.")
    title: str = strawberry.field(description="The title for display, taken from the file's name.")
    game: strawberry.Private[streaming.library.Game]

    @classmethod
    def of(cls, game: streaming.library.Game) -> Game:
        return cls(
            id=global_id("Game", catalog.game_key(game)),
            game_id=game.game_id,
            console=game.console,
            title=game.title,
            game=game,
        )

    @strawberry.field(
        description="The address of the cover picture, relative to the API's own. It is read with the credentials of "
        "the API. Null if there is none, or if that cannot be found out now.",
        metadata=SHARED_AS_PARENT,
    )
    async def cover_url(self, info: Info) -> str | None:
        return await catalog.cover_address(info.context, self.game)


@strawberry.type(description="One game in a page, with its cursor.")
class GameEdge:
    cursor: str = strawberry.field(description=CURSOR)
    node: Game = strawberry.field(description=NODE)


@strawberry.type(description="A page of games.")
class GameConnection:
    edges: list[GameEdge] = strawberry.field(description=EDGES)
    page_info: PageInfo = strawberry.field(description=PAGE_INFO)

    @classmethod
    def of(cls, page: Page[streaming.library.Game]) -> GameConnection:
        edges = [GameEdge(cursor=c, node=Game.of(g)) for c, g in zip(page.cursors, page.items, strict=True)]
        return cls(edges=edges, page_info=PageInfo.of(page))


@strawberry.type(description="The files of one console's library folder that are not games, for one reason.")
class SkippedLibraryFiles:
    console: ConsoleType = strawberry.field(description="The console whose folder holds the files.")
    reason: str = strawberry.field(description="Why the files are skipped.")
    count: int = strawberry.field(description="The number of skipped files.")
    examples: list[str] = strawberry.field(
        description="The first names of skipped files, in alphabetical order; at most 20."
    )

    @classmethod
    def of(cls, found: streaming.library.SkippedFiles) -> SkippedLibraryFiles:
        return cls(
            console=ConsoleType(found.console), reason=found.reason, count=found.count, examples=list(found.examples)
        )


@strawberry.type
class CatalogQuery:
    @strawberry.field(description="List all consoles.", metadata=shared_for(60))
    async def consoles(self, info: Info) -> list[Console]:
        return [Console.of(console) for console in await catalog.consoles(info.context)]

    @strawberry.field(description="Look up one console.", metadata=shared_for(60))
    async def console(self, info: Info, type: OneConsole) -> Console:
        return Console.of(await catalog.console(info.context, type))

    @strawberry.field(description="List the games of the library by console and id.", metadata=shared_for(15))
    async def games(
        self, info: Info, console: LibraryConsole = None, first: First = 50, after: After = None
    ) -> GameConnection:
        return GameConnection.of(await catalog.games(info.context, console, first, after))

    @strawberry.field(description="List the library's files that are not games, by console and reason. Operators only.")
    async def skipped_library_files(self, info: Info, console: LibraryConsole = None) -> list[SkippedLibraryFiles]:
        return [SkippedLibraryFiles.of(found) for found in await catalog.skipped_files(info.context, console)]
