"""Mutations of saves: restore, choose, rename, delete, undelete, download."""

from __future__ import annotations

from datetime import datetime

import strawberry

from resolvers import saves
from schema.arguments import Input
from schema.ids import key_of
from schema.mutation_errors import ERRORS, ErrorsAsData, MutationError
from schema.node import Info
from schema.saves import SaveSlot
from streaming.saves.contents import SlotContents


@strawberry.input(description="The save slot that a mutation is about.")
class SaveSlotInput:
    slot_id: strawberry.ID = strawberry.field(description="The global id of the slot.")


@strawberry.input(description="The version of a save that a mutation is about.")
class SaveVersionInput:
    version_id: strawberry.ID = strawberry.field(description="The global id of the version.")


@strawberry.input(description="Another name for a save slot.")
class RenameSaveInput:
    slot_id: strawberry.ID = strawberry.field(description="The global id of the slot.")
    save_id: str = strawberry.field(
        description="The new name: 1 to 128 small letters, digits, dots, underscores and hyphens."
    )


@strawberry.type(description="The result of a change of a save slot.")
class SaveSlotPayload:
    slot: SaveSlot | None = strawberry.field(
        default=None, description="The slot after the change. Null if the change was refused."
    )
    errors: list[MutationError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="Where a version of a save can be downloaded.")
class SaveDownload:
    url: str = strawberry.field(description="Opens the archive without any credentials, so it is a secret.")
    expires_at: datetime = strawberry.field(description="When the URL ceases to work.")
    bytes: int = strawberry.field(description="The size of the archive in bytes.")


@strawberry.type(description="The result of a request for a download.")
class SaveDownloadPayload:
    download: SaveDownload | None = strawberry.field(
        default=None, description="Where the version can be downloaded. Null if the request was refused."
    )
    errors: list[MutationError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type
class SaveMutation:
    @strawberry.mutation(
        description="Make a version what the next launch restores. What was current stays among the versions. A "
        "version of a deleted slot brings the slot back. InvalidState while a machine holds the slot.",
        extensions=[ErrorsAsData(SaveSlotPayload)],
    )
    async def restore_save(self, info: Info, input: Input[SaveVersionInput]) -> SaveSlotPayload:
        return _payload(await saves.restore(info.context, key_of("SaveVersion", input.version_id)))

    @strawberry.mutation(
        description="Choose in a conflict: the version becomes current, the others stay among the versions. The "
        "machine that it comes from may go on playing; InvalidState while another machine holds the slot.",
        extensions=[ErrorsAsData(SaveSlotPayload)],
    )
    async def keep_save(self, info: Info, input: Input[SaveVersionInput]) -> SaveSlotPayload:
        return _payload(await saves.keep(info.context, key_of("SaveVersion", input.version_id)))

    @strawberry.mutation(
        description="Give a slot another name. InvalidState while a machine holds the slot.",
        extensions=[ErrorsAsData(SaveSlotPayload)],
    )
    async def rename_save(self, info: Info, input: Input[RenameSaveInput]) -> SaveSlotPayload:
        return _payload(await saves.rename(info.context, key_of("SaveSlot", input.slot_id), input.save_id))

    @strawberry.mutation(
        description="Delete a slot with all its versions. It can be undeleted until `purgedAt`. InvalidState while a "
        "machine holds the slot.",
        extensions=[ErrorsAsData(SaveSlotPayload)],
    )
    async def delete_save(self, info: Info, input: Input[SaveSlotInput]) -> SaveSlotPayload:
        return _payload(await saves.delete(info.context, key_of("SaveSlot", input.slot_id)))

    @strawberry.mutation(
        description="Bring a deleted slot back with all its versions. InvalidState if there is a slot of its name by "
        "now.",
        extensions=[ErrorsAsData(SaveSlotPayload)],
    )
    async def undelete_save(self, info: Info, input: Input[SaveSlotInput]) -> SaveSlotPayload:
        return _payload(await saves.undelete(info.context, key_of("SaveSlot", input.slot_id)))

    @strawberry.mutation(
        description="Get a URL that downloads a version. It works for five minutes.",
        extensions=[ErrorsAsData(SaveDownloadPayload)],
    )
    async def download_save(self, info: Info, input: Input[SaveVersionInput]) -> SaveDownloadPayload:
        url, version = await saves.download(info.context, key_of("SaveVersion", input.version_id))
        size_bytes = version.stored.size_bytes
        return SaveDownloadPayload(download=SaveDownload(url=url.text, expires_at=url.expires_at, bytes=size_bytes))


def _payload(contents: SlotContents) -> SaveSlotPayload:
    return SaveSlotPayload(slot=SaveSlot.of(contents))
