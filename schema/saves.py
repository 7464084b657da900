"""Saves of players: slots, their versions and the choices that are open."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry

from resolvers import saves
from resolvers.pagination import Page
from schema.arguments import After, First, OneConsole
from schema.connections import CURSOR, EDGES, NODE, PAGE_INFO, PageInfo
from schema.enums import ConsoleType, SaveKind, SaveVersionReason
from schema.ids import global_id
from schema.node import Info, Node
from streaming.saves.contents import SlotContents, StoredVersion, slot_key

OneKind = Annotated[SaveKind, strawberry.argument(description="The kind of saves.")]
SomeKind = Annotated[SaveKind | None, strawberry.argument(description="Only this kind of saves. Null: both kinds.")]
SaveOwner = Annotated[
    str | None,
    strawberry.argument(
        description="The user whose saves are listed. Services and operators may name any user. Null: the caller."
    ),
]


@strawberry.type(description="One archive of a save: a gzipped tar, with a list of its files at its beginning.")
class SaveVersion(Node):
    kind: SaveKind = strawberry.field(description="What the archive holds.")
    reason: SaveVersionReason = strawberry.field(description="Why this version exists.")
    at: datetime = strawberry.field(description="When the machine uploaded it.")
    bytes: int = strawberry.field(description="The size of the archive in bytes.")
    vm_id: strawberry.ID | None = strawberry.field(
        description="The VM that it was played on. Null for versions that do not say so."
    )
    device: str | None = strawberry.field(
        description="The machine that it was played on, in words: its place and its cloud. Null for versions that do "
        "not say so."
    )
    is_current: bool = strawberry.field(description="Whether the next launch restores exactly this content.")
    stored: strawberry.Private[StoredVersion]

    @strawberry.field(description="How many files it holds. Of a damaged archive, those that can be read are counted.")
    async def files(self, info: Info) -> int:
        return (await saves.summary(info.context, self.stored)).files

    @strawberry.field(description="Whether the archive cannot be read to its end, so that it cannot be restored.")
    async def damaged(self, info: Info) -> bool:
        return (await saves.summary(info.context, self.stored)).damaged

    @classmethod
    def of(cls, version: StoredVersion) -> SaveVersion:
        return cls(
            id=global_id("SaveVersion", version.key),
            kind=version.part.kind,
            reason=version.reason,
            at=version.at,
            bytes=version.stored.size_bytes,
            vm_id=None if version.vm_id is None else global_id("VM", version.vm_id),
            device=version.device,
            is_current=version.same_as_current,
            stored=version,
        )


@strawberry.type(description="A save version in a list.")
class SaveVersionEdge:
    cursor: str = strawberry.field(description=CURSOR)
    node: SaveVersion = strawberry.field(description=NODE)


@strawberry.type(description="A page of save versions.")
class SaveVersionConnection:
    edges: list[SaveVersionEdge] = strawberry.field(description=EDGES)
    page_info: PageInfo = strawberry.field(description=PAGE_INFO)

    @classmethod
    def of(cls, page: Page[StoredVersion]) -> SaveVersionConnection:
        edges = [
            SaveVersionEdge(cursor=c, node=SaveVersion.of(one)) for c, one in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.of(page))


@strawberry.type(
    description="A choice that only the player can make: two machines played the slot at once, or a save suddenly held "
    "nothing. Until `keepSave`, launches restore what is current, and nothing is lost."
)
class SaveConflict:
    kind: SaveKind = strawberry.field(description="The kind of saves that the conflict is about.")
    versions: list[SaveVersion] = strawberry.field(
        description="What can be chosen with `keepSave`: what is current, then the newest version of each machine."
    )


@strawberry.type(description="One line of progress in one game of one player.")
class SaveSlot(Node):
    save_id: str = strawberry.field(description="The name of the slot, which `launchGame` takes as `saveId`.")
    console: ConsoleType = strawberry.field(description="The console.")
    game_id: str | None = strawberry.field(description="The game. Null for what is played without naming a game.")
    user_id: str = strawberry.field(description="The user whose progress this is.")
    deleted_at: datetime | None = strawberry.field(
        description="When the slot was deleted. Null for a slot that is not deleted."
    )
    contents: strawberry.Private[SlotContents]

    @strawberry.field(description="What the next launch restores. Null if nothing of this kind was saved.")
    async def current(self, kind: OneKind = SaveKind.GAME) -> SaveVersion | None:
        found = self.contents.current(kind)
        return None if found is None else SaveVersion.of(found)

    @strawberry.field(description="All versions that are kept, newest first. They thin out with age.")
    async def versions(self, kind: SomeKind = None, first: First = 50, after: After = None) -> SaveVersionConnection:
        return SaveVersionConnection.of(saves.versions_page(self.contents, kind, first, after))

    @strawberry.field(description="The choice that the player has to make. Null if there is none.")
    async def conflict(self) -> SaveConflict | None:
        for kind in SaveKind:
            if found := self.contents.candidates(kind):
                return SaveConflict(kind=kind, versions=[SaveVersion.of(one) for one in found])
        return None

    @strawberry.field(
        description="Whether a machine holds the slot now, so that it cannot be restored, renamed or deleted."
    )
    async def in_use(self, info: Info) -> bool:
        return self.contents.deletion is None and bool(await saves.uses(info.context, self.contents.slot))

    @strawberry.field(description="Until when a deleted slot can be undeleted. Null for a slot that is not deleted.")
    async def purged_at(self, info: Info) -> datetime | None:
        return saves.purged_at(info.context, self.contents)

    @classmethod
    def of(cls, contents: SlotContents) -> SaveSlot:
        slot = contents.slot
        return cls(
            id=global_id("SaveSlot", slot_key(slot, contents.deletion)),
            save_id=slot.save_id,
            console=slot.console,
            game_id=slot.game_id,
            user_id=slot.user_id,
            deleted_at=contents.deleted_at,
            contents=contents,
        )


@strawberry.type
class SaveQuery:
    @strawberry.field(description="The save slots of a console, or of one game, in the order of their names.")
    async def saves(
        self,
        info: Info,
        console: OneConsole,
        game_id: Annotated[str | None, strawberry.argument(description="Only this game. Null: all games.")] = None,
        user_id: SaveOwner = None,
        deleted: Annotated[
            bool, strawberry.argument(description="List deleted slots that can be undeleted, instead of the others.")
        ] = False,
    ) -> list[SaveSlot]:
        found = await saves.saves(info.context, console, game_id, user_id, deleted=deleted)
        return [SaveSlot.of(one) for one in found]
