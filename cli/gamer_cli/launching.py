"""`gamer launch`, `gamer watch` and `gamer logs`: start a game, and follow launches and machines."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import aclosing
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final

import typer

from .exits import CommandError, ExitStatus
from .following import follow
from .output import moment, money, plain, print_facts, print_json, print_json_line, say
from .progress import Lines, display
from .running import run
from .service import Service
from .words import AConsole, AsJson, Near, ProviderName, User, position

_ENDED: Final = frozenset({"READY", "CANCELLED", "FAILED"})
AnId = Annotated[str, typer.Argument(help="The id of a launch or a machine.", metavar="ID")]


def launch(  # noqa: PLR0913, PLR0917  (one for each option)
    console: AConsole,
    game: Annotated[str | None, typer.Argument(help="The id of the game. None: a machine without a game.")] = None,
    near: Near = None,
    provider: Annotated[ProviderName | None, typer.Option(case_sensitive=False, help="Only this cloud.")] = None,
    max_price: Annotated[str | None, typer.Option(help="The highest price per hour in USD.", metavar="AMOUNT")] = None,
    save: Annotated[str | None, typer.Option(help="The name of the save slot.", metavar="NAME")] = None,
    user: User = None,
    key: Annotated[
        str | None, typer.Option(help="An idempotency key: the same one never launches twice.", metavar="TEXT")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not wait until the game can be played.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start a game on the best machine near the player, and follow it until it can be played."""
    optional = {
        "gameId": game,
        "saveId": save,
        "provider": None if provider is None else provider.value,
        "maxHourlyPrice": max_price,
        "userId": user,
    }

    async def start(service: Service) -> None:
        order = {
            "console": console.value,
            "location": position(near),
            "idempotencyKey": key or str(uuid.uuid4()),
            **optional,
        }
        _check_price(max_price)
        if save is not None and game is None:
            raise CommandError("--save needs a game", ExitStatus.USAGE)
        launch_id = await _request(service, {name: value for name, value in order.items() if value is not None})
        if detach:
            print_json({"launchId": launch_id}) if as_json else typer.echo(launch_id)
            return
        say(f"launch {launch_id}")
        await watch_launch(service, launch_id, as_json=as_json)

    run(start, as_json=as_json)


def watch(id: AnId, as_json: AsJson = False) -> None:
    """Follow a launch until its game can be played, or a machine until it is deleted."""

    async def follow_it(service: Service) -> None:
        if await type_of(service, id) == "Launch":
            await watch_launch(service, id, as_json=as_json)
        else:
            await _watch_machine(service, id, as_json=as_json)

    run(follow_it, as_json=as_json)


def logs(
    launch_id: Annotated[str, typer.Argument(help="The id of a launch.", metavar="LAUNCH")],
    after: Annotated[int, typer.Option(help="Leave out the events up to this number.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Print the events of a launch from its beginning, and go on until its last one."""

    async def print_events(service: Service) -> None:
        lines = Lines()
        async with aclosing(_events(service, launch_id, after, say)) as events:
            async for event in events:
                print_json_line(event) if as_json else lines.show(event)

    run(print_events, as_json=as_json)


async def type_of(service: Service, id: str) -> str:
    """Return the type of an object. Raise CommandError if there is none with this id."""
    node = (await service.query("Node", id=id))["node"]
    if node is None:
        raise CommandError("there is nothing with this id", ExitStatus.NOT_FOUND, "NOT_FOUND")
    return str(node["__typename"])


async def watch_launch(service: Service, launch_id: str, *, as_json: bool) -> None:
    """Show a launch until its end, and how to connect. Raise CommandError if it fails."""
    event: Mapping[str, Any] | None = None
    with display(as_json=as_json) as shown:
        async with aclosing(_events(service, launch_id, 0, shown.remark)) as events:
            async for event in events:
                shown.show(event)
    launched = (await service.query("Launch", id=launch_id))["launch"] if event is None else event["launch"]
    status = event["status"] if event is not None else launched["status"]
    if status != "READY":
        reason = launched["failure"] or "it ended without a reason"
        raise CommandError(f"the launch is {status}: {reason}", ExitStatus.LAUNCH_FAILED, f"LAUNCH_{status}")
    if not as_json:
        _print_connection(launched["vm"])


async def _request(service: Service, order: dict[str, Any]) -> str:
    operation = "LaunchGame" if "gameId" in order else "CreateVm"
    field = operation[0].lower() + operation[1:]
    payload = await service.change_once(operation, field, input=order)
    return str(payload["launch"]["id"])


async def _events(service: Service, launch_id: str, after: int, on_gap: Any) -> Any:
    def position_after(data: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"after": data["launchProgress"]["sequence"]}

    def lost(reason: str) -> None:
        on_gap(f"connection lost ({reason}), connecting again; the launch goes on")

    start = {"launchId": launch_id, "after": after}
    async with aclosing(follow(service, "LaunchProgress", start, position=position_after, on_gap=lost)) as results:
        async for data in results:
            yield data["launchProgress"]


async def _watch_machine(service: Service, vm_id: str, *, as_json: bool) -> None:
    def lost(reason: str) -> None:
        say(f"connection lost ({reason}), connecting again")

    async with aclosing(follow(service, "VmStatus", {"vmId": vm_id}, on_gap=lost)) as results:
        async for data in results:
            vm = data["vmStatus"]
            if as_json:
                print_json_line(vm)
                continue
            stops = f", stops at {moment(vm['stopsAt'])}" if vm["stopsAt"] else ""
            warning = f": {vm['warning']}" if vm["warning"] else ""
            typer.echo(plain(f"{vm['status']}  {money(vm['costSoFar'])} so far{stops}{warning}"))


def _print_connection(vm: Mapping[str, Any] | None) -> None:
    if vm is None:
        return
    stream = vm["stream"] or {}
    typer.echo("The game is ready.")
    print_facts(
        {
            "machine": vm["id"],
            "address for Moonlight": stream.get("host"),
            "port": stream.get("httpPort"),
            "price": f"{money(vm['hourlyPrice'])} an hour",
            "pair a device": f"gamer pair {vm['id']}",
            "stop": f"gamer stop {vm['id']}",
        }
    )


def _check_price(text: str | None) -> None:
    try:
        good = text is None or Decimal(text).is_finite()
    except InvalidOperation:
        good = False
    if not good:
        raise CommandError("--max-price must be an amount such as 0.50", ExitStatus.USAGE)
