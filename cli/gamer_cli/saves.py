"""`gamer saves`: the player's progress, its versions and its conflicts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .files import write_new
from .output import moment, plain, print_json, print_table, say
from .running import confirm, run
from .service import Service
from .words import AConsole, AsJson, User, Yes

saves = typer.Typer(help="List, restore, download, rename and delete saves.", no_args_is_help=True)
ASlot = Annotated[str, typer.Argument(help="The id of a slot, as `gamer saves list` shows it.", metavar="SLOT")]
AVersion = Annotated[
    str, typer.Argument(help="The id of a version, as `gamer saves versions` shows it.", metavar="VERSION")
]
AGame = Annotated[str | None, typer.Option("--game", help="Only this game.", metavar="ID")]
_VERSIONS = 20  # more would cost more than one request may
_VERSION_COLUMNS = ("version", "kind", "saved", ">bytes", ">files", "played on", "current")


@saves.command("list")
def list_slots(
    console: AConsole,
    game: AGame = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Those that can be undeleted.")] = False,
    user: User = None,
    as_json: AsJson = False,
) -> None:
    """List the save slots of a console or a game."""

    async def show(service: Service) -> None:
        found = await _slots(service, console.value, game, user, deleted=deleted, versions=1)
        if as_json:
            print_json(found)
            return
        print_table(
            ("slot", "name", "game", "saved", ">bytes", "state"),
            (
                (
                    *(slot["id"], slot["saveId"], slot["gameId"]),
                    *((moment(slot["current"]["at"]), slot["current"]["bytes"]) if slot["current"] else (None, None)),
                    _state(slot),
                )
                for slot in found
            ),
        )

    run(show, as_json=as_json)


@saves.command("versions")
def list_versions(
    console: AConsole, slot_id: ASlot, game: AGame = None, user: User = None, as_json: AsJson = False
) -> None:
    """List the newest 20 versions of a slot, and those of an open conflict."""

    async def show(service: Service) -> None:
        slots = await _slots(service, console.value, game, user, deleted=False, versions=_VERSIONS)
        slot = next((each for each in slots if each["id"] == slot_id), None)
        versions = [] if slot is None else [edge["node"] for edge in slot["versions"]["edges"]]
        if as_json:
            print_json(versions)
            return
        print_table(
            _VERSION_COLUMNS,
            (
                (
                    *(each["id"], each["kind"], moment(each["at"]), each["bytes"], each["files"]),
                    *(each["device"], "yes" if each["isCurrent"] else ""),
                )
                for each in versions
            ),
        )
        if slot is not None and slot["conflict"]:
            choices = ", ".join(each["id"] for each in slot["conflict"]["versions"])
            say(f"two machines played it at once: choose with `gamer saves keep`, one of {choices}")

    run(show, as_json=as_json)


@saves.command("restore")
def restore(version_id: AVersion, as_json: AsJson = False) -> None:
    """Make a version what the next launch restores."""
    _change("RestoreSave", as_json=as_json, versionId=version_id)


@saves.command("keep")
def keep(version_id: AVersion, as_json: AsJson = False) -> None:
    """Choose a version in a conflict of two machines."""
    _change("KeepSave", as_json=as_json, versionId=version_id)


@saves.command("rename")
def rename(slot_id: ASlot, name: Annotated[str, typer.Argument(help="The new name.")], as_json: AsJson = False) -> None:
    """Give a slot another name."""
    _change("RenameSave", as_json=as_json, slotId=slot_id, saveId=name)


@saves.command("delete")
def delete(slot_id: ASlot, yes: Yes = False, as_json: AsJson = False) -> None:
    """Delete a slot. It can be undeleted for a while."""
    confirm("Delete this slot?", yes=yes)
    _change("DeleteSave", as_json=as_json, slotId=slot_id)


@saves.command("undelete")
def undelete(slot_id: ASlot, as_json: AsJson = False) -> None:
    """Bring a deleted slot back."""
    _change("UndeleteSave", as_json=as_json, slotId=slot_id)


@saves.command("download")
def download(
    version_id: AVersion,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, which must not exist.")],
    as_json: AsJson = False,
) -> None:
    """Download a version as a gzipped tar archive."""

    async def fetch(service: Service) -> None:
        found = (await service.change("DownloadSave", "downloadSave", versionId=version_id))["download"]
        written = await write_new(output, service.fetch(found["url"]), found["bytes"])
        print_json({"file": str(output), "bytes": written}) if as_json else typer.echo(f"{output}  {written} bytes")

    run(fetch, as_json=as_json)


def _change(operation: str, *, as_json: bool, **variables: Any) -> None:
    async def change(service: Service) -> None:
        payload = await service.change(operation, operation[0].lower() + operation[1:], **variables)
        slot = payload["slot"]
        print_json(slot) if as_json else typer.echo(f"{slot['id']}  {plain(slot['saveId'])}  {_state(slot)}")

    run(change, as_json=as_json)


async def _slots(
    service: Service, console: str, game: str | None, user: str | None, *, deleted: bool, versions: int
) -> list[dict[str, Any]]:
    wanted = {"console": console, "gameId": game, "userId": user, "deleted": deleted, "first": versions}
    found: list[dict[str, Any]] = (await service.query("Saves", **wanted))["saves"]
    return found


def _state(slot: dict[str, Any]) -> str:
    if slot["deletedAt"]:
        return f"deleted, until {moment(slot['purgedAt'])}"
    if slot["conflict"]:
        return "conflict: choose a version"
    return "in use" if slot["inUse"] else "ready"
