"""A second process of the service, as far as spending goes: it does what the lines on its input say, each as soon as it
is read, so that several do the same at once."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

from pydantic import SecretStr

from billing.alerts import Alerts
from billing.limits import SpendingLimits
from billing.webhooks import AlertWebhooks, Webhook
from fleet.service import MachineService
from fleet.spending_enforcement import Spending
from fleet.spending_workflows import WatchSpendingWorkflow
from launch.service import LaunchService
from launch.temporal_client import TemporalWorkflowClient, connect
from launch.worker import build_worker
from launch.workflow_client import EngineAddress
from models.database import Database
from placement.geocoding import Geocoder
from placement.ranking import Placements
from providers.http import Http
from providers.registry import Registry
from tests.fakes.games import FakeGames


async def main(mongodb_uri: str, database: str, engine_host: str, receiver_url: str) -> None:
    db, http = Database(mongodb_uri, database), Http()
    queue = f"replica-{secrets.token_hex(4)}"
    client = await connect(EngineAddress(engine_host, "default", queue))
    engine, registry = TemporalWorkflowClient(client, queue), Registry([])
    placements = Placements(db, registry, Geocoder(db, online=False))
    launches = LaunchService(db, engine, registry, placements, FakeGames(), SpendingLimits(db))
    webhooks = AlertWebhooks(db, http, Webhook(receiver_url, SecretStr("a secret that only the receiver knows")))
    spending = Spending(db, MachineService(db, engine), launches, webhooks, grace=timedelta(hours=1))

    async def answer(word: str, *rest: str) -> object:
        match word:
            case "raise":
                now = datetime.fromisoformat(rest[0])
                return [alert.id for alert in await Alerts(db).raise_all_due(now)]
            case "watch":
                workflow_id = f"watch-{secrets.token_hex(4)}"
                await working.enter_async_context(build_worker(client, queue, spending))
                return await client.execute_workflow(WatchSpendingWorkflow.run, id=workflow_id, task_queue=queue)
            case "stop":
                return await spending.enforce_hard_limits()
        return "ready"

    await db.ping()
    async with AsyncExitStack() as working:
        while line := await asyncio.to_thread(sys.stdin.readline):
            sys.stdout.write(f"{json.dumps(await answer(*line.split()))}\n")
            sys.stdout.flush()
    await http.close()
    await db.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
