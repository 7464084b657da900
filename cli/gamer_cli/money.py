"""`gamer costs` and `gamer limits`: what was spent, what an evening costs, and when to stop."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

import typer

from .exits import CommandError, ExitStatus
from .output import moment, money, now, print_facts, print_json, print_table, say
from .running import run
from .service import Service
from .words import AsJson, ConsoleType, CostGroup, LimitPeriod, Near, User, position

limits = typer.Typer(help="Show, set and remove spending limits.", no_args_is_help=False)
_DAY = ["%Y-%m-%d"]


def costs(
    by: Annotated[CostGroup, typer.Option(case_sensitive=False, help="What the costs are grouped by.")] = (
        CostGroup.PROVIDER
    ),
    start: Annotated[datetime | None, typer.Option("--from", formats=_DAY, help="The first day, UTC.")] = None,
    end: Annotated[datetime | None, typer.Option("--to", formats=_DAY, help="The last day, UTC.")] = None,
    billed: Annotated[bool, typer.Option("--billed", help="What the clouds billed, instead of our meter.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Our meter beside the bills. Operators only.")] = False,
    user: User = None,
    as_json: AsJson = False,
) -> None:
    """Show what machines cost: this month with a forecast, or whole days that you name."""

    async def show(service: Service) -> None:
        days = _days(start, end, always=billed or compare)
        if compare:
            comparison = (await service.query("CostComparison", **days))["costComparison"]
            print_json(comparison) if as_json else _show_comparison(comparison)
            return
        if days:
            basis = "PROVIDER_BILLED" if billed else "METERED"
            wanted = {**days, "groupBy": by.value, "userId": user, "basis": basis}
            report = (await service.query("CostReport", **wanted))["costReport"]
        else:
            report = (await service.query("CurrentMonthCosts", groupBy=by.value, userId=user))["currentMonthCosts"]
        print_json(report) if as_json else _show_report(report, by)

    run(show, as_json=as_json)


def estimate(
    console: Annotated[ConsoleType, typer.Argument(case_sensitive=False, help="The console.")],
    hours: Annotated[float, typer.Option(help="How many hours to play.")] = 3.0,
    near: Near = None,
    as_json: AsJson = False,
) -> None:
    """Estimate what it costs to play a console for some hours, starting now."""

    async def show(service: Service) -> None:
        wanted = {"console": console.value, "hours": hours, "from": position(near)}
        found = (await service.query("CostEstimate", **wanted))["costEstimate"]
        if as_json:
            print_json(found)
            return
        placement = found["placement"] or {}
        place = placement.get("site", {}).get("location", {}).get("city")
        price = money(found["hourlyPrice"], found["currency"])
        print_facts({"total": money(found["total"], found["currency"]), "price": f"{price} an hour", "place": place})

    run(show, as_json=as_json)


@limits.callback(invoke_without_command=True)
def list_limits(context: typer.Context, user: User = None, as_json: AsJson = False) -> None:
    """List spending limits; the commands change them."""
    if context.invoked_subcommand is not None:
        return

    async def show(service: Service) -> None:
        found = (await service.query("SpendingLimits", userId=user))["spendingLimits"]
        if as_json:
            print_json(found)
        elif found:
            print_table(
                ("period", ">amount", "effect", "user"),
                (
                    (
                        *(each["period"], money(each["amount"], each["currency"])),
                        *("stops machines" if each["hard"] else "alerts only", each["userId"] or "all users"),
                    )
                    for each in found
                ),
            )
        else:
            say("there are no spending limits")

    run(show, as_json=as_json)


@limits.command("set")
def set_limit(
    period: Annotated[LimitPeriod, typer.Argument(case_sensitive=False, help="The period.")],
    amount: Annotated[str, typer.Argument(help="The amount in USD, such as 25.00.")],
    hard: Annotated[bool, typer.Option("--hard", help="Refuse launches and stop machines when it is reached.")] = False,
    user: User = None,
    as_json: AsJson = False,
) -> None:
    """Set a spending limit. Operators only."""

    async def change(service: Service) -> None:
        wanted: dict[str, Any] = {"period": period.value, "amount": amount, "hard": hard}
        if user is not None:
            wanted["userId"] = user
        limit = (await service.change("SetSpendingLimit", "setSpendingLimit", input=wanted))["limit"]
        print_json(limit) if as_json else typer.echo(f"{limit['period']}  {money(limit['amount'], limit['currency'])}")

    run(change, as_json=as_json)


@limits.command("remove")
def remove_limit(
    period: Annotated[LimitPeriod, typer.Argument(case_sensitive=False, help="The period.")],
    user: User = None,
    as_json: AsJson = False,
) -> None:
    """Remove a spending limit. Operators only."""

    async def change(service: Service) -> None:
        wanted = {"period": period.value} if user is None else {"period": period.value, "userId": user}
        limit = (await service.change("RemoveSpendingLimit", "removeSpendingLimit", input=wanted))["limit"]
        print_json(limit) if as_json else typer.echo(f"{limit['period']}  removed")

    run(change, as_json=as_json)


@limits.command("alerts")
def list_alerts(user: User = None, as_json: AsJson = False) -> None:
    """List the spending alerts of the current day and month."""

    async def show(service: Service) -> None:
        found = (await service.query("SpendingAlerts", userId=user))["spendingAlerts"]
        if as_json:
            print_json(found)
        else:
            print_table(
                ("raised", "level", "period", ">spent", ">limit", "user", "message"),
                (
                    (
                        *(moment(each["raisedAt"]), each["level"], each["period"], each["spent"], each["limit"]),
                        *(each["userId"] or "all users", each["message"]),
                    )
                    for each in found
                ),
            )

    run(show, as_json=as_json)


def _days(start: datetime | None, end: datetime | None, *, always: bool) -> dict[str, str]:
    """Return the days of a report; none for the current month. Without `end` it is today."""
    if start is None and end is not None:
        raise CommandError("--to needs --from", ExitStatus.USAGE)
    if start is None and not always:
        return {}
    today = now().date()
    first = today.replace(day=1) if start is None else start.date()
    last: date = today if end is None else end.date()
    return {"start": first.isoformat(), "end": last.isoformat()}


def _show_report(report: dict[str, Any], by: CostGroup) -> None:
    if report["groups"]:
        print_table(
            (by.value.lower(), ">hours", ">amount"),
            ((line["group"], f"{line['runningHours']:.2f}", line["amount"]) for line in report["groups"]),
        )
    currency = report["currency"]
    print_facts(
        {
            "total": money(report["total"], currency),
            "forecast": report["forecast"] and money(report["forecast"], currency),
            "known until": report.get("knownUntil") and moment(report["knownUntil"]),
        }
    )


def _show_comparison(comparison: dict[str, Any]) -> None:
    print_table(
        ("day", "cloud", "machine", ">metered", ">billed", ">difference"),
        (
            (
                *(row["day"], row["provider"], row["vmId"], row["metered"]),
                *("unknown" if row[name] is None else row[name] for name in ("billed", "difference")),
            )
            for row in comparison["rows"]
        ),
    )
    typer.echo(f"in {comparison['currency']}, as of {moment(comparison['asOf'])}")
