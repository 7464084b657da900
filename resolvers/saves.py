"""Saves of players: list, look up and change them, and download a version.

The bucket is the record: there is no document in the database. A key names the slot's user, and is valid only for that
user and for callers that may act for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from auth.authorization import require, resolve_user
from auth.callers import is_user_id
from errors import InvalidInputError, InvalidStateError, NotFoundError
from fleet.saves_in_use import SlotUse
from models.catalog import ConsoleType
from providers.storage.signing import SignedUrl
from resolvers.audit import audited, authorize
from resolvers.context import Context
from resolvers.pagination import Page, page_of
from streaming.name_checks import is_id
from streaming.saves.changes import version_in
from streaming.saves.contents import SlotContents, StoredVersion, split_slot_key
from streaming.saves.locations import SaveKind
from streaming.saves.slots import SaveSlot, parse_slot_key
from streaming.saves.summary import ArchiveSummary
from streaming.saves.versions import moment_of

_VERSIONS: Final = "save-versions"
_LAST: Final = 10**17  # microseconds since 1970, above every time of a version
_URL_LASTS: Final = timedelta(minutes=5)
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,200}", re.ASCII)
_DELETED: Final = "DELETED"
_PURGED: Final = "PURGED"  # the status of a refusal: its purge is due


async def saves(
    context: Context, console: ConsoleType, game_id: str | None, user_id: str | None, *, deleted: bool
) -> list[SlotContents]:
    """Return the slots of the caller, or of the user that staff name."""
    require(context.caller, "Query.saves")
    owner = resolve_user(context.caller, user_id)
    if game_id is not None and not is_id(game_id):
        raise InvalidInputError(_ALLOWED.format(name="gameId"), ("gameId",))
    return await context.services.saves.catalog.slots(owner, console, game_id, deleted=deleted)


async def slot_of(context: Context, key: str) -> SlotContents | None:
    """Return None alike for a key that is malformed, of nothing, or of another user's slot."""
    require(context.caller, "SaveSlot")
    return await _visible(context, key)


async def version_of(context: Context, key: str) -> StoredVersion | None:
    """Return None as `slot_of` does."""
    require(context.caller, "SaveVersion")
    kind, name, slot_key = _split_version_key(key)
    contents = await _visible(context, slot_key)
    return None if contents is None or kind is None else contents.version(kind, name)


def versions_page(
    contents: SlotContents, kind: SaveKind | None, first: int | None, after: str | None
) -> Page[StoredVersion]:
    """Return a page of a slot's versions, newest first."""
    shown = [one for one in contents.versions if kind in (None, one.part.kind)]
    return page_of(shown, _newest_first, _VERSIONS, first, after)


async def summary(context: Context, version: StoredVersion) -> ArchiveSummary:
    """Return how many files a version holds."""
    return await context.services.saves.catalog.summary(version)


async def uses(context: Context, slot: SaveSlot) -> list[SlotUse]:
    """Return what plays this slot now, will in a moment, or has its files and would go on with them when started."""
    return [use for use in await context.loaders.slots_in_use.load(slot.user_id) if use.slot == slot]


def purged_at(context: Context, contents: SlotContents) -> datetime | None:
    """Return until when a deleted slot can be undeleted."""
    deleted_at = contents.deleted_at
    return None if deleted_at is None else deleted_at + context.services.saves.undelete_for


async def restore(context: Context, version_key: str | None) -> SlotContents:
    """Make a version current. One of a deleted slot brings the slot back first."""
    contents, kind, name = await _own_version(context, "restoreSave", version_key)
    async with audited(context, "restoreSave", contents.slot.key) as span:
        span.detail = f"{kind} {name}"
        await _refuse_while_held(context, contents.slot)
        version_in(contents, kind, name)
        if contents.deletion is not None:
            _refuse_purged(context, contents, "versionId")
            contents = await context.services.saves.changes.undelete(contents)
        return await context.services.saves.changes.restore(contents, version_in(contents, kind, name))


async def keep(context: Context, version_key: str | None) -> SlotContents:
    """Choose a version in a conflict.

    The machine whose newest version is chosen may play on; any other one would conflict again.
    """
    contents, kind, name = await _own_version(context, "keepSave", version_key)
    async with audited(context, "keepSave", contents.slot.key) as span:
        span.detail = f"{kind} {name}"
        _refuse_deleted(contents, "versionId")
        version = version_in(contents, kind, name)
        goes_on = version.same_as_current or contents.is_newest_open(version)
        held = [use for use in await uses(context, contents.slot) if not use.only_stored]
        _refuse_while_played([use for use in held if not goes_on or use.vm_id is None or use.vm_id != version.vm_id])
        return await context.services.saves.changes.keep(contents, version)


async def rename(context: Context, slot_key: str | None, save_id: str) -> SlotContents:
    """Give a slot another name."""
    contents = await _own(context, "renameSave", slot_key)
    async with audited(context, "renameSave", contents.slot.key) as span:
        if not is_id(save_id):
            raise InvalidInputError(_ALLOWED.format(name="saveId"), ("saveId",))
        span.detail = f"to {save_id}"
        _refuse_deleted(contents, "slotId")
        target = SaveSlot(contents.slot.user_id, contents.slot.console, contents.slot.game_id, save_id)
        if target == contents.slot:
            return contents
        await _refuse_while_held(context, contents.slot)
        await _refuse_while_held(context, target)
        return await context.services.saves.changes.rename(contents, target)


async def delete(context: Context, slot_key: str | None) -> SlotContents:
    """Delete a slot so that it can be undeleted. One that is deleted already stays as it is."""
    contents = await _own(context, "deleteSave", slot_key, or_deleted=True)
    async with audited(context, "deleteSave", contents.slot.key):
        if contents.deletion is not None:
            return contents
        await _refuse_while_held(context, contents.slot)
        return await context.services.saves.changes.delete(contents)


async def undelete(context: Context, slot_key: str | None) -> SlotContents:
    """Bring back a deleted slot: the deletion that the key names, else the newest."""
    contents = await _own(context, "undeleteSave", slot_key, or_deleted=True)
    async with audited(context, "undeleteSave", contents.slot.key):
        if contents.deletion is None:
            return contents
        _refuse_purged(context, contents, "slotId")
        await _refuse_while_held(context, contents.slot)
        return await context.services.saves.changes.undelete(contents)


async def download(context: Context, version_key: str | None) -> tuple[SignedUrl, StoredVersion]:
    """Return a URL with which anyone can download a version for five minutes."""
    contents, kind, name = await _own_version(context, "downloadSave", version_key)
    async with audited(context, "downloadSave", contents.slot.key) as span:
        span.detail = f"{kind} {name}"
        version = version_in(contents, kind, name)
        url = await context.services.saves.urls.download(
            version.stored.name, version.stored.generation, valid=_URL_LASTS, file_name=_file_name(version)
        )
        return url, version


def slot_subject(key: str) -> str | None:
    """Return what the audit log calls the slot of a key; None for a key that names no slot."""
    found = _slot(key)
    return None if found is None else found[0].key


def version_subject(key: str) -> str | None:
    """Return what the audit log calls the slot of a version's key; None as `slot_subject` does."""
    return slot_subject(_split_version_key(key)[2])


async def _own(context: Context, field: str, slot_key: str | None, *, or_deleted: bool = False) -> SlotContents:
    await authorize(context, field)
    contents = None if slot_key is None else await _visible(context, slot_key)
    if contents is None and or_deleted and slot_key is not None:
        contents = await _newest_deletion(context, slot_key)
    if contents is None:
        raise NotFoundError("there is no such save", ("slotId",))
    return contents


async def _own_version(context: Context, field: str, version_key: str | None) -> tuple[SlotContents, SaveKind, str]:
    await authorize(context, field)
    kind, name, slot_key = _split_version_key(version_key or "")
    contents = await _visible(context, slot_key)
    if contents is None or kind is None:
        raise NotFoundError("there is no such version of a save", ("versionId",))
    return contents, kind, name


async def _visible(context: Context, key: str) -> SlotContents | None:
    found = _slot(key)
    if found is None or not context.caller.can_act_for(found[0].user_id):
        return None
    contents = await context.services.saves.catalog.slot(*found)
    return None if contents.is_empty else contents


async def _newest_deletion(context: Context, key: str) -> SlotContents | None:
    found = _slot(key)
    if found is None or found[1] is not None or not context.caller.can_act_for(found[0].user_id):
        return None
    return next(iter(await context.services.saves.catalog.deletions(found[0])), None)


def _slot(key: str) -> tuple[SaveSlot, str | None] | None:
    slot_key, deletion = split_slot_key(key)
    slot = parse_slot_key(slot_key)
    if slot is None or not is_user_id(slot.user_id) or (deletion is not None and moment_of(deletion) is None):
        return None
    return slot, deletion


def _split_version_key(key: str) -> tuple[SaveKind | None, str, str]:
    kind, name, slot_key = [*key.split("/", 2), "", ""][:3]
    return (SaveKind(kind) if kind in set(SaveKind) else None), name, slot_key


async def _refuse_while_held(context: Context, slot: SaveSlot) -> None:
    """Raise an error while a machine plays a slot, or is stopped and would go on with the files that it has."""
    held = sorted(await uses(context, slot), key=lambda use: use.only_stored)
    if held:
        raise InvalidStateError(
            "a machine has this save, or a launch will: delete the machine or cancel the launch first. A stopped "
            "machine has it too, and would go on with it when started",
            held[0].status,
        )


def _refuse_while_played(held: Sequence[SlotUse]) -> None:
    if held:
        raise InvalidStateError("a machine holds this save now: stop or delete the machine first", held[0].status)


def _refuse_deleted(contents: SlotContents, field: str) -> None:
    if contents.deletion is not None:
        raise InvalidStateError("this save is deleted: undelete it first", _DELETED, (field,))


def _refuse_purged(context: Context, contents: SlotContents, field: str) -> None:
    """Raise an error for a deletion that the purge may be removing now."""
    due_at = purged_at(context, contents)
    if due_at is not None and due_at <= datetime.now(UTC):
        raise InvalidStateError("the time in which this save could be undeleted is over", _PURGED, (field,))


def _newest_first(version: StoredVersion) -> str:
    at = _LAST - int(version.at.timestamp() * 1_000_000)
    return f"{at:018d}:{version.part.kind}:{version.name}"


def _file_name(version: StoredVersion) -> str:
    slot = version.slot
    name = f"{slot.console.lower()}-{slot.game_id or 'console'}-{slot.save_id}-{version.name}"
    return f"{name if _FILE_NAME.fullmatch(name) else 'save'}.tar.gz"


_ALLOWED: Final = (
    "{name} is 1 to 128 small letters, digits, dots, underscores and hyphens, and begins with a letter or a digit"
)
