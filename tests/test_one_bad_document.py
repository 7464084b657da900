"""One document that this version cannot read, in every collection at once: everything else goes on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from odmantic import Model

from billing.alerts import Alerts
from billing.amounts import HOUR, midnight
from billing.google_billing import GoogleBillingImport
from billing.google_prices import GooglePrices
from billing.limits import SpendingLimits
from billing.meter import Meter
from billing.operator_alerts import OperatorAlerts
from billing.provider_billed import Billed
from billing.reports import Reports
from billing.rollups import Rollups
from billing.tensordock_billing import BalanceSampler
from billing.usage_totals import usage_of
from billing.webhooks import AlertWebhooks
from billing.windows import Window
from billing.workflows import BillingActivities
from errors import UnreadableRecordError
from fleet.messages import Command
from fleet.provider_reports import ReportedHealth
from fleet.spending_enforcement import Spending
from fleet.sweep_plan import Verdict
from fleet.sweeper import Sweeper
from launch.ended_runs import InterruptedLaunches
from launch.launch_times import launch_times
from launch.playable_time import PlayableTimes
from launch.recovery import LaunchRecovery
from models.api_keys import ApiKey
from models.audit import AuditEntry, find_entries
from models.billed import BalanceSample, BilledAmount, BilledState
from models.catalog import CONSOLES, ConsoleSettings, ConsoleType, PresetName, console, consoles
from models.cloudypad_states import CloudyPadState, CloudyPadStates
from models.database import Database
from models.deployment import DeploymentRecord
from models.emulator_images import EmulatorImage
from models.golden_images import GoldenImage
from models.google_prices import GoogleRegionPrices
from models.idempotency import IdempotencyKey
from models.launch_times import LaunchTime
from models.launches import Launch, LaunchEvent, LaunchStatus
from models.limits import LimitPeriod, SpendingAlert, SpendingLimit, SpendingStop
from models.operator_alerts import OperatorAlert
from models.orphans import OrphanMachine, Sweep
from models.pairings import PairingWindow
from models.placement_cache import FullSite, GeocodedPlace, NetworkOrder
from models.provider_reports import ProviderReport
from models.rate_counters import RateWindow, claim_all
from models.registry import DOCUMENTS
from models.roles import Role
from models.rollups import STATE_ID, RolledSpan, Rollup, RollupState
from models.scheduled_launches import ScheduledLaunch, ScheduledLaunchCounter, ScheduledLaunchStatus
from models.usage import UsageInterval, UsageState
from models.vms import Vm, VmStatus
from models.warm_machines import POOL_ID, WarmMachine, WarmPool, WarmStatus
from models.write_probe import WriteCheck
from placement.unavailable_sites import FullSites
from providers.base import ProviderName
from providers.google.billing_export import ExportedCost
from providers.http import Http
from streaming.emulator_images import EmulatorImages
from tests.fleet.test_spending_enforcement import http
from tests.fleet.test_sweeper import a_vm, at_cloud
from tests.providers.test_billing_export import FakeExport
from tests.world import World, world

__all__ = ["http", "world"]

pytestmark = pytest.mark.timeout(120)

NOW: Final = datetime.now(UTC)
TODAY: Final = midnight(NOW)
STRANGE: Final = "200000000000000009"
GOOD: Final = "200000000000000001"
TD: Final = ProviderName.TENSORDOCK
# What queries look for is there; what a reader needs besides is not, as after a newer version renamed it.
BAD: Final[dict[type[Model], dict[str, Any]]] = {
    ApiKey: {"_id": "bad"},
    AuditEntry: {"_id": "99999999999999999999999", "actor_id": "ann"},
    BalanceSample: {"_id": "bad", "provider": TD, "at": NOW - timedelta(minutes=1)},
    BilledAmount: {"_id": f"CLOUDYPAD:{NOW:%Y-%m-%dT%H}:bad", "provider": "CLOUDYPAD", "at": NOW - HOUR},
    BilledState: {"_id": ProviderName.CLOUDYPAD},
    CloudyPadState: {"_id": f"gamer-main-{STRANGE}", "provider": "gcp"},
    ConsoleSettings: {"_id": ConsoleType.NES, "preset": "OF_A_LATER_VERSION"},
    EmulatorImage: {"_id": CONSOLES[ConsoleType.SWITCH].emulator.image, "digest": {"of": "a later version"}},
    FullSite: {"_id": f"{TD}:*", "until": NOW + HOUR},
    GeocodedPlace: {"_id": "Dallas|Texas|United States"},
    GoldenImage: {"_id": "us", "image": {"of": "a later version"}},
    GoogleRegionPrices: {"_id": "us-central1"},
    IdempotencyKey: {"_id": "bad", "expires_at": NOW + HOUR},
    Launch: {
        "_id": "100000000000000009",
        "user_id": "player-1",
        "console": "SWITCH",
        "status": LaunchStatus.RUNNING,
        "last_sequence": 0,
        "requested_at": NOW - timedelta(minutes=1),
        "caller_id": "player-1",
        "idempotency_key": "bad",
    },
    LaunchTime: {"_id": "100000000000000009", "ready_at": NOW, "provider": TD, "seconds": "long"},
    LaunchEvent: {"_id": "bad", "launch_id": "100000000000000009", "sequence": 1},
    NetworkOrder: {"_id": "us-central1"},
    OperatorAlert: {"_id": "bad", "key": "SWEEP_PAUSED:sweeper", "raised_at": NOW, "cleared_at": None, "told": False},
    PairingWindow: {"_id": STRANGE},
    ProviderReport: {"_id": "bad", "provider": TD, "expires_at": NOW + HOUR},
    RateWindow: {"_id": "1:bad", "expires_at": NOW + HOUR},
    RolledSpan: {"_id": f"DAY:{TODAY - timedelta(days=1):%Y-%m-%d}", "span": "DAY", "start": TODAY - timedelta(days=1)},
    Rollup: {"_id": "bad", "span": "DAY", "start": TODAY - timedelta(days=1)},
    RollupState: {"_id": STATE_ID, "first_day": "of a later version"},
    ScheduledLaunch: {
        "_id": "bad",
        "user_id": "player-1",
        "caller_id": "player-1",
        "idempotency_key": "bad",
        "status": ScheduledLaunchStatus.PLANNED,
        "at": NOW,
        "planned_at": NOW,
    },
    ScheduledLaunchCounter: {"_id": "player-1", "planned": 1, "of": "a later version"},
    SpendingAlert: {"_id": "bad", "raised_at": NOW, "told": False},
    SpendingLimit: {"_id": "DAILY:bob", "user_id": "bob", "hard": True},
    SpendingStop: {"_id": "bad"},
    OrphanMachine: {"_id": f"{TD}:strange", "provider": TD, "held": True},
    Sweep: {"_id": TD},
    UsageInterval: {
        "_id": f"{STRANGE}:1",
        "vm_id": STRANGE,
        "number": 1,
        "user_id": "ann",
        "start": TODAY,
        "end": None,
    },
    Vm: {
        "_id": STRANGE,
        "tag": f"gamer-main-{STRANGE}",
        "status": VmStatus.RUNNING,
        "provider": TD,
        "provider_id": "m9",
        "user_id": "ann",
        "console": "SWITCH",
        "created_at": NOW,
    },
    WarmMachine: {"_id": "200000000000000008", "status": WarmStatus.READY, "provider": TD, "created_at": NOW},
    WarmPool: {"_id": POOL_ID, "ceiling_usd_per_day": "of a later version"},
}
# A process reads only its own, or the one that says whose the database is.
_NO_LIST: Final = {DeploymentRecord, WriteCheck}


async def poison(db: Database) -> None:
    for model, raw in BAD.items():
        key = {"_id": raw["_id"]}
        await db.upsert(model, key, {"$set": {name: value for name, value in raw.items() if name != "_id"} or {"x": 1}})


class Registry:
    async def digest(self, image: str) -> str:
        return "sha256:good"


class Account:
    async def balance(self) -> Decimal:
        return Decimal(50)


def test_every_collection_has_one() -> None:
    assert set(BAD) == set(DOCUMENTS) - _NO_LIST


async def test_a_launch_and_the_life_of_its_machine_go_on(world: World) -> None:
    await poison(world.db)

    vm = await world.machine()
    launched = await world.db.get(Launch, vm.launch_id)
    await asyncio.wait_for(world.fleet.command(vm, Command.STOP, "asked"), 30)
    stopped = await world.until(vm, VmStatus.STOPPED)

    assert launched is not None
    assert (launched.status, stopped.saves_pending) == (LaunchStatus.READY, False)


async def test_the_sweeper_goes_on_and_leaves_it_alone(world: World) -> None:
    db = world.db
    await poison(db)
    sweeper = Sweeper(db, world.registry, Meter(db), spare_s=0, workflows=world.engine)
    await db.insert(a_vm(GOOD, VmStatus.LOST, "gone"))
    at_cloud(world.cloud, "m9", f"gamer-main-{STRANGE}")
    at_cloud(world.cloud, "strange", "gamer-main-200000000000000007")

    actions = await sweeper.sweep()

    assert sorted((each.verdict, each.machine_id, each.done) for each in actions) == [
        (Verdict.HOLD, "strange", False),
        (Verdict.LOSE, "gone", True),
    ]
    assert sorted(world.cloud.rented) == ["m9", "strange"]
    assert await db.count(Vm, {"_id": STRANGE, "status": VmStatus.RUNNING}) == 1


async def test_limits_and_alerts_go_on(world: World, http: Http) -> None:
    db = world.db
    vm = await world.machine()
    await db.update_many(UsageInterval, {"vm_id": vm.id}, {"$set": {"start": NOW - timedelta(minutes=5)}})
    await SpendingLimits(db).set(
        LimitPeriod.MONTHLY, Decimal("0.0001"), "player-1", hard=True, by=("olga", Role.OPERATOR)
    )
    await poison(db)
    watching = Spending(db, world.fleet, world.launches, AlertWebhooks(db, http, None), grace=timedelta(0))

    await watching.raise_alerts()
    ended = [await watching.enforce_hard_limits() for _ in range(2)]

    assert ended == [0, 1]
    assert [each.user_id for each in await Alerts(db).current("player-1", everybody=False, now=NOW)] == ["player-1"]
    with pytest.raises(UnreadableRecordError):  # what his limit allows is unknown
        await SpendingLimits(db).check("bob")
    await SpendingLimits(db).check("carl")


async def test_bills_and_reports_go_on(db: Database) -> None:
    vm, now = a_vm(GOOD, VmStatus.RUNNING, "m1"), datetime.now(UTC)
    await db.insert(vm)
    await Meter(db).record_state(vm, UsageState.RUNNING, now - timedelta(minutes=1))
    await poison(db)
    exported = FakeExport()
    exported.costs_ = [ExportedCost(TODAY, tag, Decimal("0.5"), now) for tag in (vm.tag, f"gamer-main-{STRANGE}")]
    books = BillingActivities(Rollups(db), BalanceSampler(db, Account()), GoogleBillingImport(db, exported))

    assert await books.fetch_export() == 2
    assert await books.sample_balance() == "50"
    assert await books.check_sums() == 0
    assert {row["vm_id"] for row in await db.rows(BilledAmount, {"at": TODAY})} == {GOOD, STRANGE}
    report = await Reports(db).report(Window(TODAY - timedelta(days=3), TODAY + timedelta(days=1)), now=now)
    assert report.total_usd > 0
    assert (await Billed(db).report(Window(TODAY, now))).as_of is not None
    usage = await usage_of(db, [GOOD, STRANGE], now)
    assert isinstance(usage[STRANGE], UnreadableRecordError)
    assert not isinstance(usage[GOOD], UnreadableRecordError)


async def test_what_is_read_on_the_way_goes_on(world: World) -> None:
    db = world.db
    await poison(db)

    assert (await FullSites(db).list_full()).sites == set()
    assert await FullSites(db).cloud_reason(TD, Decimal(1)) is None
    assert (await GooglePrices(db).current()) is not None
    assert (await ReportedHealth(db, TD, simulated=True).get()).healthy
    assert ConsoleType.NES not in await consoles(db)
    assert (await console(db, ConsoleType.SWITCH)).type is ConsoleType.SWITCH
    images = EmulatorImages(db, Registry())
    assert {each.digest for each in await images.known()} == {None}
    switch = CONSOLES[ConsoleType.SWITCH].emulator.image
    assert (await images.pinned(switch)).name.endswith("@sha256:good")
    assert await launch_times(db, NOW - timedelta(days=1)) == []
    assert await PlayableTimes(db).expected(TD, "dallas", PresetName.PREMIUM, warm=True) is None
    assert await CloudyPadStates(db).versions("gcp") == {f"gamer-main-{STRANGE}": -1}
    assert await find_entries(db) == []
    assert await OperatorAlerts(db).find_newest(with_cleared=True, limit=5) == []
    assert await claim_all(db, {(1, "good"): 1, (2, "good"): 1}) == {(1, "good"): 1, (2, "good"): 1}
    assert await LaunchRecovery(db, world.engine, interrupted=InterruptedLaunches(db, world.engine)).rescue() == 0
