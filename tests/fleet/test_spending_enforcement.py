"""Spending limits at work: machines that are stopped, and alerts that are told outside."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from billing.limits import SpendingLimits
from billing.operator_alerts import OperatorAlerts
from billing.webhooks import AlertWebhooks, Webhook
from errors import ProviderBusyError, ProviderRefusedError
from fleet.service import MachineService
from fleet.spending_enforcement import Spending
from fleet.spending_workflows import WatchSpendingWorkflow
from launch.worker import build_worker
from launch.workflow_client import EngineAddress, LazyWorkflowClient
from models.audit import AuditEntry, Outcome
from models.database import Database
from models.launches import Launch, LaunchStatus
from models.limits import AlertLevel, LimitPeriod, SpendingAlert, SpendingStop
from models.operator_alerts import OperatorAlertCode
from models.roles import Role
from models.usage import UsageInterval
from models.vms import Vm, VmStatus
from providers.http import Http
from tests.billing.exact import utc
from tests.gateway import a_vm
from tests.world import World

SECRET = SecretStr("a secret that only the receiver knows")
OLGA = ("olga", Role.OPERATOR)
PENNY = Decimal("0.0001")


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    opened = Http()
    yield opened
    await opened.close()


def spending(world: World, http: Http, grace: timedelta = timedelta(0)) -> Spending:
    return Spending(world.db, world.fleet, world.launches, AlertWebhooks(world.db, http, None), grace=grace)


async def reach_hard_limit(world: World, user_id: str | None) -> None:
    """A limit of next to nothing."""
    await SpendingLimits(world.db).set(LimitPeriod.DAILY, PENNY, user_id, hard=True, by=OLGA)


async def test_what_runs_is_stopped_with_its_saves_after_a_warning(world: World, http: Http) -> None:
    vm = await expensive(world)
    await reach_hard_limit(world, "player-1")
    watching = spending(world, http)

    first = await watching.enforce_hard_limits()
    warned = await world.again(vm)
    second = await watching.enforce_hard_limits()

    stopped = await world.until(vm, VmStatus.STOPPED)
    assert (first, second) == (0, 1)
    assert warned.status is VmStatus.RUNNING
    assert (warned.warning or "").startswith("the daily spending limit is reached: this machine is stopped at")
    assert [slot.game_id for slot in world.streaming.uploaded][-1:] == ["mario-odyssey"]
    assert stopped.detail == "the daily spending limit is reached"
    assert await world.db.find(SpendingStop, {}) == []


async def test_a_stop_by_a_limit_is_in_the_audit_log_with_its_reason_and_a_warning_is_not(
    world: World, http: Http
) -> None:
    vm = await expensive(world)
    await reach_hard_limit(world, "player-1")
    watching = spending(world, http)

    await watching.enforce_hard_limits()
    warned = await world.db.find(AuditEntry, {"actor_id": "gamer:spending"})
    await watching.enforce_hard_limits()

    (entry,) = await world.db.find(AuditEntry, {"actor_id": "gamer:spending"})
    assert warned == []
    assert (entry.actor_role, entry.action, entry.subject_id) == (Role.SERVICE, "stopVm", vm.id)
    assert (entry.outcome, entry.detail) == (Outcome.DONE, "the daily spending limit is reached")


async def test_a_stop_that_could_not_be_asked_for_is_in_the_audit_log_as_failed(world: World, http: Http) -> None:
    vm = await expensive(world)
    await reach_hard_limit(world, "player-1")
    lost = EngineAddress("127.0.0.1:1", "default", "nowhere")
    fleet = MachineService(world.db, LazyWorkflowClient(lost))
    watching = Spending(world.db, fleet, world.launches, AlertWebhooks(world.db, http, None), grace=timedelta(0))

    stopped = [await watching.enforce_hard_limits() for _ in range(2)]

    (entry,) = await world.db.find(AuditEntry, {"actor_id": "gamer:spending"})
    assert stopped == [0, 0]
    assert (entry.action, entry.subject_id, entry.outcome) == ("stopVm", vm.id, Outcome.FAILED)


async def test_a_machine_runs_on_while_its_player_is_warned(world: World, http: Http) -> None:
    vm = await expensive(world)
    await reach_hard_limit(world, None)
    watching = spending(world, http, timedelta(hours=1))

    stopped = [await watching.enforce_hard_limits() for _ in range(3)]

    assert stopped == [0, 0, 0]
    assert (await world.again(vm)).status is VmStatus.RUNNING


async def test_a_limit_that_is_raised_in_time_takes_the_warning_back(world: World, http: Http) -> None:
    vm = await expensive(world)
    await reach_hard_limit(world, "player-1")
    watching = spending(world, http, timedelta(hours=1))
    await watching.enforce_hard_limits()

    await SpendingLimits(world.db).set(LimitPeriod.DAILY, Decimal(1_000_000), "player-1", hard=True, by=OLGA)
    await watching.enforce_hard_limits()

    assert (await world.again(vm)).warning is None
    assert await world.db.find(SpendingStop, {}) == []


async def test_the_limit_of_another_user_stops_nothing(world: World, http: Http) -> None:
    vm = await expensive(world)
    await reach_hard_limit(world, "somebody-else")

    await spending(world, http).enforce_hard_limits()

    assert (await world.again(vm)).warning is None


async def test_a_launch_that_is_setting_up_is_cancelled_after_a_warning(world: World, http: Http) -> None:
    launch = await setting_up(world)
    await reach_hard_limit(world, "player-1")
    watching = spending(world, http)

    first = await watching.enforce_hard_limits()
    warned = await world.now(launch)
    second = await watching.enforce_hard_limits()
    world.streaming.let_go("install")

    over = await world.until_over(launch)
    assert (first, second) == (0, 1)
    assert warned.status is LaunchStatus.RUNNING
    assert (warned.warning or "").startswith("the daily spending limit is reached: this launch is cancelled at")
    assert (over.status, over.failure) == (LaunchStatus.CANCELLED, "the daily spending limit is reached")
    assert over.warning is None
    messages = [event.message for event in await world.events(launch)]
    assert messages[-2].startswith("the daily spending limit is reached. Cancelling")
    assert messages[-1].startswith("the daily spending limit is reached. Cancelled")
    assert world.cloud.rented == {}
    (entry,) = await world.db.find(AuditEntry, {"subject_id": launch.id, "action": "cancelLaunch"})
    assert (entry.actor_id, entry.detail) == ("gamer:spending", "the daily spending limit is reached")
    assert await world.db.find(SpendingStop, {}) == []


async def test_a_launch_goes_on_when_its_limit_is_taken_away_in_time(world: World, http: Http) -> None:
    launch = await setting_up(world)
    await reach_hard_limit(world, "player-1")
    watching = spending(world, http, timedelta(hours=1))
    await watching.enforce_hard_limits()

    await SpendingLimits(world.db).remove(LimitPeriod.DAILY, "player-1", by=OLGA)
    await watching.enforce_hard_limits()
    world.streaming.let_go("install")

    over = await world.until_over(launch)
    assert (over.status, over.warning) == (LaunchStatus.READY, None)
    assert await world.db.find(SpendingStop, {}) == []


async def test_a_launch_of_another_user_goes_on(world: World, http: Http) -> None:
    launch = await setting_up(world)
    await reach_hard_limit(world, "somebody-else")

    ended = [await spending(world, http).enforce_hard_limits() for _ in range(2)]
    world.streaming.let_go("install")

    assert ended == [0, 0]
    assert (await world.until_over(launch)).status is LaunchStatus.READY


async def setting_up(world: World) -> Launch:
    """A launch that is on its way, on a machine that has cost more than any limit here."""
    reached = world.streaming.hold("install")
    launch = await world.launch()
    await asyncio.wait_for(reached.wait(), 20)
    costly = {"$set": {"machine_usd_per_hour": Decimal(10**5)}}
    assert await world.db.update_many(UsageInterval, {"user_id": "player-1"}, costly) == 1
    return launch


async def expensive(world: World) -> Vm:
    """A machine that has cost more than any limit here."""
    vm = await world.machine()
    await world.db.update_many(UsageInterval, {"vm_id": vm.id}, {"$set": {"machine_usd_per_hour": Decimal(10**5)}})
    return vm


class Receiver:
    """Takes alerts, after having refused to for a while."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.taken: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        await self.taken.put((dict(request.headers), body))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made, app = Receiver(), web.Application()
    app.router.add_post("/hooks", made.handle)
    async with TestServer(app) as server:
        made.url = str(server.make_url("/hooks"))
        yield made


def webhooks(db: Database, http: Http, receiver: Receiver) -> AlertWebhooks:
    return AlertWebhooks(db, http, Webhook(receiver.url, SECRET), clock=lambda: 1_780_000_000.9)


async def test_an_alert_is_signed_over_its_time_and_its_body(db: Database, http: Http, receiver: Receiver) -> None:
    await db.insert(an_alert("A"))
    told = webhooks(db, http, receiver)

    await told.deliver("A")

    headers, body = await receiver.taken.get()
    signed = hmac.new(SECRET.get_secret_value().encode(), b"1780000000." + body, hashlib.sha256).hexdigest()
    assert (headers["X-Gamer-Timestamp"], headers["X-Gamer-Signature"]) == ("1780000000", f"sha256={signed}")
    event = json.loads(body)
    assert event.pop("id") == headers["X-Gamer-Event-Id"]
    assert event == {
        "type": "spending.alert",
        "level": "WARNING",
        "period": "DAILY",
        "periodStart": "2026-05-01",
        "userId": "ann",
        "currency": "USD",
        "limit": "10",
        "spent": "8.50",
        "forecast": "12.00",
        "message": "nearly",
        "raisedAt": "2026-05-01T12:00:00Z",
    }
    assert await told.find_unsent() == []


@pytest.mark.parametrize(
    ("status", "error"), [(500, ProviderBusyError), (429, ProviderBusyError), (410, ProviderRefusedError)]
)
async def test_an_alert_that_is_not_taken_goes_on_waiting(
    db: Database, http: Http, receiver: Receiver, status: int, error: type[Exception]
) -> None:
    await db.insert(an_alert("A"))
    receiver.statuses = [status]

    with pytest.raises(error):
        await webhooks(db, http, receiver).deliver("A")

    assert await webhooks(db, http, receiver).find_unsent() == ["A"]


async def test_an_operator_alert_is_sent_when_it_is_raised_and_when_it_is_cleared(
    db: Database, http: Http, receiver: Receiver
) -> None:
    alerts, sender = OperatorAlerts(db), webhooks(db, http, receiver)
    await alerts.raise_alert(AlertLevel.CRITICAL, OperatorAlertCode.BALANCE_LOW, "TENSORDOCK", "ten minutes")
    (raised_id,) = await sender.find_unsent()
    await sender.deliver(raised_id)
    await sender.deliver(raised_id)
    await alerts.clear(OperatorAlertCode.BALANCE_LOW, "TENSORDOCK")
    (cleared_id,) = await sender.find_unsent()
    await sender.deliver(cleared_id)

    (_, first), (headers, second) = [receiver.taken.get_nowait() for _ in range(2)]
    raised, cleared = json.loads(first), json.loads(second)
    assert (raised["type"], raised["level"], raised["code"], raised["subjectId"], raised["clearedAt"]) == (
        *("operator.alert", "CRITICAL", "BALANCE_LOW", "TENSORDOCK"),
        None,
    )
    assert (cleared["type"], cleared["alertId"]) == ("operator.alert.cleared", raised["alertId"])
    assert cleared["clearedAt"] is not None
    assert headers["X-Gamer-Event-Id"] == cleared["id"] != raised["id"]
    assert await sender.find_unsent() == []
    assert receiver.taken.empty()


async def test_without_a_receiver_nothing_waits(db: Database, http: Http) -> None:
    await db.insert(an_alert("A"))

    assert await AlertWebhooks(db, http, None).find_unsent() == []


async def test_temporal_tells_each_alert_until_it_is_taken_and_once(
    world: World, http: Http, receiver: Receiver
) -> None:
    await world.db.insert(an_alert("A"))
    told = Spending(world.db, world.fleet, world.launches, webhooks(world.db, http, receiver))
    receiver.statuses = [503]
    queue = f"spending-{secrets.token_hex(4)}"

    async with build_worker(world.client, queue, told):
        await watch_once(world.client, queue)
        await watch_once(world.client, queue)  # while the first one is still being told
        first, second = [await asyncio.wait_for(receiver.taken.get(), 20) for _ in range(2)]
        await until_told(world.db)
        await watch_once(world.client, queue)

    assert first[1] == second[1]
    assert receiver.taken.empty()


async def test_one_machine_that_cannot_be_read_keeps_no_hard_limit_from_stopping_the_others(
    world: World, http: Http, receiver: Receiver
) -> None:
    vm = await expensive(world)
    await reach_hard_limit(world, "player-1")
    strange = a_vm("200000000000000009", "bob", status=VmStatus.RUNNING)
    await world.db.insert(strange)
    for subject in (strange.id, vm.id):
        await OperatorAlerts(world.db).raise_alert(
            AlertLevel.WARNING, OperatorAlertCode.MACHINE_STOPPED_BY_HOST, subject, "it was stopped"
        )
    await world.db.update_many(Vm, {"_id": strange.id}, {"$set": {"status": "OF_A_LATER_VERSION"}})
    watching = Spending(world.db, world.fleet, world.launches, webhooks(world.db, http, receiver), grace=timedelta(0))
    queue = f"spending-{secrets.token_hex(4)}"

    async with build_worker(world.client, queue, watching):
        counts = [await asyncio.wait_for(watch_once(world.client, queue), 20) for _ in range(2)]

    assert counts == [0, 1]
    still = await OperatorAlerts(world.db).find_open_of(OperatorAlertCode.MACHINE_STOPPED_BY_HOST)
    assert [alert.subject_id for alert in still] == [strange.id]


async def test_an_alert_that_cannot_be_read_keeps_no_other_from_being_sent(
    db: Database, http: Http, receiver: Receiver
) -> None:
    await db.insert_many([an_alert("A"), an_alert("B")])
    await db.update_many(SpendingAlert, {"_id": "A"}, {"$set": {"level": "OF_A_LATER_VERSION"}})

    assert await webhooks(db, http, receiver).find_unsent() == ["B"]


class FailingAlerts:
    """The activities of a worker whose look at the alerts fails for good."""

    def __init__(self) -> None:
        self.stopped = 0

    @activity.defn(name="raise_alerts")
    async def raise_alerts(self) -> list[str]:
        raise ApplicationError("the alerts cannot be read", non_retryable=True)

    @activity.defn(name="stop_what_must")
    async def enforce_hard_limits(self) -> int:
        self.stopped += 1
        return 1


async def test_hard_limits_stop_machines_also_when_the_alerts_fail(world: World) -> None:
    failing, queue = FailingAlerts(), f"spending-{secrets.token_hex(4)}"

    async with build_worker(world.client, queue, failing):
        with pytest.raises(WorkflowFailureError):
            await asyncio.wait_for(watch_once(world.client, queue), 20)

    assert failing.stopped == 1


async def watch_once(client: Client, queue: str) -> int:
    return await client.execute_workflow(
        WatchSpendingWorkflow.run, id=f"watch-{secrets.token_hex(4)}", task_queue=queue
    )


async def until_told(db: Database) -> None:
    async with asyncio.timeout(10), db.watch(SpendingAlert, []) as changes:
        while await db.find(SpendingAlert, {"told": False}):
            await changes.try_next()


def an_alert(alert_id: str) -> SpendingAlert:
    return SpendingAlert(
        id=alert_id,
        level=AlertLevel.WARNING,
        period=LimitPeriod.DAILY,
        period_start=utc(2026, 5, 1),
        user_id="ann",
        limit_usd=Decimal(10),
        spent_usd=Decimal("8.5"),
        forecast_usd=Decimal(12),
        message="nearly",
        raised_at=datetime(2026, 5, 1, 12, tzinfo=UTC),
    )
