"""Players plan, see and cancel their own play, and nobody else's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from models.audit import AuditEntry
from models.scheduled_launches import ScheduledLaunch
from tests.gateway import ANN, BOB, DALLAS, OPERATOR, GatewayWorld


def tonight() -> str:
    return (datetime.now(UTC) + timedelta(hours=3)).isoformat()


def wanted(**changes: object) -> dict[str, object]:
    return {"at": tonight(), "console": "SWITCH", "gameId": "mario-odyssey", "location": DALLAS, **changes}


async def planned(gateway: GatewayWorld) -> dict[str, object]:
    payload = (await gateway.data("ScheduleLaunch", ANN, input=wanted()))["scheduleLaunch"]
    assert payload["errors"] == []
    plan: dict[str, object] = payload["scheduledLaunch"]
    return plan


async def test_a_plan_is_shown_to_its_player_and_to_operators_alone(gateway: GatewayWorld) -> None:
    plan = await planned(gateway)

    lists = [
        (await gateway.data("ScheduledLaunches", caller))["scheduledLaunches"]["edges"]
        for caller in (ANN, OPERATOR, BOB)
    ]
    node = (await gateway.data("Node", ANN, id=plan["id"]))["node"]
    others = (await gateway.data("Node", BOB, id=plan["id"]))["node"]

    assert [[edge["node"] for edge in edges] for edges in lists] == [[plan], [plan], []]
    assert (plan["status"], plan["launch"], node["id"], others) == ("PLANNED", None, plan["id"], None)


async def test_a_plan_is_cancelled_by_its_player_alone(gateway: GatewayWorld) -> None:
    plan = await planned(gateway)
    cancel = {"scheduledLaunchId": plan["id"]}

    others = (await gateway.data("CancelScheduledLaunch", BOB, input=cancel))["cancelScheduledLaunch"]
    own = (await gateway.data("CancelScheduledLaunch", ANN, input=cancel))["cancelScheduledLaunch"]

    assert [error["__typename"] for error in others["errors"]] == ["NotFound"]
    assert (own["errors"], own["scheduledLaunch"]["status"]) == ([], "CANCELLED")
    actions = [entry.action for entry in await gateway.db.find(AuditEntry, {"outcome": "DONE"}, sort=[("_id", 1)])]
    assert actions == ["scheduleLaunch", "cancelScheduledLaunch"]


async def test_a_refused_plan_names_the_field_and_leaves_nothing(gateway: GatewayWorld) -> None:
    past = wanted(at=(datetime.now(UTC) - timedelta(minutes=1)).isoformat())

    payload = (await gateway.data("ScheduleLaunch", ANN, input=past))["scheduleLaunch"]

    assert [(error["__typename"], error["path"]) for error in payload["errors"]] == [("InvalidInput", ["input", "at"])]
    assert await gateway.db.count(ScheduledLaunch, {}) == 0
