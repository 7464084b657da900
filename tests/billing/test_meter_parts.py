"""The parts of what a machine costs: traffic ends with the machine's running, its disk does not."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from billing.meter import Meter
from models.database import Database
from models.usage import UsageInterval, UsageState
from tests.gateway import NOON, a_vm


async def test_traffic_is_metered_while_a_machine_runs_and_its_disk_always(db: Database) -> None:
    vm = a_vm(
        "200000000000000001",
        usd_per_hour=Decimal("1.469857"),
        usd_per_hour_stopped=Decimal("0.027397"),
        usd_per_hour_egress=Decimal("0.712462"),
    )

    await Meter(db).record_state(vm, UsageState.RUNNING, NOON)
    await Meter(db).record_state(vm, UsageState.STOPPED, NOON + timedelta(hours=2))

    running, stopped = await db.find(UsageInterval, {"vm_id": vm.id}, sort=[("number", 1)])
    parts = [
        (each.machine_usd_per_hour, each.storage_usd_per_hour, each.egress_usd_per_hour) for each in (running, stopped)
    ]
    assert parts == [
        (Decimal("0.729998"), Decimal("0.027397"), Decimal("0.712462")),
        (Decimal(0), Decimal("0.027397"), Decimal(0)),
    ]
    assert running.usd_per_hour == vm.usd_per_hour
