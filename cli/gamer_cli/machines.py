"""`gamer status`, `gamer stop` and `gamer pair`: what runs, its end, and devices that stream from it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from .exits import CommandError, ExitStatus
from .launching import AnId, type_of
from .output import moment, money, print_facts, print_json, print_table, say
from .progress import STEPS
from .running import confirm, run
from .service import Service
from .words import AsJson, User, Yes

_OPEN_LAUNCHES: Final = ("QUEUED", "RUNNING", "CANCELLING")
_EXISTING: Final = ("PROVISIONING", "RUNNING", "STOPPING", "STOPPED", "STARTING", "DELETING", "LOST")
_ROUND_S: Final = 2.0


def status(
    id: Annotated[str | None, typer.Argument(help="A launch or a machine. None: all that exist.", metavar="ID")] = None,
    user: User = None,
    as_json: AsJson = False,
) -> None:
    """Show launches that are under way and machines that exist, or one of them in full."""

    async def show(service: Service) -> None:
        if id is None:
            await _show_all(service, user, as_json=as_json)
        else:
            await _show_one(service, id, as_json=as_json)

    run(show, as_json=as_json)


def stop(
    id: AnId,
    delete: Annotated[bool, typer.Option("--delete", help="Give the machine back, when its saves are safe.")] = False,
    discard_saves: Annotated[
        bool, typer.Option("--discard-saves", help="Give it back although its warning names saves that are lost.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Cancel a launch, or stop a machine after its saves are uploaded."""

    async def end(service: Service) -> None:
        if await type_of(service, id) == "Launch":
            payload = await service.change("CancelLaunch", "cancelLaunch", launchId=id)
            ended = payload["launch"]
        else:
            operation = "DeleteVmWithoutSaves" if discard_saves else "DeleteVm" if delete else "StopVm"
            payload = await service.change(operation, operation[0].lower() + operation[1:], vmId=id)
            ended = payload["vm"]
        print_json(ended) if as_json else typer.echo(f"{ended['id']}  {ended['status']}")

    if discard_saves:
        confirm("Saves that are on this machine alone will be lost. Continue?", yes=yes)
    run(end, as_json=as_json)


def pair(
    vm_id: Annotated[str, typer.Argument(help="The id of a running machine.", metavar="MACHINE")],
    pin: Annotated[
        str | None, typer.Option(help="The PIN that Moonlight shows. None: Moonlight asks for a PIN from here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Pair a device that runs Moonlight with a machine."""

    async def pair_it(service: Service) -> None:
        if pin is not None:
            payload = await service.change("PairClient", "pairClient", vmId=vm_id, pin=pin)
            print_json(payload["vm"]) if as_json else typer.echo("The device is paired.")
            return
        window = (await service.change("StartPairing", "startPairing", vmId=vm_id))["pairing"]
        if not as_json:
            print_facts({"PIN": window["pin"], "link": window["qrText"], "until": moment(window["expiresAt"])})
            say("choose the machine in Moonlight and type the PIN; waiting ...")
        ended = await _paired(service, vm_id, window)
        if as_json:
            print_json(ended)
        if ended["status"] != "PAIRED":
            words = {"WRONG_PIN": "the device sent another PIN", "EXPIRED": "no device asked to be paired in time"}
            raise CommandError(words.get(ended["status"], ended["status"]), ExitStatus.REFUSED, ended["status"])
        if not as_json:
            typer.echo("The device is paired.")

    run(pair_it, as_json=as_json)


async def _paired(service: Service, vm_id: str, window: dict[str, Any]) -> dict[str, Any]:
    while window["status"] == "WAITING":
        await asyncio.sleep(_ROUND_S)
        window = (await service.query("Pairing", vmId=vm_id))["pairing"]
    return window


async def _show_all(service: Service, user: str | None, *, as_json: bool) -> None:
    launches = await all_pages(service, "Launches", "launches", status=_OPEN_LAUNCHES, userId=user)
    machines = await all_pages(service, "Vms", "vms", status=_EXISTING, userId=user)
    if as_json:
        print_json({"launches": launches, "machines": machines})
        return
    if launches:
        print_table(
            ("launch", "status", "console", "game", "user", ">done", "requested"),
            (
                (
                    *(each["id"], each["status"], each["console"]["type"], each["gameId"], each["userId"]),
                    *(f"{each['progress']:.0%}", moment(each["requestedAt"])),
                )
                for each in launches
            ),
        )
    if machines:
        print_table(
            ("machine", "status", "console", "game", "user", "place", ">per hour", ">so far", "stops"),
            (
                (
                    *(each["id"], each["status"], each["console"]["type"], each["gameId"], each["userId"]),
                    *(each["location"]["city"], each["hourlyPrice"], each["costSoFar"], moment(each["stopsAt"])),
                )
                for each in machines
            ),
        )
    if not launches and not machines:
        say("nothing is under way")


async def _show_one(service: Service, id: str, *, as_json: bool) -> None:
    is_launch = await type_of(service, id) == "Launch"
    found = (await service.query("Launch", id=id))["launch"] if is_launch else (await service.query("Vm", id=id))["vm"]
    if found is None:
        raise CommandError("there is no launch or machine with this id", ExitStatus.NOT_FOUND, "NOT_FOUND")
    if as_json:
        print_json(found)
    elif is_launch:
        _show_launch(found)
    else:
        _show_machine(found)


def _show_launch(launch: Mapping[str, Any]) -> None:
    print_facts(
        {
            "launch": launch["id"],
            "status": launch["status"],
            "console": launch["console"]["name"],
            "game": launch["gameId"],
            "save": launch["saveId"],
            "user": launch["userId"],
            "machine": launch["vm"] and launch["vm"]["id"],
            "requested": moment(launch["requestedAt"]),
            "expected": launch["estimatedReadyAt"] and moment(launch["estimatedReadyAt"]),
            "ready": launch["readyAt"] and moment(launch["readyAt"]),
            "failure": launch["failure"],
            "warning": launch["warning"],
        }
    )
    print_table(
        ("step", "status", "detail"),
        ((STEPS.get(step["name"], step["name"]), step["status"], step["detail"]) for step in launch["steps"]),
    )


def _show_machine(vm: Mapping[str, Any]) -> None:
    stream = vm["stream"] or {}
    print_facts(
        {
            "machine": vm["id"],
            "name": vm["name"],
            "status": vm["status"],
            "cloud": vm["provider"],
            "place": ", ".join(filter(None, (vm["location"]["city"], vm["location"]["country"]))),
            "console": vm["console"]["name"],
            "game": vm["gameId"],
            "user": vm["userId"],
            "address": stream.get("host") or vm["ipAddress"],
            "paired": stream.get("paired"),
            "price": f"{money(vm['hourlyPrice'])} an hour",
            "cost so far": money(vm["costSoFar"]),
            "stops": vm["stopsAt"] and moment(vm["stopsAt"]),
            "warning": vm["warning"],
            "replaced by": vm["replacement"] and vm["replacement"]["id"],
        }
    )


async def all_pages(service: Service, operation: str, field: str, **variables: Any) -> list[dict[str, Any]]:
    """Return the items of all pages of a list."""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = (await service.query(operation, first=100, after=after, **variables))[field]
        found += [edge["node"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]
